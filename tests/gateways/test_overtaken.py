"""A PUT whose answer was lost: reading decides, and nothing is written over what came in between and is newer."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.gateways import AUTHORITY, apig, bycloud, checked
from worker.core.deployment import Binding, Deployment
from worker.core.errors import TransientError
from worker.core.planning import Modify
from worker.gateways.base import Gateway
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.ca import Issued
from worker.sandbox.world import Fault, Stored, World


def issued(*, days_ago: int, not_after: datetime | None = None) -> Issued:
    begins = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days_ago, hours=1)
    return AUTHORITY.issue(["a.example.com"], not_before=begins, not_after=not_after)


OLD, RENEWED, NEWER = (issued(days_ago=days) for days in (60, 2, 1))
REISSUED = issued(days_ago=2, not_after=OLD.certificate.not_valid_after_utc)
"""With another key and the end of the old one."""


@dataclass(frozen=True, slots=True)
class Place:
    """One stored certificate at one gateway. `put`, `show`: what the sandbox calls these calls."""

    gateway: Gateway
    world: World
    deployment: Deployment
    shelf: Mapping[str, Stored]
    put: str
    show: str

    @property
    def stored(self) -> Stored:
        """As it is now."""
        return next(iter(self.shelf.values()))

    def hold(self, one: Issued) -> None:
        """As if another one had just put it there."""
        self.stored.chain_pem, self.stored.private_key_pem = one.chain_pem, one.private_key_pem
        self.stored.leaf = one.certificate

    async def modify(self, one: Issued, *, overtaken_by: Issued | None = None) -> None:
        """Puts the certificate in the place of what is there; what overtakes it comes after that was looked at."""
        before = (await self.gateway.observe(self.deployment, checked(one).leaf)).stored
        assert before is not None
        if overtaken_by is not None:
            self.hold(overtaken_by)
        self.world.journal.clear()
        await self.gateway.replace(self.deployment, Modify(before), checked(one))

    @property
    def steps(self) -> list[str]:
        return [call.operation for call in self.world.journal if call.operation in (self.put, self.show)]

    @property
    def serial(self) -> int:
        return self.stored.leaf.serial_number


@asynccontextmanager
async def at_apig(folder: Path) -> AsyncIterator[Place]:
    async with Sandbox() as sandbox, apig(sandbox, folder) as gateway:
        one = sandbox.world.add_certificate(OLD, "shop")
        wanted = Deployment("apig", "in_place", one, None, None)
        yield Place(
            gateway, sandbox.world, wanted, sandbox.world.certificates, "modify_certificate", "show_certificate"
        )


@asynccontextmanager
async def at_bycloud(folder: Path) -> AsyncIterator[Place]:
    async with Sandbox(SandboxConfig(has_put=True)) as sandbox, bycloud(sandbox, folder) as gateway:
        one = sandbox.world.add_upload(OLD, "shop", updated_at=datetime.now(UTC) - timedelta(hours=1))
        listener = Binding("listener", sandbox.world.add_listener())
        wanted = Deployment("bycloud", "in_place", one, None, (listener,))
        yield Place(gateway, sandbox.world, wanted, sandbox.world.uploads, "modify_upload", "show_upload")


Opened = Callable[[Path], AbstractAsyncContextManager[Place]]
everywhere = pytest.mark.parametrize("opened", [at_apig, at_bycloud])


@everywhere
async def test_what_came_in_between_and_is_newer_is_not_written_over(tmp_path: Path, opened: Opened) -> None:
    async with opened(tmp_path) as place:
        place.world.faults.append(Fault(place.put, kind="reset"))
        with pytest.raises(TransientError) as caught:
            await place.modify(RENEWED, overtaken_by=NEWER)
        assert caught.value.reason == "downgrade"
        assert place.steps == [place.put, place.show]
        assert place.serial == NEWER.serial_number


@everywhere
async def test_what_came_in_between_and_is_older_is_written_over(tmp_path: Path, opened: Opened) -> None:
    async with opened(tmp_path) as place:
        place.world.faults.append(Fault(place.put, kind="reset"))
        await place.modify(NEWER, overtaken_by=RENEWED)
        assert place.serial == NEWER.serial_number


@everywhere
async def test_what_shall_be_undone_is_written_over_though_the_first_answer_was_lost(
    tmp_path: Path, opened: Opened
) -> None:
    async with opened(tmp_path) as place:
        place.hold(NEWER)
        place.world.faults.append(Fault(place.put, kind="reset"))
        await place.modify(RENEWED)
        assert place.serial == RENEWED.serial_number


@everywhere
@pytest.mark.parametrize(("after_effect", "puts"), [(False, 2), (True, 1)])
async def test_a_put_whose_answer_was_lost_is_looked_for_before_it_is_repeated(
    tmp_path: Path, opened: Opened, after_effect: bool, puts: int
) -> None:
    async with opened(tmp_path) as place:
        place.world.faults.append(Fault(place.put, kind="reset", after_effect=after_effect))
        await place.modify(RENEWED)
        # After a pause it is looked for again: it may have been long.
        expected = [place.put, place.show, *([place.show, place.put] if puts > 1 else [])]
        assert place.steps[: len(expected)] == expected
        assert place.steps.count(place.put) == puts
        assert place.serial == RENEWED.serial_number


@everywhere
@pytest.mark.parametrize(("after_effect", "puts"), [(False, 2), (True, 1)])
async def test_a_lost_put_of_what_ends_when_the_old_one_does_is_not_taken_for_written(
    tmp_path: Path, opened: Opened, after_effect: bool, puts: int
) -> None:
    async with opened(tmp_path) as place:
        place.world.faults.append(Fault(place.put, kind="reset", after_effect=after_effect))
        await place.modify(REISSUED)
        assert place.steps.count(place.put) == puts
        assert place.serial == REISSUED.serial_number
