"""The same leaf comes again with its whole chain, which no gateway can tell from the one that it holds."""

from collections.abc import Callable, Sequence

import pytest

from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, current, deployment
from tests.support.virtual_time import run_virtual
from worker.core.errors import Failure
from worker.core.outcome import Report
from worker.core.planning import Stored
from worker.core.proof import Served, Shortfall
from worker.rotation import Rotator

SHORT = Failure("chain_incomplete", "at its place", transient=True)


def attempts(cloud: FakeGateway, *, of_binding: bool, mends: bool = True, count: int = 2) -> Sequence[Report]:
    async def short(served: Served, /) -> Sequence[Shortfall]:
        is_whole = mends and "replace" in cloud.journal
        return [] if is_whole else [Shortfall(SHORT, served.bindings[0] if of_binding else None, "a:443")]

    rotator = Rotator({"apig": cloud}, verify=short)
    return [run_virtual(rotator.rotate(certificate(deployment()), bundle())) for _ in range(count)]


def there(stored: Callable[[], Stored] = current) -> FakeGateway:
    return FakeGateway(stored(), {"a.example.com": True, "b.example.com": False}, put_moves_flags=True)


@pytest.mark.parametrize("of_binding", [True, False])
def test_what_is_served_without_its_whole_chain_is_written_again(*, of_binding: bool) -> None:
    cloud = there()
    first, second = attempts(cloud, of_binding=of_binding)
    assert (first.reason, [one.transient for one in first.failures]) == ("chain_incomplete", [True])
    assert (second.outcome, second.reason, cloud.journal.count("replace")) == ("succeeded", "rotated", 1)
    assert cloud.rows == {"a.example.com": True, "b.example.com": False}


def test_what_does_not_help_is_not_done_over_and_over() -> None:
    cloud = there()
    reports = attempts(cloud, of_binding=True, mends=False, count=5)
    assert {one.outcome for one in reports} == {"failed"}
    assert cloud.journal.count("replace") == 1


def test_a_client_ca_that_would_be_lost_keeps_it_from_being_written() -> None:
    cloud = there(lambda: current(has_trusted_root_ca=True))
    assert [one.reason for one in attempts(cloud, of_binding=True)] == ["chain_incomplete"] * 2
    assert "replace" not in cloud.journal
