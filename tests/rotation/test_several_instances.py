"""Domains that are listed without their instance and are on several: what one instance has hides no other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.apig_shop import NAMES, NEW, OLD, Shop, shop
from tests.support.gateways import AUTHORITY, checked
from tests.support.values import certificate
from worker.commands.supposing import supposed
from worker.core.bundle import Bundle
from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure
from worker.core.note import Note
from worker.core.outcome import Report
from worker.core.planning import Plan
from worker.core.proof import Served, Shortfall, unverified
from worker.core.reporting import STRAYED
from worker.core.snapshot import Snapshot
from worker.core.waiting import names_at
from worker.effort import Effort, spending
from worker.rotation import Rotator
from worker.sandbox.world import Fault

MIDDLE = checked(AUTHORITY.issue(NAMES, not_before=datetime.now(UTC).replace(microsecond=0) - timedelta(days=30)))
LISTED = tuple(Binding("domain", name) for name in ("a.example.com", "b.example.com"))


@dataclass
class Lives:
    """Attempts of one renewal, each by another process that knows what was noted."""

    one: Shop
    claimed: frozenset[tuple[str, str]] = frozenset()
    notes: dict[str, Snapshot] = field(default_factory=dict)

    async def keep(self, note: Note) -> None:
        self.notes[note.deployment] = note.snapshot

    async def verify(self, served: Served, /) -> Sequence[Shortfall]:
        """A name is served as it shall be where all of its instances have the renewed certificate."""
        old = [name for name, _, leaf in on_both(self.one) if leaf != NEW.leaf.serial_number]
        asked = [one for one in served.bindings if one.name not in served.waiting and one.name in old]
        return [Shortfall(Failure("still_old", "at 127.0.0.1", transient=True), one, one.name) for one in asked]

    async def rotate(self, target: Deployment, bundle: Bundle = NEW, *, is_verified: bool = False) -> Report:
        proof = self.verify if is_verified else unverified
        rotator = Rotator({"apig": self.one.gateway}, proof, settle_seconds={"apig": 0}, claimed=self.claimed)
        rotator.recall(bundle.leaf, self.notes)
        with spending(Effort(keep=self.keep)):
            return await rotator.rotate(certificate(target), bundle)


def on_both(one: Shop) -> list[tuple[str, str, int]]:
    """What is bound of what is listed: name, instance, and which leaf is served."""
    names = {it.name for it in LISTED}
    bound = [(it, it.certificate_id) for it in one.world.domains.values() if it.name in names]
    leaf = {key: it.leaf.serial_number for key, it in one.world.certificates.items()}
    return sorted((it.name, it.instance_id, leaf[key]) for it, key in bound if key is not None)


def bound_by_hand(one: Shop) -> None:
    foreign = one.world.add_certificate(OLD, "from_before")
    one.world.bind(foreign, *(domain for domains in one.domains for domain in domains))


def moving(_one: Shop) -> Mapping[str, Any]:
    return {"strategy": "blue_green", "certificate_id": None, "name": "shop", "waves": (1.0,)}


def written(one: Shop) -> Mapping[str, Any]:
    return {"certificate_id": one.certificate_id, "name": "shop"}


def created(_one: Shop) -> Mapping[str, Any]:
    return {"certificate_id": None, "name": "fresh"}


@pytest.mark.parametrize("is_verified", [False, True])
@pytest.mark.parametrize("how", [moving, written, created])
async def test_an_instance_that_was_away_for_a_while_is_not_forgotten(
    tmp_path: Path, how: Any, *, is_verified: bool
) -> None:
    async with shop(tmp_path) as one:
        bound_by_hand(one)
        lives, target = Lives(one), one.deployment(bindings=LISTED, **how(one))
        away = Fault("attach_domains", status=500, times=500, match=one.instances[1])
        one.world.faults.append(away)
        report = await lives.rotate(target, is_verified=is_verified)
        assert report.outcome == "failed"
        assert all(why.transient for why in report.failures)
        one.world.faults.clear()
        report = await lives.rotate(target, is_verified=is_verified)
        [told] = report.deployments
        assert (report.outcome, len(told.bindings)) == ("succeeded", 4)
        assert {leaf for _, _, leaf in on_both(one)} == {NEW.leaf.serial_number}


@pytest.mark.parametrize("how", [moving, written, created])
async def test_what_another_certificate_serves_on_one_instance_is_moved_there_too(tmp_path: Path, how: Any) -> None:
    """Nobody has noted anything of it."""
    async with shop(tmp_path) as one:
        bound_by_hand(one)
        one.world.bind(one.certificate_id, *one.domains[0])
        assert (await Lives(one).rotate(one.deployment(bindings=LISTED, **how(one)))).outcome == "succeeded"
        assert [leaf for _, _, leaf in on_both(one)] == [NEW.leaf.serial_number] * 4


@pytest.mark.parametrize("is_verified", [False, True])
@pytest.mark.parametrize("how", [moving, written])
async def test_what_is_newer_on_one_instance_stays_there_and_is_warned_of(
    tmp_path: Path, how: Any, *, is_verified: bool
) -> None:
    """And nobody is asked for a name that may be served either."""
    async with shop(tmp_path) as one:
        newer = one.world.add_certificate(AUTHORITY.issue(NAMES, not_before=datetime.now(UTC)), "newer")
        one.world.bind(newer, *one.domains[1])
        report = await Lives(one).rotate(one.deployment(bindings=LISTED, **how(one)), MIDDLE, is_verified=is_verified)
        assert (report.outcome, report.warnings) == ("succeeded", (*MIDDLE.warnings, "left_alone"))
        served = {instance: leaf for _, instance, leaf in on_both(one)}
        assert served[one.instances[0]] == MIDDLE.leaf.serial_number
        assert {one.world.domains[domain].certificate_id for domain in one.domains[1]} == {newer}


async def test_what_was_to_move_from_another_deployment_moves_in_the_next_attempt_too(tmp_path: Path) -> None:
    """Nothing of it was ours in the first one: whose it is must not depend on what failed."""
    async with shop(tmp_path) as one:
        bound_by_hand(one)
        lives = Lives(one, frozenset({("apig", "from_before")}))
        away = Fault("attach_domains", status=500, times=500, match=one.instances[1])
        one.world.faults.append(away)
        target = one.deployment(bindings=LISTED, **moving(one))
        assert (await lives.rotate(target)).outcome == "failed"
        one.world.faults.clear()
        assert (await lives.rotate(target)).warnings == NEW.warnings
        assert {leaf for _, _, leaf in on_both(one)} == {NEW.leaf.serial_number}


async def test_a_plan_says_what_is_left_alone(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        theirs = one.world.add_certificate(OLD, "theirs")
        one.world.bind(theirs, *one.domains[1])
        claims = frozenset({("apig", "theirs")})
        target = certificate(one.deployment(bindings=LISTED, **written(one)))
        [found] = await supposed({"apig": one.gateway}, target, datetime.now(UTC), claims)
        assert isinstance(found.step, Plan)
        assert found.step.seen is not None
        assert [it.instance_id for it in found.step.seen.left_alone] == [one.instances[1]] * 2
        [step] = await Rotator({"apig": one.gateway}, claimed=claims).plans(target, NEW.leaf)
        assert isinstance(step, Plan)
        assert (step.attach, step.unchanged) == (found.step.attach, found.step.unchanged)
        every = (*step.attach, *step.unchanged)
        assert names_at(target.deployments[0], step, but=every) == {"a.example.com", "b.example.com"}


@pytest.mark.parametrize("status", [403, 500])
@pytest.mark.parametrize("how", [moving, written, created])
async def test_an_instance_that_the_renewal_before_did_not_reach_is_not_forgotten(
    tmp_path: Path, how: Any, status: int
) -> None:
    """That may have ended for good, or be overtaken. What is bound to nothing by now was not asked for."""
    async with shop(tmp_path) as one:
        bound_by_hand(one)
        target = one.deployment(bindings=LISTED, **how(one))
        one.world.faults.append(Fault("attach_domains", status=status, times=500, match=one.instances[1]))
        assert (await Lives(one).rotate(target, MIDDLE)).outcome == "failed"
        one.world.faults.clear()
        one.world.domains[one.domains[1][1]].certificate_id = None
        assert (await Lives(one).rotate(target)).outcome == "succeeded"
        assert [leaf for _, _, leaf in on_both(one)] == [NEW.leaf.serial_number] * 3


async def test_what_is_given_another_certificate_on_one_of_them_during_its_proof_is_left_there(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        one.world.bind(one.certificate_id, *one.domains[1])
        third, taken = one.world.add_certificate(OLD, "third"), one.world.domains[one.domains[1][0]]

        async def verify(served: Served, /) -> Sequence[Shortfall]:
            if served.bundle is None:
                return ()
            one.world.bind(third, taken.id)
            return [Shortfall(Failure("other_certificate", "", transient=True), served.bindings[-1], "host:443")]

        rotator = Rotator({"apig": one.gateway}, verify, settle_seconds={"apig": 0})
        target = one.deployment(bindings=LISTED, **moving(one))
        [told] = (await rotator.rotate(certificate(target), NEW)).deployments
        assert (told.reason, taken.certificate_id) == ("binding_failed", third)
        left = [(it.binding.name, it.binding.instance_id) for it in told.bindings if it.failure == STRAYED]
        assert left == [("a.example.com", one.instances[1])]
