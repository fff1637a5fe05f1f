"""A client CA that a write in its own place has lost: the next renewal brings it back, whichever leaf it has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.rotation.test_client_ca_again import LOST, Scene, Shelf, scene
from tests.support.apig_shop import NAMES, NEW
from tests.support.facts import facts_of
from tests.support.gateways import AUTHORITY, checked
from tests.support.values import certificate
from worker.core.bundle import Bundle
from worker.core.events import outcome_event
from worker.core.note import Note, entry_of
from worker.core.outcome import DeploymentReport, Timing
from worker.core.past import Placed
from worker.core.renewal import InFiles
from worker.core.snapshot import Snapshot
from worker.effort import Effort, spending
from worker.hindsight import Hindsight, Seen
from worker.rotation import Rotator
from worker.sweep import Sweeper, unnoted

NOW = datetime.now(UTC).replace(microsecond=0)


def issued(*, days_ago: int) -> Bundle:
    return checked(AUTHORITY.issue(NAMES, not_before=NOW - timedelta(days=days_ago)))


@dataclass
class Renewals:
    """One after the other, each taken up for the first time, by a process that has begun anew."""

    scene: Scene
    told: list[Mapping[str, Any]] = field(default_factory=list)
    """Events and notes, which the broker has."""

    async def kept(self, certificate: str, leaf: str) -> Mapping[str, Snapshot]:
        return facts_of(self.told).noted(certificate, leaf)

    async def comes(self, brought: Bundle) -> DeploymentReport:
        async def keep(note: Note) -> None:
            self.told.append(entry_of("shop", note))

        broker: Any = self
        wanted = certificate(self.scene.deployment)
        kept = {"shop": Shelf()} if self.scene.is_kept else {}
        rotator = Rotator({"apig": self.scene.shop.gateway}, kept=kept, settle_seconds={"apig": 0})
        rotator.recall(brought.leaf, await Hindsight(broker).client_cas(Seen(()), wanted, brought.leaf))
        with spending(Effort(keep=keep)):
            report = await rotator.rotate(wanted, brought)
        self.told.append(outcome_event(report, "r", "shop", Timing(NOW, NOW, 1), None, id_source="r"))
        [told] = report.deployments
        return told

    def drop_client_ca(self) -> None:
        [one] = self.scene.shop.world.certificates.values()
        one.trusted_root_ca = None


@pytest.mark.parametrize(("is_kept", "drops", "why"), [(False, 1, LOST), (True, 2, "binding_failed")])
async def test_the_next_renewal_brings_back_a_client_ca_that_was_lost(
    tmp_path: Path, why: str, drops: int, *, is_kept: bool
) -> None:
    """It is told as a failure, and by the next one as there."""
    async with scene(tmp_path, drops=drops, is_kept=is_kept) as one:
        renewals = Renewals(one)
        report = await renewals.comes(issued(days_ago=30))
        assert (report.outcome, report.reason, one.shown()) == ("failed", why, {"shop": (False, 3)})
        report = await renewals.comes(NEW)
        assert (report.outcome, report.reason, one.shown()) == ("succeeded", "rotated", {"shop": (True, 3)})


async def test_so_does_one_of_the_same_leaf(tmp_path: Path) -> None:
    async with scene(tmp_path, drops=1) as one:
        renewals = Renewals(one)
        assert (await renewals.comes(NEW)).reason == LOST
        assert ((await renewals.comes(NEW)).outcome, one.shown()) == ("succeeded", {"shop": (True, 3)})


async def test_and_the_one_after_several_that_have_lost_it(tmp_path: Path) -> None:
    async with scene(tmp_path, drops=2) as one:
        renewals = Renewals(one)
        for days_ago in (30, 20):
            assert (await renewals.comes(issued(days_ago=days_ago))).reason == LOST
        assert ((await renewals.comes(NEW)).outcome, one.shown()) == ("succeeded", {"shop": (True, 3)})


async def test_who_takes_it_away_on_purpose_gets_it_back_from_no_renewal_after_a_good_one(tmp_path: Path) -> None:
    async with scene(tmp_path, drops=1) as one:
        renewals = Renewals(one)
        reasons: Sequence[str] = [(await renewals.comes(issued(days_ago=days_ago))).reason for days_ago in (30, 20)]
        assert (reasons, one.shown()) == ([LOST, "rotated"], {"shop": (True, 3)})
        renewals.drop_client_ca()
        assert ((await renewals.comes(NEW)).outcome, one.shown()) == ("succeeded", {"shop": (False, 3)})


@dataclass(frozen=True)
class Disk:
    """What lies there."""

    bundle: Bundle

    def now(self) -> datetime:
        return NOW

    async def bundle_in(self, _files: InFiles) -> Bundle:
        return self.bundle


async def test_a_sweep_finds_what_has_lost_the_client_ca_that_a_note_tells_of(tmp_path: Path) -> None:
    """Its renewal, which comes first, brings it back; then all is as it shall be."""

    async def past(_certificate: str) -> Sequence[Placed]:
        return ()

    async with scene(tmp_path, drops=1) as one:
        renewals, disk = Renewals(one), Disk(NEW)
        intake: Any = disk
        rotator, wanted = Rotator({"apig": one.shop.gateway}), {"shop": certificate(one.deployment)}
        sweeper = Sweeper(intake, rotator, wanted, {"shop": InFiles("chain", "key")}, renewals.kept)
        assert (await renewals.comes(NEW)).reason == LOST
        assert (await sweeper.look_back("shop", past)).state == "behind"
        assert (await replace(sweeper, kept=unnoted).look_back("shop", past)).state == "current"
        assert (await renewals.comes(NEW)).outcome == "succeeded"
        assert (await sweeper.look_back("shop", past)).state == "current"
        renewals.drop_client_ca()
        assert (await sweeper.look_back("shop", past)).state == "current", "on purpose"
