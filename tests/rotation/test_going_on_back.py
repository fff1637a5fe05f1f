"""A worker goes on with what another has begun to take back, and somebody was there in between."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.rotation.test_blue_green import MANY, NEW, OLD, Eyes, Stage, stage
from tests.rotation.test_going_back import Attempts, Slices
from tests.support.gateways import AUTHORITY
from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure, TransientError
from worker.core.note import Note
from worker.core.outcome import BindingResult, DeploymentReport
from worker.core.planning import Observed
from worker.core.proof import Served
from worker.core.reporting import STRAYED
from worker.sandbox.world import Domain


class Dying(Attempts):
    """Its worker dies as soon as it has noted that what has moved is bad."""

    async def keep(self, note: Note) -> None:
        await super().keep(note)
        if note.snapshot.bad is not None:
            raise asyncio.CancelledError

    async def resumed(self, meddle: Callable[[], object]) -> DeploymentReport:
        with pytest.raises(asyncio.CancelledError):
            await self.rotate()
        meddle()
        self.begin()
        [told] = (await self.rotate()).deployments
        return told


class Unread(Slices):
    """One read of it fails when told to."""

    is_away = False

    async def observe(self, deployment: Deployment, leaf: Any, **how: Any) -> Observed:
        if self.is_away:
            self.is_away = False
            raise TransientError("gateway_unavailable", "away")
        return await super().observe(deployment, leaf, **how)


def result_of(told: DeploymentReport, name: str) -> BindingResult:
    return next(one for one in told.bindings if one.binding.name == name)


def domain(one: Stage, name: str) -> Domain:
    return next(it for it in one.world.domains.values() if it.name == name)


def bad_at_the_second(_wave: int, served: object) -> bool:
    return len(getattr(served, "bindings", ())) > 1


@pytest.mark.parametrize("name", [MANY[0], MANY[3]])
async def test_what_somebody_has_detached_meanwhile_goes_back_like_the_others(tmp_path: Path, name: str) -> None:
    async with stage(tmp_path, Eyes(bad_at_the_second)) as one:
        it = domain(one, name)
        told = await Dying(one, one.gateway).resumed(lambda: setattr(it, "certificate_id", None))
        assert (told.reason, result_of(told, name).state, one.bound()) == ("rolled_back", "rolled_back", {"shop": 40})
        assert domain(one, MANY[3]).client_verification


async def test_what_somebody_has_put_back_without_its_flag_gets_it_again(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(bad_at_the_second)) as one:
        it = domain(one, MANY[3])

        def put_back() -> None:
            it.certificate_id, it.client_verification = one.blue, False

        told = await Dying(one, one.gateway).resumed(put_back)
        assert (told.reason, it.client_verification, one.bound()) == ("rolled_back", True, {"shop": 40})


@pytest.mark.parametrize("count", [1, 4])
async def test_what_somebody_has_given_another_certificate_is_left_there_and_told_as_failed(
    tmp_path: Path, count: int
) -> None:
    async with stage(tmp_path, Eyes(bad_at_the_second)) as one:
        third, names = one.world.add_certificate(OLD, "third"), MANY[:count]
        ids = [domain(one, name).id for name in names]
        told = await Dying(one, one.gateway).resumed(lambda: one.world.bind(third, *ids))
        assert one.bound() == {"shop": 40 - count, "third": count}
        failures = [result_of(told, name).failure for name in names]
        assert {(it.reason, it.transient) for it in failures if isinstance(it, Failure)} == {("binding_failed", False)}
        states = [it.state for it in told.bindings]
        assert (states.count("failed"), states.count("rolled_back")) == (count, 4 - count)
        assert (told.reason, told.certificate_id) == ("rolled_back", one.blue)


@pytest.mark.parametrize("is_read", [True, False])
async def test_what_is_given_another_certificate_during_the_last_proof_is_left_there(
    tmp_path: Path, *, is_read: bool
) -> None:
    """Where that can be read: else everything goes back all the same."""
    async with stage(tmp_path, Eyes()) as one:
        third = one.world.add_certificate(OLD, "third")
        taken = domain(one, MANY[0])

        def is_bad(_wave: int, served: Served) -> bool:
            if len(served.bindings) == len(MANY):
                one.world.bind(third, taken.id)
                gateway.is_away = not is_read
            return len(served.bindings) == len(MANY)

        one.eyes.is_bad, gateway = is_bad, Unread(one.gateway)
        [told] = (await Attempts(one, gateway).rotate()).deployments
        if is_read:
            assert (told.reason, taken.certificate_id, one.bound()["shop"]) == ("binding_failed", third, 39)
            assert result_of(told, MANY[0]) == BindingResult(result_of(told, MANY[0]).binding, "failed", STRAYED)
        else:
            assert (told.reason, one.bound()["shop"]) == ("rolled_back", 40)


async def test_what_is_attached_and_given_another_certificate_during_the_last_proof_is_left_there(
    tmp_path: Path,
) -> None:
    """It is in no list of the deployment's own any more."""
    async with stage(tmp_path, Eyes()) as one:
        third, taken = one.world.add_certificate(OLD, "third"), domain(one, MANY[0])

        def is_bad(_wave: int, served: Served) -> bool:
            if len(served.bindings) == len(MANY):
                one.world.bind(third, taken.id)
            return len(served.bindings) == len(MANY)

        one.eyes.is_bad = is_bad
        told = await one.rotate(bindings=None)
        assert (told.reason, taken.certificate_id, one.bound()["shop"]) == ("binding_failed", third, 39)
        assert result_of(told, MANY[0]).failure == STRAYED


@pytest.mark.parametrize("is_detached", [False, True])
async def test_a_domain_that_is_listed_without_its_instance_goes_back_to_nothing_and_from_nothing(
    tmp_path: Path, *, is_detached: bool
) -> None:
    """It is shown on no instance while it is bound to nothing: before it moved, or because somebody detached it."""
    async with stage(tmp_path, Eyes(bad_at_the_second)) as one:
        it = domain(one, MANY[0])
        it.certificate_id = one.blue if is_detached else None
        anywhere = Dying(one, one.gateway, bindings=tuple(Binding("domain", name) for name in MANY))
        told = await anywhere.resumed(lambda: setattr(it, "certificate_id", None) if is_detached else None)
        assert (told.reason, result_of(told, MANY[0]).state) == ("rolled_back", "rolled_back")
        assert it.certificate_id == (one.blue if is_detached else None)
        assert one.bound() == {"shop": 40 if is_detached else 39}


async def test_what_is_half_way_back_is_not_left_to_a_newer_one_that_has_the_others(tmp_path: Path) -> None:
    """That one may turn out bad, too, and go back: to nothing that is condemned."""
    async with stage(tmp_path, Eyes(bad_at_the_second)) as one:
        slices = Slices(one.gateway)
        slices.stuck = {MANY[0]}
        attempts = Attempts(one, slices)
        await attempts.rotate()
        assert one.bound() == {"shop": 39, one.green: 1}
        newer = AUTHORITY.issue(["*.example.com"], not_before=NEW.leaf.not_before + timedelta(days=1))
        name = f"shop_{'cd' * 6}"
        one.world.bind(one.world.add_certificate(newer, name), domain(one, MANY[1]).id)
        report = await attempts.rotate()
        assert (report.outcome, [why.transient for why in report.failures][-1:]) == ("failed", [True]), "still stuck"
        slices.stuck.clear()
        report = await attempts.rotate()
        assert (report.reason, one.bound()) == ("rolled_back", {"shop": 39, name: 1})
        assert (await attempts.rotate()).outcome == "superseded"
