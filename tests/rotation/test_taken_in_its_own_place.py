"""In its own place, too: what somebody binds elsewhere while it is proven is left there, and told as failed."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.rotation.test_client_ca_again import Shelf
from tests.support.apig_shop import NAMES, NEW, OLD, Shop, shop
from tests.support.gateways import checked
from tests.support.values import certificate
from worker.core.deployment import Binding
from worker.core.errors import Failure, TransientError
from worker.core.note import Note
from worker.core.outcome import DeploymentReport
from worker.core.planning import Observed, Stored
from worker.core.proof import Served, Shortfall
from worker.core.reporting import ROLLED_BACK, STRAYED
from worker.effort import Effort, spending
from worker.gateways.base import Gateway
from worker.rotation import Rotator

A = NAMES[0]
LISTED = tuple(Binding("domain", name) for name in NAMES)


@dataclass
class Unread:
    """One read of it fails when told to."""

    gateway: Gateway
    is_away: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gateway, name)

    async def observe(self, *what: Any, **how: Any) -> Observed:
        if self.is_away:
            self.is_away = False
            raise TransientError("gateway_unavailable", "away")
        return await self.gateway.observe(*what, **how)


async def bad(
    one: Shop, meddle: Callable[[], object], gateway: Any = None, notes: Sequence[Note] = (), **overrides: Any
) -> DeploymentReport:
    """A rotation whose proof is bad, and somebody is there during it."""

    async def verify(served: Served, /) -> Sequence[Shortfall]:
        if served.bundle is not NEW:
            return ()
        meddle()
        failure = Failure("other_certificate", "at it", transient=True)
        return [Shortfall(failure, served.bindings[-1], f"{served.bindings[-1].name}:443")]

    rotator = Rotator({"apig": gateway or one.gateway}, verify, settle_seconds={"apig": 0}, kept={"shop": Shelf()})
    for note in notes:
        rotator.recall(NEW.leaf, {note.deployment: note.snapshot})
    [told] = (await rotator.rotate(certificate(one.deployment(**overrides)), NEW)).deployments
    return told


def taken_in(one: Shop) -> tuple[str, Callable[[], None]]:
    """The id of somebody's certificate, and how it is bound to the first domain."""
    third = one.world.add_certificate(OLD, "third")
    return third, lambda: one.world.bind(third, one.domains[0][0])


def told_by_name(told: DeploymentReport) -> dict[str, str | Failure]:
    """State, or why it has failed."""
    return {
        it.binding.name: it.failure if it.state == "failed" and it.failure is not None else it.state
        for it in told.bindings
    }


@pytest.mark.parametrize("bindings", [None, LISTED])
async def test_what_is_bound_elsewhere_during_its_proof_is_left_there_when_the_material_goes_back(
    tmp_path: Path, bindings: tuple[Binding, ...] | None
) -> None:
    async with shop(tmp_path) as one:
        third, take = taken_in(one)
        told = await bad(one, take, bindings=bindings)
        assert told_by_name(told) == {name: STRAYED if name == A else ROLLED_BACK for name in NAMES}
        assert (told.outcome, told.reason) == ("failed", "binding_failed")
        at = {name: one.world.domains[key].certificate_id for name, key in zip(NAMES, one.domains[0], strict=True)}
        assert at == {name: third if name == A else one.certificate_id for name in NAMES}
        assert one.world.certificates[one.certificate_id].leaf.serial_number == checked(OLD).leaf.serial_number


@dataclass
class Dying:
    """Its worker dies before the old material is written."""

    gateway: Gateway
    writes: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gateway, name)

    async def replace(self, *what: Any) -> Stored:
        self.writes += 1
        if self.writes > 1:
            raise asyncio.CancelledError
        return await self.gateway.replace(*what)


async def test_so_does_whoever_goes_on_with_the_way_back(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        notes: list[Note] = []

        async def keep(note: Note) -> None:
            notes.append(note)

        third, take = taken_in(one)
        with spending(Effort(keep=keep)), pytest.raises(asyncio.CancelledError):
            await bad(one, take, Dying(one.gateway), bindings=LISTED)
        told = await bad(one, take, notes=notes, bindings=LISTED)
        assert told_by_name(told) == {name: STRAYED if name == A else ROLLED_BACK for name in NAMES}
        assert one.world.domains[one.domains[0][0]].certificate_id == third


async def test_where_that_cannot_be_read_all_goes_back(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        _, take = taken_in(one)
        gateway = Unread(one.gateway)

        def meddle() -> None:
            take()
            gateway.is_away = True

        told = await bad(one, meddle, gateway)
        assert (told.reason, len(one.world.bound_to(one.certificate_id))) == (ROLLED_BACK, 3)


async def test_what_was_bound_here_first_and_is_bound_elsewhere_by_now_is_left_there(tmp_path: Path) -> None:
    """It is not told as bound to nothing again."""
    async with shop(tmp_path) as one:
        one.world.domains[one.domains[0][0]].certificate_id = None
        third, take = taken_in(one)
        listed = tuple(Binding("domain", name, one.instances[0]) for name in NAMES)
        told = await bad(one, take, bindings=listed)
        assert told_by_name(told) == {name: STRAYED if name == A else ROLLED_BACK for name in NAMES}
        assert one.world.domains[one.domains[0][0]].certificate_id == third
