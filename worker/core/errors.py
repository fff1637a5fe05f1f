"""What can go wrong, sorted by what is to be done about it: this tree is the retry policy.

`RotationError.reason` is the public word of the outcome event. Text is for people: it says where something is wrong,
never what the value was.
"""

import errno
from contextlib import ContextDecorator
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from worker.core.schedule import Wait

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EAGAIN})


class RotationError(Exception):
    """An expected failure with a stable public `reason`; never carries a secret."""

    def __init__(
        self,
        reason: str,
        message: str = "",
        *,
        status: int | None = None,
        code: str | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message or reason)
        self.reason = reason
        self.message = message or reason
        self.status = status
        """HTTP status of the gateway's answer, where there was one."""
        self.code = code
        """The gateway's own error code, where it gave one."""
        self.attempts = attempts
        """How often the call was tried."""


class TransientError(RotationError):
    """Worth another try, not before `hold` seconds have passed."""

    def __init__(
        self,
        reason: str,
        message: str = "",
        *,
        hold: float = 0.0,
        status: int | None = None,
        code: str | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(reason, message, status=status, code=code, attempts=attempts)
        self.hold = hold


class NotAskedError(TransientError):
    """The gateway is known to be down and was left alone."""

    def __init__(self, reason: str, message: str = "", *, hold: float = 0.0, is_attempt: bool = False) -> None:
        super().__init__(reason, message, hold=hold)
        self.is_attempt = is_attempt
        """Whether it counts as an attempt all the same."""


class PostponedError(RotationError):
    """It is not its time yet: nothing was changed, and nothing went wrong."""

    def __init__(self, wait: Wait) -> None:
        super().__init__(wait.why)
        self.wait = wait


class PermanentError(RotationError):
    """Trying again changes nothing until a person or another message does."""


class RefusedError(PermanentError):
    """The input itself is bad: the message or its certificate. No cloud was changed because of it."""


class _Unchained(ContextDecorator):
    """What is raised `from None` inside forgets what it was raised for: readers' own errors hold the whole input.

    Alone, `from None` only hides that from tracebacks: it stays in `__context__`, for whoever prints it from there.
    """

    def __enter__(self) -> None:
        """Nothing is held."""

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None and error.__suppress_context__ and error.__cause__ is None:
            if error.__context__ is not None:
                # Its frames hold what it was of, which may hold it too, and the key that was sent.
                error.__context__.__traceback__ = None
            error.__context__ = None


unchained: Final = _Unchained()
"""For a function that reads (`@unchained`; not a coroutine's), or a block of one (`with unchained:`)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A RotationError as a value, for reports."""

    reason: str
    message: str
    transient: bool
    hold: float = 0.0
    status: int | None = None
    code: str | None = None
    attempts: int = 1
    is_attempt: bool = True
    """False where the gateway was not even asked, and that shall not lead to giving up."""

    @classmethod
    def of(cls, error: RotationError) -> "Failure":
        return cls(
            reason=error.reason,
            message=error.message,
            transient=isinstance(error, TransientError),
            hold=error.hold if isinstance(error, TransientError) else 0.0,
            status=error.status,
            code=error.code,
            attempts=error.attempts,
            is_attempt=not isinstance(error, NotAskedError) or error.is_attempt,
        )


INTERNAL: Final = Failure("internal_error", "a bug of the worker: see its log", transient=False)
EXHAUSTED: Final = Failure("worker_exhausted", "the worker's machine had no room left: see its log", transient=True)


def failure_of(bug: Exception) -> Failure:
    """Of an exception that nobody expected."""
    return EXHAUSTED if is_exhaustion(bug) else INTERNAL


def is_exhaustion(error: BaseException) -> bool:
    """Whether the machine had no descriptors, memory, processes or room left: nobody's bug, and it passes."""
    if isinstance(error, BaseExceptionGroup):
        return any(is_exhaustion(one) for one in error.exceptions)
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _EXHAUSTED):
        return True
    return error.__cause__ is not None and is_exhaustion(error.__cause__)
