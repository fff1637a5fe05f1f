"""A roll-back that does not end in one go, ends that nobody proved, and what there is no way back to."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.rotation.test_blue_green import BEGAN, MANY, NEW, Eyes, Stage, stage
from tests.rotation.test_put_back import BEFORE, Shelf, cloud
from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, current, day, deployment, domain, leaf, stored
from tests.support.virtual_time import run_virtual
from worker.carrying import Carrying
from worker.core.bundle import Bundle
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.errors import Failure, PermanentError, TransientError
from worker.core.moving import in_order
from worker.core.note import Note
from worker.core.outcome import BindingResult, DeploymentReport, Report
from worker.core.planning import Create, Modify, Observed, Plan, Stored, UploadEach
from worker.core.progress import Progress
from worker.core.proof import Served, Shortfall
from worker.core.reporting import not_planned
from worker.effort import Effort, spending
from worker.gateways.base import Gateway, OnResult
from worker.going_back import WayBack
from worker.proving import Proving
from worker.rotation import Rotator
from worker.settling import Settling, unheard

AWAY = Failure("gateway_unavailable", "away", transient=True)


class Slices:
    """A gateway at which so many bindings are attached; then one more takes for ever."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway, self.left = gateway, 10_000
        self.stuck: set[str] = set()
        """Cannot go back."""
        self.blind = 0
        """So many reads fail once something went back."""
        self.attached: list[tuple[str, int]] = []
        self.hangs = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gateway, name)

    async def observe(self, deployment: Deployment, leaf: Any, **how: Any) -> Observed:
        if self.blind and any(to == "shop" for to, _ in self.attached):
            self.blind -= 1
            raise TransientError("gateway_unavailable", "away")
        return await self.gateway.observe(deployment, leaf, **how)

    async def attach(
        self,
        deployment: Deployment,
        to: Stored,
        bindings: Sequence[Binding],
        bundle: Bundle | None,
        on_result: OnResult,
    ) -> Sequence[BindingResult]:
        self.attached.append((to.name, len(bindings)))
        here = [one for one in bindings if to.name != "shop" or one.name not in self.stuck]
        if len(here) > self.left:
            await self.gateway.attach(deployment, to, here[: self.left], bundle, on_result)
            self.hangs.set()
            await asyncio.Event().wait()
        self.left -= len(here)
        found = await self.gateway.attach(deployment, to, here, bundle, on_result) if here else ()
        by_binding = {one.binding: one for one in found}
        return [by_binding.get(one, BindingResult(one, "failed", AWAY)) for one in bindings]


