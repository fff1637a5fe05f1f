"""What an error says, and what becomes of it as a value."""

import errno

import pytest

from worker.core.errors import Failure, NotAskedError, PermanentError, RefusedError, TransientError, is_exhaustion


def test_an_error_without_words_says_its_reason() -> None:
    assert (str(PermanentError("forbidden")), PermanentError("forbidden").message) == ("forbidden", "forbidden")
    assert str(TransientError("throttled", "too many calls")) == "too many calls"


def test_a_failure_keeps_what_the_error_knew() -> None:
    error = TransientError("throttled", "too many calls", hold=7, status=429, code="APIG.1", attempts=3)
    assert Failure.of(error) == Failure("throttled", "too many calls", True, 7, 429, "APIG.1", 3)
    assert Failure.of(TransientError("busy")) == Failure("busy", "busy", transient=True)
    assert Failure.of(RefusedError("malformed")) == Failure("malformed", "malformed", transient=False)


@pytest.mark.parametrize("counts", [True, False])
def test_what_was_not_asked_is_no_attempt_unless_it_says_so(counts: bool) -> None:
    failure = Failure.of(NotAskedError("gateway_unavailable", hold=5, is_attempt=counts))
    assert (failure.is_attempt, failure.transient, failure.hold) == (counts, True, 5)
    assert not Failure.of(NotAskedError("gateway_unavailable")).is_attempt


def caused(by: BaseException) -> RuntimeError:
    error = RuntimeError()
    error.__cause__ = by
    return error


FULL, GONE = OSError(errno.ENOSPC, ""), OSError(errno.ENOENT, "")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FULL, True),
        (OSError(errno.EMFILE, ""), True),
        (MemoryError(), True),
        (caused(FULL), True),
        (caused(caused(FULL)), True),
        (ExceptionGroup("", [GONE, FULL]), True),
        (GONE, False),
        (caused(GONE), False),
        (ExceptionGroup("", [GONE, ValueError()]), False),
        (KeyError("a bug"), False),
    ],
)
def test_only_a_machine_without_room_is_exhausted(error: BaseException, expected: bool) -> None:
    assert is_exhaustion(error) is expected
