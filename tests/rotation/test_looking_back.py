"""After the way back clients are looked at once more: at a simulated APIG, by real handshakes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from structlog.testing import capture_logs

from tests.rotation.test_blue_green import MANY, NEW, OLD, Eyes, Stage, stage
from tests.support.gateways import AUTHORITY
from tests.support.values import certificate, deployment, domain, stored
from tests.verification.servers import Server, serving
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.errors import PermanentError
from worker.core.outcome import DeploymentReport
from worker.core.planning import Bound, Keep, Observed, Plan, Superseded
from worker.core.proof import Served, Shortfall
from worker.core.waiting import Step, names_at
from worker.looking_back import LookingBack
from worker.rotation import Rotator
from worker.sandbox.ca import Issued
from worker.verification import Probing
from worker.verification.expected import expected_of
from worker.verification.looking import Probe
from worker.verification.places import Places

OTHER = AUTHORITY.issue(["*.example.com"])


class Watched:
    """Real probes at one server; what happens before the last look, and which certificates there are at each."""

    def __init__(self, one: Stage, port: int, meanwhile: Callable[[], object], within: float = 0) -> None:
        self.endpoints = (Probe("127.0.0.1", port, MANY[0]),)
        self.one, self.meanwhile, self.within = one, meanwhile, within
        self.stored: list[Mapping[str, int]] = []

    def probing(self, within: float = 0) -> Probing:
        return Probing({"shop": Places(endpoints=self.endpoints, within=within)}, lambda: datetime.now(UTC))

    async def __call__(self, served: Served, /) -> Sequence[Shortfall]:
        self.stored.append(self.one.bound())
        if len(self.stored) == 1:
            return await self.probing()(served)
        self.meanwhile()
        return await self.probing(self.within)(served)

    async def rotate(self, *more: Deployment) -> DeploymentReport:
        asked, gateways = self.probing().behind, {"apig": self.one.gateway}
        rotator = Rotator(gateways, verify=self, settle_seconds={"apig": 0}, asked=asked)
        shop = Certificate("shop", [self.one.deployment(waves=(1, 1.0)), *more])
        return (await rotator.rotate(shop, NEW)).deployments[0]


def why(told: DeploymentReport) -> str:
    [message] = [one.failure.message for one in told.bindings if one.failure is not None]
    return message


@pytest.mark.parametrize(("then", "is_served"), [(OLD, True), (OTHER, False)])
async def test_whether_the_one_before_is_served_again_is_told(tmp_path: Path, then: Issued, *, is_served: bool) -> None:
    async with stage(tmp_path) as one, serving(Server(tmp_path, OTHER)) as server:
        watched = Watched(one, server.port, lambda: server.show(then))
        with capture_logs() as logs:
            told = await watched.rotate()
        assert (told.reason, [it.state for it in told.bindings].count("rolled_back")) == ("rolled_back", 1)
        assert why(told).endswith("served again" if is_served else "not proven")
        [line] = [line for line in logs if line["event"] == "deployment.looked_back"]
        assert (line["served_again"], line["bindings"]) == (is_served, 1)
        assert watched.stored == [{"shop": 39, one.green: 1}, {"shop": 40, one.green: 0}]
        assert one.bound() == {"shop": 40}, "the bad one is deleted once it was looked for"


async def test_nodes_that_lag_are_waited_for(tmp_path: Path) -> None:
    async with stage(tmp_path) as one, serving(Server(tmp_path, OTHER)) as server:
        watched = Watched(one, server.port, lambda: server.swap_at_the_next_look(OLD), within=30)
        told = await watched.rotate()
    assert why(told).endswith("served again")


async def test_where_nobody_is_asked_nothing_is_said_of_it(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        rotator = Rotator({"apig": one.gateway}, verify=Eyes(lambda *_: True), asked=lambda _served: {})
        [told] = (await rotator.rotate(Certificate("shop", [one.deployment()]), NEW)).deployments
    assert (told.reason, why(told)) == ("rolled_back", "at 127.0.0.1")


async def test_a_name_that_another_deployment_serves_too_says_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        asked = Served("", None, (Binding("domain", MANY[0], one.instance),), serials=frozenset({"1"}))
        both = [one.deployment(bindings=one.bindings[:3]), one.deployment(name="other", bindings=one.bindings[2:])]
        found = list[Served]()

        async def verify(served: Served, /) -> Sequence[Shortfall]:
            found.append(served)
            return ()

        shop, steps = Certificate("shop", both), [PermanentError("forbidden")] * 2
        looking = LookingBack(verify, lambda it: {"somewhere": it.bindings}, shop, both[0], steps, NEW.leaf)
        assert await looking(asked)
        [seen] = found
        assert (seen.certificate, seen.previous) == ("shop", (str(NEW.leaf.serial_number),))
        assert (seen.is_whole, seen.waiting) == (False, frozenset(MANY[2:]))


def test_what_another_deployment_serves_is_what_was_seen_of_it_whatever_comes_of_it() -> None:
    moved, listed, newer = (domain(f"{one}.example.com") for one in "abc")
    green = stored(certificate_id="green")
    seen = Observed(green, [Bound(one, green) for one in (moved, newer)])
    attached, both = deployment(bindings=None), deployment(bindings=[moved, listed])
    assert names_at(attached, Superseded(green, seen)) == {moved.name, newer.name}
    assert names_at(attached, Plan(Keep(green), (), (moved,), seen=seen)) == {moved.name, newer.name}
    assert names_at(attached, Plan(Keep(green), (), (moved,), seen=seen), but=[moved]) == {newer.name}
    assert names_at(both, PermanentError("forbidden")) == names_at(both, None) == {moved.name, listed.name}
    assert names_at(attached, None) == frozenset()


async def test_a_name_that_something_newer_serves_elsewhere_says_nothing() -> None:
    here, there = deployment(bindings=(domain(),)), deployment(gateway="other", bindings=None)
    newer = stored(certificate_id="newer")
    steps: list[Step] = [PermanentError("forbidden"), Superseded(newer, Observed(newer, [Bound(domain(), newer)]))]
    looking = LookingBack(
        Eyes(lambda *_: True),
        lambda it: {} if it.waiting else {"at": ()},
        certificate(here, there),
        here,
        steps,
        NEW.leaf,
    )
    assert await looking(Served("", None, (domain(),), serials=frozenset({"1"}))) is None


@pytest.mark.parametrize(
    ("serials", "ends", "bad", "reason"),
    [
        ([OLD], [], [], None),
        ([OTHER], [], [], "other_certificate"),
        ([], [OLD], [], None),
        ([], [OTHER], [], "other_certificate"),
        ([], [OLD], [OLD], "other_certificate"),
    ],
)
def test_it_is_known_by_its_serial_number_or_its_end_and_is_never_the_bad_one(
    serials: list[Issued], ends: list[Issued], bad: list[Issued], reason: str | None
) -> None:
    until = frozenset(one.certificate.not_valid_after_utc for one in ends)
    again = frozenset(str(one.serial_number) for one in serials)
    served = Served("shop", None, (), [str(one.serial_number) for one in bad], expiries=until, serials=again)
    der = OLD.certificate.public_bytes(Encoding.DER)
    assert expected_of(served, datetime.now(UTC)).shortfall([der], MANY[0]) == reason
    assert expected_of(served, datetime.now(UTC)).shortfall([der], "another.test") == "other_certificate"
    assert expected_of(served, datetime.now(UTC)).shortfall([], MANY[0]) == "not_reachable"