@dataclass
class Attempts:
    """Of one renewal, by one worker or by one after the other."""

    one: Stage
    gateway: Any
    notes: list[Note] = field(default_factory=list)
    bindings: Sequence[Binding] | None = None
    """Instead of the stage's."""
    chance: Callable[[], float] = in_order
    rotator: Rotator = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Another life: it knows what was noted."""
        gateways, eyes = {"apig": self.gateway}, self.one.eyes
        self.rotator = Rotator(gateways, verify=eyes, settle_seconds={"apig": 0}, chance=self.chance)
        for note in self.notes:
            self.rotator.recall(NEW.leaf, {note.deployment: note.snapshot})

    async def keep(self, note: Note) -> None:
        self.notes.append(note)

    async def rotate(self) -> Report:
        target = self.one.deployment(bindings=self.bindings or self.one.bindings)
        with spending(Effort(keep=self.keep)):
            return await self.rotator.rotate(Certificate("shop", [target]), NEW)

    async def cut(self, hangs: asyncio.Event) -> None:
        """A time slice that ends when nothing moves any more."""
        hangs.clear()
        attempt = asyncio.create_task(self.rotate())
        await hangs.wait()
        attempt.cancel()
        await asyncio.wait([attempt])


async def test_what_could_not_go_back_is_all_that_later_attempts_move(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(lambda wave, _served: wave == 2)) as one:
        slices = Slices(one.gateway)
        slices.stuck = {MANY[0]}
        attempts = Attempts(one, slices)
        for _ in range(3):
            report = await attempts.rotate()
            assert (report.reason, one.bound()) == ("binding_failed", {"shop": 39, one.green: 1})
        assert [to for to, _ in slices.attached].count(one.green) == 2, "two waves, once"
        slices.stuck.clear()
        report = await attempts.rotate()
        [told] = report.deployments
        assert (told.reason, told.replaced, one.bound()) == ("rolled_back", False, {"shop": 40})
        assert [(it.binding.name, it.failure.reason) for it in told.bindings if it.failure] == [
            (MANY[3], "other_certificate")
        ]
        assert [it.state for it in told.bindings].count("rolled_back") == 4
        assert [why.transient for why in report.failures] == [False]


async def test_a_read_back_that_fails_after_everything_went_back_moves_nothing_forth_again(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(lambda _wave, _served: True)) as one:
        slices = Slices(one.gateway)
        slices.blind = 1
        attempts = Attempts(one, slices)
        assert (await attempts.rotate()).reason == "binding_failed"
        report = await attempts.rotate()
        assert (report.reason, one.bound(), len(slices.attached)) == ("rolled_back", {"shop": 40}, 2)


async def test_time_slices_that_end_in_mid_roll_back_come_to_an_end(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(lambda _wave, served: len(served.bindings) == len(MANY))) as one:
        slices = Slices(one.gateway)
        attempts = Attempts(one, slices)
        slices.left = 50
        await attempts.cut(slices.hangs)
        assert one.bound() == {"shop": 10, one.green: 30}
        slices.left = 20
        await attempts.cut(slices.hangs)
        assert one.bound() == {"shop": 30, one.green: 10}
        slices.left = 20
        report = await attempts.rotate()
        assert (report.reason, one.bound()) == ("rolled_back", {"shop": 40})


@pytest.mark.parametrize("is_all_back", [False, True])
async def test_another_life_goes_back_with_the_verdict_of_the_one_before(tmp_path: Path, *, is_all_back: bool) -> None:
    """Also where only the event is missing."""
    async with stage(tmp_path, Eyes(lambda wave, _served: wave == 3)) as one:
        slices = Slices(one.gateway)
        attempts = Attempts(one, slices)
        if is_all_back:
            await attempts.rotate()
        else:
            slices.left = 50
            await attempts.cut(slices.hangs)
            slices.left = 30
        slices.attached.clear()
        attempts.begin()
        report = await attempts.rotate()
        [told] = report.deployments
        assert (told.reason, one.bound()) == ("rolled_back", {"shop": 40})
        assert one.green not in dict(slices.attached), "nothing goes forth again"
        assert {it.state for it in told.bindings} == {"rolled_back"}
        assert [why.reason for why in report.failures] == ["other_certificate"]


async def test_a_wave_whose_proof_was_cut_short_is_proven_before_more_moves(tmp_path: Path) -> None:
    hangs = asyncio.Event()

    class Slow(Eyes):
        async def __call__(self, served: Served, /) -> Sequence[Shortfall]:
            found = await super().__call__(served)
            if len(self.waves) == 1:
                hangs.set()
                await asyncio.Event().wait()
            return found

    async with stage(tmp_path, Slow(lambda wave, _served: wave == 2)) as one:
        attempts = Attempts(one, one.gateway)
        await attempts.cut(hangs)
        attempts.begin()
        assert (await attempts.rotate()).reason == "rolled_back"
        assert one.eyes.waves == [1, 1], "no second wave"
        assert one.bound() == {"shop": 40}


async def test_what_has_expired_meanwhile_is_nothing_to_go_back_to(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(lambda wave, _served: wave == 3)) as one:
        rotator = Rotator(
            {"apig": one.gateway},
            verify=one.eyes,
            settle_seconds={"apig": 0},
            utc_now=lambda: BEGAN + timedelta(days=4000),
        )
        report = await rotator.rotate(Certificate("shop", [one.deployment()]), NEW)
        assert (report.reason, one.bound()) == ("other_certificate", {"shop": 0, one.green: 40})
        [why] = report.failures
        assert (why.transient, why.message.endswith("the certificate before has expired")) == (True, True)


class Written(FakeGateway):
    """Tells which leaf was put there, and fails when the old one is."""

    async def replace(self, deployment: Deployment, how: Modify | Create, bundle: Bundle) -> Stored:
        if bundle == BEFORE and self.errors.get("back"):
            raise self.errors["back"].pop()
        self.journal.append(f"put {bundle.leaf.serial_number}")
        return await FakeGateway.replace(self, deployment, how, bundle)


async def bad(served: Served, /) -> Sequence[Shortfall]:
    return [Shortfall(Failure("chain_incomplete", "at it", transient=True), served.bindings[0], "a.example.com:443")]


def written(gateway: Written) -> list[str]:
    return [one for one in gateway.journal if one.startswith("put ")]


def test_in_its_own_place_the_bad_one_is_put_there_once_however_long_the_way_back_takes() -> None:
    gateway = Written(stored(), {"a.example.com": False}, errors={"back": [TransientError("gateway_unavailable")] * 2})
    rotator = Rotator({"apig": gateway}, verify=bad, kept={"shop": Shelf(BEFORE)}, utc_now=lambda: day(10))

    def attempt() -> Report:
        return run_virtual(rotator.rotate(certificate(deployment()), bundle()))

    assert [attempt().reason for _ in range(3)] == ["binding_failed", "binding_failed", "rolled_back"]
    assert written(gateway) == ["put 4660", "put 1"]


def test_in_its_own_place_what_is_back_but_not_read_back_is_not_written_again() -> None:
    gateway = Written(stored(), {"a.example.com": False})
    rotator = Rotator({"apig": gateway}, verify=bad, kept={"shop": Shelf(BEFORE)}, utc_now=lambda: day(10))

    async def verify(served: Served, /) -> Sequence[Shortfall]:
        gateway.sick["a.example.com"] = AWAY
        return await bad(served)

    first = Rotator({"apig": gateway}, verify, kept=rotator.kept, utc_now=lambda: day(10))
    assert run_virtual(first.rotate(certificate(deployment()), bundle())).reason == "binding_failed"
    gateway.sick.clear()
    report = run_virtual(first.rotate(certificate(deployment()), bundle()))
    assert (report.reason, written(gateway)) == ("rolled_back", ["put 4660", "put 1"])


def test_what_is_back_in_its_own_place_is_told_with_its_own_end() -> None:
    gateway = cloud()
    rotator = Rotator({"apig": gateway}, verify=bad, kept={"shop": Shelf(BEFORE)}, utc_now=lambda: day(10))
    [told] = run_virtual(rotator.rotate(certificate(deployment()), bundle())).deployments
    assert (told.reason, told.replaced, told.not_after) == ("rolled_back", False, BEFORE.leaf.not_after)


def at_two(first: FakeGateway, second: FakeGateway, *, is_bad: bool = True) -> tuple[Report, list[Served]]:
    """What `second` serves is proven bad, where it is proven at all."""
    asked: list[Served] = []

    async def verify(served: Served, /) -> Sequence[Shortfall]:
        asked.append(served)
        return await bad(served) if is_bad else ()

    shelf = Shelf(BEFORE)
    rotator = Rotator({"apig": first, "b": second}, verify, kept={"shop": shelf}, utc_now=lambda: day(10))
    both = Certificate("shop", [deployment(), deployment(gateway="b")])
    return run_virtual(rotator.rotate(both, bundle())), asked


def test_what_went_well_is_proven_although_another_deployment_failed_for_good() -> None:
    sick = cloud(errors={"replace": [PermanentError("forbidden")]})
    second = cloud(name="b")
    report, [asked] = at_two(sick, second)
    assert [one.reason for one in report.deployments] == ["forbidden", "rolled_back"]
    assert second.stored is not None
    assert second.stored.serial_number == BEFORE.leaf.serial_number
    assert not asked.is_whole, "what belongs to no binding may be the other deployment's"


def test_what_went_well_is_proven_although_something_newer_was_found_elsewhere() -> None:
    newer = stored(serial_number=9, not_before=day(25), not_after=day(28))
    for is_bad in (True, False):
        report, asked = at_two(cloud(stored=newer), cloud(name="b"), is_bad=is_bad)
        assert [one.reason for one in report.deployments] == ["downgrade", "rolled_back" if is_bad else "rotated"]
        assert len(asked) == 1


@pytest.mark.parametrize("is_transient", [False, True])
@pytest.mark.parametrize("is_blind", [False, True])
def test_only_what_was_proven_lets_its_old_uploads_go(*, is_transient: bool, is_blind: bool) -> None:
    gateway, asked = cloud(), list[Served]()

    async def verify(served: Served, /) -> Sequence[Shortfall]:
        asked.append(served)
        failure = Failure("not_reachable", "at it", transient=True)
        return [Shortfall(failure, domain(), "a.example.com:443", is_blind=True)] if is_blind else ()

    todo = Plan(UploadEach(), (domain(),), (), retire=(stored(certificate_id="c8"),))
    proving = Proving(verify, certificate(deployment(), deployment(gateway="b")), bundle())
    settling, results = Settling(gateway, deployment(), leaf(), 0), (BindingResult(domain(), "attached"),)
    uploaded = Carrying(settling, bundle(), proving, WayBack(settling), unheard, Progress(todo, results=results))
    failed = not_planned(deployment(gateway="b"), Failure("sick", "", transient=is_transient))
    told = DeploymentReport(deployment(), "succeeded", "rotated")
    run_virtual(proving.concluded([(told, uploaded), (failed, None)]))
    assert (len(asked), gateway.retired) == (1, [] if is_blind else ["c8"])


def test_what_another_worker_found_bad_goes_back_although_this_one_began_it() -> None:
    gateway = Written(current(), {"a.example.com": False})
    asked: list[Served] = []

    async def verify(served: Served, /) -> Sequence[Shortfall]:
        asked.append(served)
        return ()

    rotator = Rotator({"apig": gateway}, verify, kept={"shop": Shelf(BEFORE)}, utc_now=lambda: day(10))
    gateway.stored = stored()
    gateway.errors["replace"] = [TransientError("gateway_unavailable")]
    notes: list[Note] = []

    async def keep(note: Note) -> None:
        notes.append(note)

    with spending(Effort(keep=keep)):
        run_virtual(rotator.rotate(certificate(deployment()), bundle()))
    [note] = notes
    shortfall = Shortfall(Failure("still_old", "there", transient=True), domain(), "a.example.com:443")
    gateway.stored = current()

    async def later() -> Report:
        rotator.recall(leaf(), {note.deployment: note.snapshot.condemned((), [shortfall])})
        return await rotator.rotate(certificate(deployment()), bundle())

    report = run_virtual(later())
    assert (report.reason, [why.reason for why in report.failures], asked) == ("rolled_back", ["still_old"], [])
