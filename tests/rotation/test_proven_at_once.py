"""What an attempt has changed is proven in that attempt, whatever else has to be tried again."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.rotation.test_blue_green import MANY, NEW, stage
from tests.rotation.test_put_back import BEFORE, Shelf, cloud
from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, day, deployment
from tests.support.virtual_time import run_virtual
from worker.core.errors import Failure, TransientError
from worker.core.outcome import Report
from worker.core.proof import Served, Shortfall
from worker.rotation import Rotator
from worker.verification.looking import Probe
from worker.verification.places import Places, probes_of

AWAY = Failure("throttled", "later", transient=True)
BAD = Failure("chain_incomplete", "at it", transient=True)


class Eyes:
    """Finds the last binding bad when told to."""

    def __init__(self, *, is_bad: bool = False, is_blind: bool = False) -> None:
        self.is_bad, self.is_blind = is_bad, is_blind
        self.asked: list[Sequence[str]] = []
        """Names, of each proof."""

    async def __call__(self, served: Served, /) -> Sequence[Shortfall]:
        self.asked.append([one.name for one in served.bindings])
        is_short = self.is_bad or self.is_blind
        return [Shortfall(BAD, served.bindings[-1], "host:443", is_blind=self.is_blind)] if is_short else ()


class Attempts:
    """Of one process, at two gateways: `apig` and `b`, where other names are bound."""

    def __init__(self, eyes: Eyes, first: FakeGateway, second: FakeGateway) -> None:
        gateways = {"apig": first, "b": second}
        self.rotator = Rotator(gateways, eyes, kept={"shop": Shelf(BEFORE)}, utc_now=lambda: day(10))

    def next(self) -> Report:
        both = certificate(deployment(), deployment(gateway="b"))
        return run_virtual(self.rotator.rotate(both, bundle()))


def throttled(times: int = 99) -> FakeGateway:
    errors = [TransientError("throttled")] * times
    return cloud(rows={"a.example.com": False}, errors={"replace": list(errors)})


def good(**overrides: object) -> FakeGateway:
    return cloud(name="b", rows={"b.example.com": False, "c.example.com": False}, **overrides)


def serial(gateway: FakeGateway) -> int | None:
    assert gateway.stored is not None
    return gateway.stored.serial_number


def test_what_is_bad_goes_back_although_another_deployment_is_to_be_tried_again() -> None:
    second = good()
    attempts = Attempts(Eyes(is_bad=True), throttled(), second)
    for _ in range(2):
        report = attempts.next()
        assert [one.reason for one in report.deployments] == ["throttled", "rolled_back"]
        assert serial(second) == BEFORE.leaf.serial_number
        assert any(why.transient for why in report.failures), "the other one is tried again"


def test_what_was_proven_in_one_attempt_is_not_proven_again_until_all_is_well() -> None:
    attempts = Attempts(eyes := Eyes(), throttled(2), good())
    assert [attempts.next().outcome for _ in range(3)] == ["failed", "failed", "succeeded"]
    assert [sorted(names) for names in eyes.asked] == [
        ["b.example.com", "c.example.com"],
        ["a.example.com", "b.example.com", "c.example.com"],
    ]


def test_what_could_not_be_seen_in_one_attempt_is_looked_at_in_the_next() -> None:
    second = good()
    attempts = Attempts(eyes := Eyes(is_blind=True), throttled(), second)
    assert [one.reason for one in attempts.next().deployments] == ["throttled", "chain_incomplete"]
    assert serial(second) == 4660, "nothing goes back for what nobody has seen"
    eyes.is_blind, eyes.is_bad = False, True
    assert [one.reason for one in attempts.next().deployments] == ["throttled", "rolled_back"]
    assert len(eyes.asked) == 2


@pytest.mark.parametrize("is_bad", [False, True])
def test_what_is_bound_is_proven_although_one_of_the_same_deployment_could_not_be(*, is_bad: bool) -> None:
    second = good()
    second.sick["c.example.com"] = AWAY
    attempts = Attempts(eyes := Eyes(is_bad=is_bad), cloud(rows={"a.example.com": False}), second)
    told = attempts.next().deployments[1]
    assert sorted(eyes.asked[0]) == ["a.example.com", "b.example.com"]
    assert (told.outcome, serial(second) == BEFORE.leaf.serial_number) == ("failed", is_bad)


def test_what_comes_later_is_all_that_is_proven_later() -> None:
    second = good()
    second.sick["c.example.com"] = AWAY
    attempts = Attempts(eyes := Eyes(), throttled(), second)
    attempts.next()
    second.sick.clear()
    attempts.next()
    attempts.next()
    assert eyes.asked == [["b.example.com"], ["c.example.com"]]


@pytest.mark.parametrize(
    ("beside", "asked"), [("b.example.com", [[MANY[0]]] * 3 + [[]]), (MANY[0], [[], [], [], [MANY[0]]])]
)
async def test_what_waves_have_proven_is_not_asked_again_as_what_belongs_to_no_binding(
    tmp_path: Path, beside: str, asked: list[list[str]]
) -> None:
    """It would take all deployments back. What others serve, too, no wave has proven."""
    places, proofs = Places(endpoints=(Probe(MANY[0], 443, MANY[0]),)), list[Collection[str]]()

    async def verify(served: Served, /) -> Sequence[Shortfall]:
        proofs.append([probe.server_name for probe in probes_of(places, served)])
        return ()

    async with stage(tmp_path) as one:
        both: dict[str, Any] = {"apig": one.gateway, "b": cloud(rows={beside: False})}
        rotator = Rotator(both, verify=verify, settle_seconds={"apig": 0})
        await rotator.rotate(certificate(one.deployment(), deployment(gateway="b")), NEW)
        assert proofs == asked
