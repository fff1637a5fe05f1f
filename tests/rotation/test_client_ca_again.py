"""A client CA that a write has lost: the next attempt, of whichever worker, does not take it for done."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.apig_shop import NEW, NEW_ISSUED, OLD, Shop, shop
from tests.support.fake_gateway import FakeGateway
from tests.support.gateways import AUTHORITY, checked
from tests.support.values import bundle, certificate, deployment, domain, leaf, stored
from worker.carrying import Carrying
from worker.core.bundle import Bundle
from worker.core.deployment import Deployment
from worker.core.errors import PermanentError
from worker.core.note import Note
from worker.core.outcome import DeploymentReport
from worker.core.planning import Keep, Modify, Plan, Stored
from worker.core.progress import Progress
from worker.core.snapshot import Snapshot
from worker.core.strategies import with_client_ca
from worker.core.urgency import Urgency
from worker.core.waiting import Step
from worker.effort import Effort, spending
from worker.going_back import WayBack
from worker.rotation import Rotator
from worker.settling import Settling

CA = AUTHORITY.root_pem
GREEN = f"shop_{NEW.leaf.fingerprint_sha256[:12]}"
LOST = "client_verification_changed"


@dataclass
class Shelf:
    """What was there before is kept."""

    material: Bundle = field(default_factory=lambda: checked(OLD))

    async def keep(self, _certificate: str, brought: Bundle) -> None:
        self.material = brought

    async def last(self, _certificate: str) -> Bundle | None:
        return self.material


@dataclass
class Scene:
    """Whoever attempts anything is another process, and knows of the last one no more than it has noted."""

    shop: Shop
    deployment: Deployment
    is_kept: bool = False
    notes: list[Note] = field(default_factory=list)

    def _rotator(self) -> Rotator:
        kept = {"shop": Shelf()} if self.is_kept else {}
        return Rotator({"apig": self.shop.gateway}, kept=kept, settle_seconds={"apig": 0})

    async def step(self, kept: Mapping[str, Snapshot] | None = None) -> Step:
        rotator = self._rotator()
        rotator.recall(NEW.leaf, kept or {})
        [step] = await rotator.plans(certificate(self.deployment), NEW.leaf)
        return step

    async def attempt(self, *, notes: Sequence[Note] = ()) -> DeploymentReport:
        async def keep(note: Note) -> None:
            self.notes.append(note)

        rotator = self._rotator()
        rotator.recall(NEW.leaf, {one.deployment: one.snapshot for one in notes})
        with spending(Effort(keep=keep)):
            [report] = (await rotator.rotate(certificate(self.deployment), NEW)).deployments
        return report

    def shown(self) -> Mapping[str, tuple[bool, int]]:
        """By name whether it has a client CA, and how many domains that ask for certificates are bound to it."""
        world = self.shop.world
        return {
            one.name: (
                one.trusted_root_ca is not None,
                sum(it.client_verification for it in world.bound_to(one.id)),
            )
            for one in world.certificates.values()
        }

    @property
    def serial(self) -> int:
        return self.shop.world.certificates[self.shop.certificate_id].leaf.serial_number


@asynccontextmanager
async def scene(folder: Path, *, drops: int, is_kept: bool = False, **overrides: Any) -> AsyncIterator[Scene]:
    async with shop(folder) as one:
        one.world.certificates[one.certificate_id].trusted_root_ca = CA
        for domain in one.world.bound_to(one.certificate_id):
            domain.client_verification = True
        one.world.drops_client_ca = drops
        yield Scene(one, one.deployment(trusted_root_ca=CA, **overrides), is_kept)


def blue_green(folder: Path, drops: int) -> Any:
    return scene(folder, drops=drops, strategy="blue_green", certificate_id=None, name="shop")


async def test_what_is_created_without_its_client_ca_is_deleted_and_created_again(tmp_path: Path) -> None:
    async with blue_green(tmp_path, drops=1) as one:
        report = await one.attempt()
        assert (report.outcome, report.reason, one.shown()) == ("failed", LOST, {"shop": (True, 3)})
        report = await one.attempt()
        assert (report.outcome, one.shown()) == ("succeeded", {GREEN: (True, 3)})


@pytest.mark.parametrize(
    ("drops", "outcome", "shown"),
    [
        (0, "succeeded", {GREEN: (True, 3)}),
        (1, "failed", {"shop": (True, 3), GREEN: (False, 0)}),
    ],
)
async def test_nothing_moves_to_what_a_worker_that_died_has_created_without_its_client_ca(
    tmp_path: Path, drops: int, outcome: str, shown: Mapping[str, tuple[bool, int]]
) -> None:
    """Nothing is noted, either: so does a sweep find it."""
    async with blue_green(tmp_path, drops) as one:
        one.shop.world.add_certificate(NEW_ISSUED, GREEN)
        report = await one.attempt()
        assert (report.outcome, one.shown()) == (outcome, shown)
        assert outcome == "succeeded" or report.reason == LOST


async def test_what_has_moved_to_one_that_has_no_client_ca_goes_back_if_it_cannot_have_it(tmp_path: Path) -> None:
    async with blue_green(tmp_path, drops=1) as one:
        one.shop.world.bind(one.shop.world.add_certificate(NEW_ISSUED, GREEN), one.shop.domains[0][0])
        report = await one.attempt()
        states = sorted(result.state for result in report.bindings)
        assert (report.reason, states) == ("rolled_back", ["rolled_back", "unchanged", "unchanged"])
        assert one.shown() == {"shop": (True, 3)}


async def test_what_has_no_way_back_and_cannot_have_its_client_ca_is_told_as_failed(tmp_path: Path) -> None:
    """All of it is there already, and nothing tells where it came from: the old one stays."""
    async with blue_green(tmp_path, drops=1) as one:
        one.shop.world.bind(one.shop.world.add_certificate(NEW_ISSUED, GREEN), *one.shop.domains[0])
        report = await one.attempt()
        assert (report.outcome, report.reason) == ("failed", LOST)
        assert {result.state for result in report.bindings} == {"failed"}
        assert one.shown() == {"shop": (True, 0), GREEN: (False, 3)}


async def test_a_sweep_finds_what_serves_without_the_client_ca_of_the_one_before(tmp_path: Path) -> None:
    async with blue_green(tmp_path, drops=0) as one:
        one.shop.world.bind(one.shop.world.add_certificate(NEW_ISSUED, GREEN), *one.shop.domains[0])
        step = await one.step()
        assert isinstance(step, Plan)
        assert isinstance(step.replacement, Modify)


@pytest.mark.parametrize(("drops", "told"), [(1, ("succeeded", "rotated")), (2, ("failed", LOST))])
async def test_a_put_that_lost_the_client_ca_is_made_again_by_the_next_attempt(
    tmp_path: Path, drops: int, told: tuple[str, str]
) -> None:
    async with scene(tmp_path, drops=drops) as one:
        report = await one.attempt()
        assert (report.reason, one.shown()["shop"][0]) == (LOST, False)
        report = await one.attempt(notes=one.notes)
        assert (report.outcome, report.reason) == told
        assert one.shown() == {"shop": (drops == 1, 3)}


@pytest.mark.parametrize(("drops", "told"), [(1, "rotated"), (2, "rolled_back")])
async def test_after_a_worker_that_died_behind_such_a_put_all_is_new_or_all_is_back(
    tmp_path: Path, drops: int, told: str
) -> None:
    async with scene(tmp_path, drops=drops) as one:
        await one.attempt()  # as far as one that dies comes, and no more is noted
        [note] = one.notes
        one.is_kept = True
        report = await one.attempt(notes=[note])
        assert (report.reason, one.shown()) == (told, {"shop": (True, 3)})
        is_back = one.serial == checked(OLD).leaf.serial_number
        assert is_back is (told == "rolled_back")


async def test_a_way_back_that_lost_the_client_ca_too_is_gone_on_with(tmp_path: Path) -> None:
    async with scene(tmp_path, drops=2, is_kept=True) as one:
        report = await one.attempt()
        assert (report.outcome, one.shown()["shop"][0]) == ("failed", False)
        assert report.reason != "rolled_back"
        step = await one.step({one.notes[-1].deployment: one.notes[-1].snapshot})
        assert isinstance(step, Plan)
        assert isinstance(step.replacement, Keep), "what is there has to be written in any case"
        report = await one.attempt(notes=one.notes[-1:])
        assert (report.reason, one.shown()) == ("rolled_back", {"shop": (True, 3)})


async def test_where_there_was_no_client_ca_none_is_missed(tmp_path: Path) -> None:
    """In its own place none is sent, whatever the settings have, and none is noted."""
    async with scene(tmp_path, drops=0) as one:
        one.shop.world.certificates[one.shop.certificate_id].trusted_root_ca = None
        assert (await one.attempt()).reason == "rotated"
        assert (await one.attempt(notes=one.notes)).outcome == "succeeded"
        assert len(one.shop.world.calls("modify_certificate")) == 1
        assert not any(note.snapshot.has_client_ca for note in one.notes)


def test_what_is_written_again_for_its_chain_has_its_client_ca_too() -> None:
    there = Stored("c1", "shop", has_trusted_root_ca=False)
    target = deployment(trusted_root_ca=CA)
    todo = Plan(Modify(there), attach=[domain()], unchanged=[])
    assert with_client_ca(target, todo).replacement == Modify(replace(there, has_trusted_root_ca=True))
    assert with_client_ca(deployment(), todo) == todo


async def test_what_stays_on_an_exposed_key_for_a_client_ca_that_is_lost_is_told_as_failed_in_passing() -> None:
    moved, left = domain("a.example.com"), domain("b.example.com")
    target = deployment(strategy="blue_green", certificate_id=None, name="shop", trusted_root_ca=CA)
    gateway = FakeGateway(stored(), {}, errors={"replace": [PermanentError(LOST, "lost its client CA")]})
    settling = Settling(gateway, target, leaf(), 0.0)
    todo = Plan(Modify(stored()), attach=[left], unchanged=[moved], waves=(1,), moved=(moved,), was_replaced=True)
    way = WayBack(settling, urgency=Urgency(is_key_exposed=True))
    proof: Any = None  # nothing comes so far
    carrying = Carrying(settling, bundle(), proof, way, lambda _result: None, Progress(todo))
    report = await carrying.forth()
    told = {one.binding: (one.state, one.failure is not None and one.failure.transient) for one in report.bindings}
    assert told[left] == ("failed", True)
