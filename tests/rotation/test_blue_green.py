"""Blue and green at a simulated APIG: moved in waves, proven wave by wave, and back where a wave is bad."""

import errno
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateways import AUTHORITY, apig, checked
from worker.core.bundle import Bundle
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.errors import Failure
from worker.core.outcome import DeploymentReport, Report
from worker.core.proof import Reach, Served, Shortfall
from worker.gateways.base import Gateway
from worker.rotation import Rotator
from worker.sandbox import Sandbox
from worker.sandbox.world import Fault, World
from worker.verification.places import Places, probes_of

MANY = tuple(f"host-{number:03}.example.com" for number in range(40))
BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=60)
OLD = AUTHORITY.issue(["*.example.com"], not_before=BEGAN)
NEW = checked(AUTHORITY.issue(["*.example.com"]))


@dataclass
class Eyes:
    """Sees what is bound where, and finds fault with it when told to."""

    is_bad: Callable[[int, Served], bool] = lambda _wave, _served: False
    waves: list[int] = field(default_factory=list)
    finds: Callable[[int, Served], Sequence[Shortfall]] | None = None
    """Instead."""

    async def __call__(self, served: Served, /) -> Sequence[Shortfall]:
        self.waves.append(len(served.bindings))
        if self.finds is not None:
            return self.finds(len(self.waves), served)
        if not self.is_bad(len(self.waves), served):
            return ()
        failure = Failure("other_certificate", "at 127.0.0.1", transient=True)
        return [Shortfall(failure, served.bindings[-1], "host:443")]


@dataclass
class Stage:
    world: World
    gateway: Gateway
    instance: str
    blue: str
    eyes: Eyes
    claimed: list[str] = field(default_factory=list)
    """By other deployments."""

    @property
    def bindings(self) -> Sequence[Binding]:
        return tuple(Binding("domain", name, self.instance) for name in MANY)

    def deployment(self, **overrides: Any) -> Deployment:
        fields: dict[str, Any] = {"certificate_id": None, "name": "shop", "bindings": self.bindings}
        return Deployment(**{"gateway": "apig", "strategy": "blue_green", **fields, **overrides})

    async def rotate(self, **overrides: Any) -> DeploymentReport:
        [report] = (await self.report(**overrides)).deployments
        return report

    async def report(self, bundle: Bundle = NEW, **overrides: Any) -> Report:
        claimed = frozenset(("apig", one) for one in self.claimed)
        rotator = Rotator({"apig": self.gateway}, verify=self.eyes, settle_seconds={"apig": 0}, claimed=claimed)
        return await rotator.rotate(Certificate("shop", [self.deployment(**overrides)]), bundle)

    def bound(self) -> Mapping[str, int]:
        """How many domains are bound to each stored certificate, by name."""
        return {one.name: len(self.world.bound_to(one.id)) for one in self.world.certificates.values()}

    @property
    def green(self) -> str:
        return f"shop_{NEW.leaf.fingerprint_sha256[:12]}"


@asynccontextmanager
async def stage(folder: Path, eyes: Eyes | None = None, name: str = "shop") -> AsyncIterator[Stage]:
    async with Sandbox() as sandbox, apig(sandbox, folder) as gateway:
        world = sandbox.world
        instance = world.add_instance()
        group = world.add_group(instance)
        blue = world.add_certificate(OLD, name)
        world.bind(blue, *(world.add_domain(group, one, client_verification=one == MANY[3]) for one in MANY))
        yield Stage(world, gateway, instance, blue, eyes or Eyes())


