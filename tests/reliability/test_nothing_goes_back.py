"""Signed renewals that come late or once more: what was put there since stays. Over both engines, at both clouds."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.clouds import QUICK, Running, renewal, running, settings_for
from tests.support.gateways import AUTHORITY
from tests.support.judging import kept_by_all
from tests.support.rabbit import broker_settings, remove
from worker.broker import broker_of
from worker.broker.base import Message
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.ca import Issued
from worker.sandbox.world import Fault
from worker.settings import Settings
from worker.settings.model import Retry
from worker.trust.keys import made, read_key
from worker.trust.signing import Signing, sign

NAMES = ("a.example.com",)
BACKDATED = timedelta(hours=1)


def issued(*, days_ago: float, days: int) -> Issued:
    begins = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days_ago)
    return AUTHORITY.issue(NAMES, not_before=begins, not_after=begins + timedelta(days=days))


@dataclass(frozen=True, slots=True)
class Shop:
    """One certificate at an APIG, at a ByCloud, or at both."""

    sandbox: Sandbox
    settings: Settings
    domain: str
    listener: str
    keys: Path

    def signed(self, one: Issued, *, ago: timedelta = timedelta(), **how: Any) -> Message:
        """As its producer sends it; whoever has it can send the same bytes again."""
        key, at = read_key(self.keys / "acme.jwk", is_private=True, signs=True), datetime.now(UTC) - ago
        body = sign(renewal(one, **how).body, Signing("acme", key, "rotation-worker", 7200), at)
        return Message(body, "application/jose")

    async def urgent(self, one: Issued, *, ago: timedelta = timedelta()) -> Message:
        """ByCloud tells whole seconds: what is stored in the second of the signature proves nothing."""
        sent = self.signed(one, ago=ago, reason="ca_incident", allow_shorter_validity=True)
        await asyncio.sleep(1)
        return sent

    def written(self, *, days_ago: float) -> None:
        """What is stored at ByCloud, as if that had been done then: it takes what begins later for newer."""
        at = datetime.now(UTC) - timedelta(days=days_ago)
        for one in self.sandbox.world.uploads.values():
            one.created_at, one.updated_at = min(one.created_at, at), at

    @property
    def serials(self) -> set[int]:
        """Of what is served."""
        world = self.sandbox.world
        bound = world.domains[self.domain].certificate_id
        listener = world.listeners[self.listener].bindings.get(False)
        kept = [world.certificates.get(str(bound)), world.uploads.get(str(listener))]
        return {one.leaf.serial_number for one in kept if one is not None}


@pytest.fixture(params=["sqlite", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Mapping[str, Any]]:
    """Each engine in turn, as settings name it."""
    if request.param == "sqlite":
        yield {"url": f"sqlite:///{tmp_path}/broker.sqlite"}
        return
    url = request.getfixturevalue("rabbit")
    own = broker_settings(url=url)
    yield own.model_dump(by_alias=True, exclude_none=True)
    await remove(url, own, Retry.model_validate(QUICK))


@asynccontextmanager
async def opened(
    folder: Path, broker: Mapping[str, Any], strategy: str = "in_place", clouds: tuple[str, ...] = ("apig", "bycloud")
) -> AsyncIterator[Shop]:
    made(folder / "keys", "acme", signs=True)
    async with Sandbox(SandboxConfig(has_put=True)) as sandbox:
        world, before = sandbox.world, issued(days_ago=60, days=90)
        domain = world.add_domain(world.add_group(world.add_instance()), NAMES[0])
        listener = world.add_listener()
        begins = before.certificate.not_valid_before_utc
        upload = world.add_upload(before, "shop", updated_at=begins, created_at=begins)
        deployments = {
            "apig": {"gateway": "apig", "name": "shop", "domains": NAMES},
            "bycloud": {
                "gateway": "bycloud",
                "strategy": strategy,
                "certificate_id": upload,
                "listeners": ({"id": listener},),
            },
        }
        if "bycloud" in clouds:
            world.bind_listener(upload, listener)
        trust = {
            "allow_plain_keys": True,
            "ca_bundle": str(folder / "roots.pem"),
            "producers": {"acme": {"public_key": folder / "keys" / "acme.pub.jwk"}},
        }
        shop = {"shop": tuple(deployments[one] for one in clouds)}
        settings = settings_for(sandbox, AUTHORITY, folder, shop, broker=broker, trust=trust)
        door = broker_of(settings, kept_by_all)
        await door.declare()
        await door.close()
        yield Shop(sandbox, settings, domain, listener, folder / "keys")


async def came(worker: Running, *sent: Message) -> list[tuple[str, str]]:
    """What came of each, one after the other."""
    events = [(await worker.outcome(one))["data"] for one in sent]
    return [(one["outcome"], one["reason"]) for one in events]


ROTATED, DOWNGRADE, REPLAYED = ("succeeded", "rotated"), ("superseded", "downgrade"), ("superseded", "replayed")


@pytest.mark.parametrize("strategy", ["in_place", "replace"])
async def test_an_older_renewal_is_superseded_where_the_newer_certificate_ends_before_it(
    tmp_path: Path, broker: Mapping[str, Any], strategy: str
) -> None:
    first, late, shorter = (issued(days_ago=ago, days=days) for ago, days in ((3, 120), (2, 100), (1, 45)))
    async with opened(tmp_path, broker, strategy, ("bycloud",)) as shop:
        again = shop.signed(first)
        async with running(shop.settings) as worker:
            assert await came(worker, again) == [ROTATED]
            shop.written(days_ago=2.5)
            assert await came(worker, shop.signed(shorter), again) == [ROTATED, REPLAYED]
            assert await came(worker, shop.signed(late)) == [DOWNGRADE]
        async with running(shop.settings) as worker:
            told = await came(worker, shop.signed(late), shop.signed(first), again, shop.signed(shorter))
            assert told == [DOWNGRADE, DOWNGRADE, REPLAYED, ("succeeded", "already_current")]
            assert shop.serials == {shorter.serial_number}
            newest = issued(days_ago=0.5, days=30)
            shop.written(days_ago=0.9)
            assert await came(worker, shop.signed(newest)) == [ROTATED]
        assert shop.serials == {newest.serial_number}


async def test_an_urgent_renewal_that_comes_again_does_not_undo_what_was_put_there_since(
    tmp_path: Path, broker: Mapping[str, Any]
) -> None:
    spoilt, older = issued(days_ago=2, days=90), issued(days_ago=9, days=90)
    async with opened(tmp_path, broker) as shop:
        again = shop.signed(spoilt)
        backdated = AUTHORITY.issue(NAMES, not_before=datetime.now(UTC).replace(microsecond=0) - BACKDATED)
        async with running(shop.settings) as worker:
            assert await came(worker, again) == [ROTATED]
            urgent = await shop.urgent(older)
            assert await came(worker, urgent, again) == [ROTATED, REPLAYED]
            assert shop.serials == {older.serial_number}
            assert (await came(worker, urgent)) == [("succeeded", "already_current")], "nothing was put there since"
            assert await came(worker, shop.signed(backdated), urgent) == [ROTATED, REPLAYED]
        async with running(shop.settings) as worker:
            assert await came(worker, urgent, again) == [REPLAYED, REPLAYED]
            assert shop.serials == {backdated.serial_number}
            assert await came(worker, await shop.urgent(older)) == [ROTATED], "a message of its own is another matter"
        assert shop.serials == {older.serial_number}


async def test_an_urgent_renewal_that_comes_late_does_not_undo_what_was_put_there_after_it_was_signed(
    tmp_path: Path, broker: Mapping[str, Any]
) -> None:
    spoilt, older, since = (issued(days_ago=ago, days=90) for ago in (2, 9, 1))
    async with opened(tmp_path, broker) as shop, running(shop.settings) as worker:
        late = await shop.urgent(older, ago=timedelta(minutes=5))
        assert await came(worker, shop.signed(spoilt), shop.signed(since), late) == [ROTATED, ROTATED, DOWNGRADE]
        assert shop.serials == {since.serial_number}, "it had begun before that was signed"
        assert await came(worker, await shop.urgent(older)) == [ROTATED]


@pytest.mark.parametrize("strategy", ["in_place", "replace"])
async def test_a_newer_certificate_is_put_there_within_the_hour_although_it_ends_before_the_one_that_is_there(
    tmp_path: Path, broker: Mapping[str, Any], strategy: str
) -> None:
    longer, shorter = issued(days_ago=0.04, days=90), issued(days_ago=0.02, days=45)
    async with opened(tmp_path, broker, strategy, ("bycloud",)) as shop, running(shop.settings) as worker:
        assert await came(worker, shop.signed(longer), shop.signed(shorter)) == [ROTATED, ROTATED]
        assert shop.serials == {shorter.serial_number}


async def test_what_was_issued_again_with_the_same_end_takes_its_place(
    tmp_path: Path, broker: Mapping[str, Any]
) -> None:
    one, again = issued(days_ago=1, days=90), issued(days_ago=1, days=90)
    async with opened(tmp_path, broker, "in_place", ("bycloud",)) as shop, running(shop.settings) as worker:
        told = await came(worker, shop.signed(one), shop.signed(again), shop.signed(again))
        assert told == [ROTATED, ROTATED, ("succeeded", "already_current")]
        assert shop.serials == {again.serial_number}


async def test_an_urgent_renewal_that_failed_may_be_put_back_whatever_was_put_there_since(
    tmp_path: Path, broker: Mapping[str, Any]
) -> None:
    spoilt, older, between = (issued(days_ago=ago, days=90) for ago in (2, 9, 1))
    async with opened(tmp_path, broker, clouds=("apig",)) as shop:
        async with running(shop.settings) as worker:
            assert await came(worker, shop.signed(spoilt)) == [ROTATED]
            urgent = await shop.urgent(older)
            shop.sandbox.world.faults.append(Fault("modify_certificate", status=403, times=99))
            assert (await came(worker, urgent))[0][0] == "failed"
            shop.sandbox.world.faults.clear()
            assert await came(worker, shop.signed(between)) == [ROTATED]
            [dead] = await worker.dead()
            assert await worker.broker.replay([dead.id]) == [dead.id]
            event = (await worker.outcomes(4))[-1]["data"]
            assert (event["outcome"], event["reason"]) == ROTATED
        assert shop.serials == {older.serial_number}
