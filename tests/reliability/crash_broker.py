"""A durable broker in memory, as RabbitMQ is: parking and burying publish a copy first, and only then ack."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Unpack

from tests.reliability.crash_life import Life
from tests.support.facts import facts_of
from tests.support.judging import kept_by_all
from worker.broker.base import About, BrokerState, Delivery, Message, redelivered
from worker.broker.facts import Told as Known
from worker.broker.sqlite import SqliteBroker
from worker.core.backoff import step_for
from worker.core.message import identify
from worker.core.note import Note, entry_of
from worker.core.past import Placed
from worker.core.snapshot import Snapshot
from worker.sandbox.world import World
from worker.settings.model import Broker as Settings
from worker.settings.model import Retry

PARKING = (30.0, 120.0, 600.0)
_DELIVERY_LIMIT = 20


@dataclass(slots=True)
class Kept:
    """A message that the broker has; dead where it has a reason."""

    message: Message
    due: float = 0.0
    deliveries: int = 0
    reason: str | None = None

    @property
    def renewal_id(self) -> str:
        return identify(self.message.body)[1] or "?"


@dataclass(frozen=True, slots=True)
class Told:
    """An outcome event, and how many changes of the world came before it."""

    event: Mapping[str, Any]
    changes: int


@dataclass(slots=True)
class Store:
    """What survives every crash."""

    kept: dict[int, Kept] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    entries: list[Mapping[str, Any]] = field(default_factory=list)
    """Events and notes, in order."""
    _numbers: Any = field(default_factory=lambda: count(1))

    def put(self, message: Message, *, delay: float = 0.0, reason: str | None = None, is_copy: bool = False) -> None:
        message = replace(message, is_copy=is_copy)
        self.kept[next(self._numbers)] = Kept(message, _now() + delay, reason=reason)

    def waiting(self) -> list[Kept]:
        """What has no end yet: ready, in hand or parked."""
        return [one for one in self.kept.values() if one.reason is None]

    def dead(self) -> list[Kept]:
        return [one for one in self.kept.values() if one.reason is not None]

    def replay(self) -> None:
        """All dead letters, put back as first attempts."""
        for one in self.dead():
            one.reason, one.deliveries, one.due = None, 0, 0.0
            one.message = replace(one.message, attempt=1, opened_at=None)


@dataclass(slots=True)
class Desk:
    """One life's session at the broker."""

    store: Store
    life: Life
    world: World
    in_hand: set[int] = field(default_factory=set)

    @asynccontextmanager
    async def deliveries(self) -> AsyncGenerator[AsyncIterator["InHand"]]:
        yield self._deliveries()

    async def _deliveries(self) -> AsyncGenerator["InHand"]:
        while True:
            number = self._next()
            if number is None:
                await asyncio.sleep(1.0)
                continue
            self.in_hand.add(number)
            one = self.store.kept[number]
            one.deliveries += 1
            yield InHand(self, number, _given(one))

    async def told(
        self, event_ids: Collection[str], certificate: str | None, but: str | None, digest: str
    ) -> Known | None:
        return facts_of(self.store.entries).find(event_ids, certificate, but, digest)

    async def keep(self, certificate: str, note: Note) -> None:
        await self.life.passes("note sent")
        self.store.entries.append(entry_of(certificate, note))
        await self.life.passes("note confirmed")

    async def kept(self, certificate: str, leaf: str) -> Mapping[str, Snapshot]:
        return facts_of(self.store.entries).noted(certificate, leaf)

    async def past(self, certificate: str) -> Sequence[Placed]:
        return facts_of(self.store.entries).past(certificate)

    def _next(self) -> int | None:
        now = _now()
        ready = [
            (-one.message.priority, number)
            for number, one in self.store.kept.items()
            if one.reason is None and one.due <= now and number not in self.in_hand
        ]
        return min(ready)[1] if ready else None

    async def publish_event(self, event: Mapping[str, object]) -> None:
        await self.life.passes("event sent")
        self.store.told.append(Told(event, len(self.world.changes)))
        self.store.entries.append(event)
        await self.life.passes("event confirmed")

    async def state(self) -> BrokerState:
        return BrokerState(is_connected=True, is_active=True)


@dataclass(slots=True)
class InHand:
    """A delivery."""

    desk: Desk
    number: int
    message: Message

    async def fence(self) -> None:
        """Here lives follow one another."""

    async def ack(self) -> None:
        await self.desk.life.passes("ack sent")
        del self.desk.store.kept[self.number]
        self.desk.in_hand.discard(self.number)
        await self.desk.life.passes("ack done")

    async def park(self, delay: float, *, attempt: int, opened_at: datetime | None = None) -> None:
        await self.desk.life.passes("copy sent")
        copy = replace(self._plain(), attempt=attempt, opened_at=opened_at or self.message.opened_at)
        self.desk.store.put(copy, delay=step_for(delay, PARKING), is_copy=True)
        await self.desk.life.passes("copy confirmed")
        await self.ack()

    async def bury(self, reason: str, *, keep_body: bool, **about: Unpack[About]) -> None:
        await self.desk.life.passes("copy sent")
        dead = replace(self._plain(), given_up_at=about["told_at"])
        self.desk.store.put(dead, reason=reason, is_copy=True)
        await self.desk.life.passes("copy confirmed")
        await self.ack()

    def _plain(self) -> Message:
        return replace(self.message, redeliveries=0, is_suspect=False, is_last_delivery=False)


def sqlite(path: Path) -> SqliteBroker:
    return SqliteBroker(path, Settings(), Retry(), "acme", exposes=kept_by_all)


@dataclass(frozen=True, slots=True)
class Watched:
    """One life's session at the embedded broker, which parks, buries and acks in one step each."""

    broker: SqliteBroker
    life: Life

    async def told(
        self, event_ids: Collection[str], certificate: str | None, but: str | None, digest: str
    ) -> Known | None:
        return await self.broker.told(event_ids, certificate, but, digest)

    async def keep(self, certificate: str, note: Note) -> None:
        await self.life.passes("note sent")
        await self.broker.keep(certificate, note)
        await self.life.passes("note confirmed")

    async def kept(self, certificate: str, leaf: str) -> Mapping[str, Snapshot]:
        return await self.broker.kept(certificate, leaf)

    async def past(self, certificate: str) -> Sequence[Placed]:
        return await self.broker.past(certificate)

    @asynccontextmanager
    async def deliveries(self) -> AsyncGenerator[AsyncIterator["WatchedInHand"]]:
        async with self.broker.deliveries() as deliveries:
            yield self._each(deliveries)

    async def _each(self, deliveries: AsyncIterator[Delivery]) -> AsyncGenerator["WatchedInHand"]:
        async for delivery in deliveries:
            yield WatchedInHand(delivery, self.life)

    async def publish_event(self, event: Mapping[str, object]) -> None:
        await self.life.passes("event sent")
        await self.broker.publish_event(event)
        await self.life.passes("event confirmed")


@dataclass(frozen=True, slots=True)
class WatchedInHand:
    """A delivery of which only the good end is watched."""

    delivery: Delivery
    life: Life

    @property
    def message(self) -> Message:
        return self.delivery.message

    async def fence(self) -> None:
        await self.delivery.fence()

    async def ack(self) -> None:
        await self.life.passes("ack sent")
        await self.delivery.ack()
        await self.life.passes("ack done")


def _given(kept: Kept) -> Message:
    return redelivered(kept.message, kept.deliveries - 1, _DELIVERY_LIMIT)


def _now() -> float:
    return asyncio.get_running_loop().time()