async def test_bindings_move_in_waves_each_proven_before_the_next(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        report = await one.rotate()
        assert (report.outcome, report.reason, one.eyes.waves) == ("succeeded", "rotated", [1, 4, 40])
        assert one.bound() == {one.green: 40}, "the old one is gone"
        assert [domain.name for domain in one.world.domains.values() if domain.client_verification] == [MANY[3]]


@pytest.mark.parametrize("bad", [1, 2, 3])
async def test_a_bad_wave_puts_everything_back_and_leaves_nothing(tmp_path: Path, bad: int) -> None:
    async with stage(tmp_path, Eyes(lambda wave, _served: wave == bad)) as one:
        report = await one.rotate()
        moved = {1: 1, 2: 4, 3: 40}[bad]
        states = [result.state for result in report.bindings]
        assert (report.outcome, report.reason, report.replaced) == ("failed", "rolled_back", False)
        assert (states.count("rolled_back"), states.count("unchanged")) == (moved, 40 - moved)
        [why] = report.failures
        assert (why.reason, why.transient) == ("other_certificate", False)
        assert one.bound() == {"shop": 40}
        assert [domain.name for domain in one.world.domains.values() if domain.client_verification] == [MANY[3]]


@pytest.mark.parametrize(("first", "moved"), [(3, 1), (0, 4), (10, 40)])
async def test_a_domain_that_loses_client_verification_for_good_takes_everything_back(
    tmp_path: Path, first: int, moved: int
) -> None:
    async with stage(tmp_path) as one:
        one.world.flagless.add(one.green)
        report = await one.rotate(bindings=(*one.bindings[first:], *one.bindings[:first]))
        states = [result.state for result in report.bindings]
        assert (report.reason, states.count("rolled_back"), one.bound()) == ("rolled_back", moved, {"shop": 40})
        assert [why.reason for why in report.failures] == ["client_verification_changed"]
        assert [domain.name for domain in one.world.domains.values() if domain.client_verification] == [MANY[3]]


async def test_client_verification_that_was_off_before_is_no_reason_to_go_back(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.world.flagless.add(one.green)
        one.world.domains = {it.id: replace(it, client_verification=False) for it in one.world.domains.values()}
        wanted = tuple(it.with_flag(True) if it.name == MANY[3] else it for it in one.bindings)
        report = await one.rotate(bindings=wanted)
        assert (report.reason, one.bound()) == ("client_verification_changed", {"shop": 0, one.green: 40})


@pytest.mark.parametrize("bad", [1, 2, 3])
@pytest.mark.parametrize("others", [0, 40])
async def test_a_domain_that_had_nothing_before_has_nothing_again(tmp_path: Path, bad: int, others: int) -> None:
    async with stage(tmp_path, Eyes(lambda wave, _served: wave == min(bad, 1 + others))) as one:
        fresh = one.world.domains[one.world.add_domain(one.world.add_group(one.instance), "fresh.example.com")]
        report = await one.rotate(bindings=(Binding("domain", fresh.name), *one.bindings[:others]))
        states = {result.state for result in report.bindings}
        assert (report.reason, report.replaced, one.bound()) == ("rolled_back", False, {"shop": 40})
        assert (fresh.certificate_id, states <= {"rolled_back", "unchanged"}) == (None, True)


async def test_domains_go_back_to_a_certificate_of_any_name(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(lambda wave, _served: wave == 2), name="by_hand") as one:
        assert (await one.rotate()).reason == "rolled_back"
        assert one.bound() == {"by_hand": 40}


async def test_a_sick_domain_stays_where_it_is_and_stops_no_other(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        sick = Binding("domain", "gone.example.com", one.instance)
        report = await one.rotate(bindings=(sick, *one.bindings))
        assert [(it.binding.name, it.state) for it in report.bindings if it.failure] == [(sick.name, "failed")]
        assert one.bound() == {"shop": 0, one.green: 40}, "the old one stays as long as something failed"
        assert one.eyes.waves == [1, 4, 40]


@pytest.mark.parametrize("found", [Reach(), Reach(frozenset({"shop:443"}))])
async def test_before_the_first_change_is_looked_at_all_and_by_later_attempts_before_each_wave(
    tmp_path: Path, found: Reach
) -> None:
    looks = list[int]()

    async def look(served: Served, /) -> Reach:
        looks.append(len(served.bindings))
        return found

    async with stage(tmp_path) as one:
        one.world.faults.append(Fault("attach_domains", status=403, body={"error_code": "APIG.1005"}, times=1))
        rotator = Rotator({"apig": one.gateway}, verify=one.eyes, settle_seconds={"apig": 0}, looks=look)
        for outcome, expected in (("failed", [40]), ("succeeded", [40])):
            looks.clear()
            report = await rotator.rotate(Certificate("shop", [one.deployment()]), NEW)
            assert (report.outcome, looks) == (outcome, expected)


async def test_where_the_gateway_is_away_the_rest_stays_and_the_next_attempt_goes_on(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.world.faults.append(Fault("attach_domains", status=403, body={"error_code": "APIG.1005"}, times=1))
        report = await one.rotate()
        assert report.outcome == "failed"
        assert one.bound()[one.green] == 39
        assert (await one.rotate()).outcome == "succeeded"
        assert one.bound() == {one.green: 40}


async def test_a_full_quota_is_relieved_of_what_earlier_attempts_left(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.world.add_certificate(OLD, "shop_" + "0" * 12)
        one.world.certificate_quota = 2
        assert (await one.rotate()).outcome == "succeeded"
        assert one.bound() == {one.green: 40}


async def test_a_full_quota_with_nothing_left_over_has_its_own_reason(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.world.certificate_quota = 1
        report = await one.rotate()
        assert (report.reason, report.failures[0].transient, one.bound()) == ("quota", False, {"shop": 40})
        assert report.certificate_id == one.blue, "it is what is served"


async def test_what_another_deployment_claims_makes_no_room(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.claimed.append(name := "shop_" + "0" * 12)
        one.world.add_certificate(OLD, name)
        one.world.certificate_quota = 2
        assert (await one.rotate()).reason == "quota"
        assert one.bound() == {"shop": 40, name: 0}


async def test_the_old_one_is_kept_where_it_shall_be(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        assert (await one.rotate(retire_after_seconds=3600)).outcome == "succeeded"
        assert one.bound() == {"shop": 0, one.green: 40}
        assert (await one.rotate(retire_after_seconds=3600)).reason == "already_current"
        assert one.bound() == {"shop": 0, one.green: 40}


async def test_what_is_shown_with_both_is_detached_before_the_old_one_goes(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.world.attach_adds = True
        assert (await one.rotate()).outcome == "succeeded"
        assert one.bound() == {one.green: 40}


@pytest.mark.parametrize("adds", [False, True])
async def test_what_somebody_put_back_to_the_old_one_keeps_it_and_is_never_left_with_none(
    tmp_path: Path, *, adds: bool
) -> None:
    async with stage(tmp_path) as one:
        one.world.attach_adds = adds
        put_back = next(it for it in one.world.domains.values() if it.name == MANY[0])

        def finds(wave: int, _served: Served) -> Sequence[Shortfall]:
            if wave == 3:
                one.world.bind(one.blue, put_back.id)
            return ()

        one.eyes.finds = finds
        await one.rotate()
        assert put_back.certificate_id == one.blue
        assert one.bound()[one.green] == 39
        assert not [call for call in one.world.calls("detach_domains") if MANY[0] in str(call.facts)]
        assert {it.certificate_id for it in one.world.domains.values()} <= one.world.certificates.keys()


async def test_the_old_one_stays_while_anything_else_is_bound_to_it(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        few = one.bindings[:10]
        assert (await one.rotate(bindings=few)).outcome == "succeeded"
        assert one.bound() == {"shop": 30, one.green: 10}


async def test_attached_means_what_is_bound_to_its_own(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        assert (await one.rotate(bindings=None)).outcome == "succeeded"
        assert one.bound() == {one.green: 40}


async def test_what_has_not_moved_yet_is_named_to_whoever_proves_what_has(tmp_path: Path) -> None:
    seen: list[int] = []

    def look(_wave: int, served: Served) -> bool:
        seen.append(len(served.waiting))
        return False

    async with stage(tmp_path, Eyes(look)) as one:
        await one.rotate()
        assert seen == [39, 36, 0]


def seen_nothing(_wave: int, served: Served) -> Sequence[Shortfall]:
    failure = Failure("not_reachable", "at 127.0.0.1", transient=True)
    return [Shortfall(failure, served.bindings[-1], "host:443", is_blind=True)]


async def test_where_nothing_can_be_seen_nothing_goes_back_and_nothing_more_moves_until_it_can(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        rotator = Rotator({"apig": one.gateway}, verify=one.eyes, settle_seconds={"apig": 0})
        certificate = Certificate("shop", [one.deployment()])
        one.eyes.finds = seen_nothing
        for _attempt in range(3):
            report = await rotator.rotate(certificate, NEW)
            assert (report.outcome, report.reason) == ("failed", "not_reachable")
            assert [(why.transient, why.is_attempt) for why in report.failures] == [(True, True)]
            assert len(report.deployments[0].bindings) == 40
            assert one.bound() == {"shop": 39, one.green: 1}
        one.eyes.finds = None
        assert (await rotator.rotate(certificate, NEW)).outcome == "succeeded"
        assert one.bound() == {one.green: 40}


async def test_where_the_worker_has_no_room_to_prove_nothing_goes_back(tmp_path: Path) -> None:
    def crowded(_wave: int, _served: Served) -> Sequence[Shortfall]:
        raise BaseExceptionGroup("probes", [OSError(errno.EMFILE, "too many")])

    async with stage(tmp_path) as one:
        one.eyes.finds = crowded
        report = await one.rotate()
        assert (report.reason, [why.transient for why in report.failures]) == ("worker_exhausted", [True])
        assert one.bound() == {"shop": 39, one.green: 1}


async def test_names_on_two_instances_are_moved_and_proven_together(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        group = one.world.add_group(second := one.world.add_instance())
        one.world.bind(one.blue, *(one.world.add_domain(group, name) for name in MANY))

        def still_old(_wave: int, served: Served) -> Sequence[Shortfall]:
            """As a handshake sees it, that may meet either instance."""
            old = {domain.name for domain in one.world.bound_to(one.blue)}
            asked = probes_of(Places(domains=True), served)
            failure = Failure("still_old", "at 127.0.0.1", transient=True)
            return [
                Shortfall(failure, behind[0], probe.endpoint)
                for probe, behind in asked.items()
                if probe.server_name in old
            ]

        one.eyes.finds = still_old
        both = tuple(Binding("domain", name, at) for at in (one.instance, second) for name in MANY)
        assert (await one.rotate(bindings=both)).outcome == "succeeded"
        assert one.eyes.waves == [2, 8, 80]
        assert one.bound() == {one.green: 80}
