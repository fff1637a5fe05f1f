"""Deliveries of the embedded engine, and how they are settled."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Unpack

from worker.broker.base import About, Delivery, Message
from worker.broker.given_out import GivenOut
from worker.broker.locking import is_taken
from worker.broker.rows import kept_of, note_of
from worker.core.backoff import step_for

if TYPE_CHECKING:
    from worker.broker.sqlite import SqliteBroker

_LOOK_EVERY: Final = 0.1
_ABOUT: Final = ("certificate", "renewal_id", "told_at")


@dataclass(slots=True)
class SqliteDelivery:
    """One message in hand."""

    broker: "SqliteBroker"
    number: int
    message: Message
    in_hand: GivenOut

    async def fence(self) -> None:
        """The lock is this process's as long as it lives, frozen or not."""
        if self.in_hand.is_over:
            await asyncio.Event().wait()

    async def ack(self) -> None:
        await self._settle("DELETE FROM messages WHERE number = ?", (self.number,))

    async def park(self, delay: float, *, attempt: int, opened_at: datetime | None = None) -> None:
        now, opened_at = time.time(), opened_at or self.message.opened_at
        due = now + step_for(delay, self.broker.retry.parking_seconds)
        await self._settle(
            "UPDATE messages SET due = ?, attempt = ?, deliveries = 0, since = ?, opened_at = ? WHERE number = ?",
            (due, attempt, now, opened_at and opened_at.timestamp(), self.number),
        )

    async def bury(self, reason: str, *, keep_body: bool, **about: Unpack[About]) -> None:
        kept = kept_of(self.message) if keep_body else note_of(reason, about)
        await self._settle(
            "UPDATE messages SET state = 'dead', reason = ?, certificate = ?, renewal_id = ?, told_at = ?, since = ?,"
            " body = ?, content_type = ?, content_encoding = ? WHERE number = ?",
            (reason, *(about.get(name) for name in _ABOUT), time.time(), *kept, self.number),
            is_secret=not keep_body,
        )

    async def _settle(self, statement: str, values: Sequence[object], *, is_secret: bool = False) -> None:
        """`is_secret`: it is not settled before the file has nothing left of what was there."""
        self.in_hand.check()
        await self.broker.write(statement, values)
        if is_secret:
            await self.broker.erase()
        self.in_hand.numbers.discard(self.number)


@dataclass(frozen=True, slots=True)
class SqliteDeliveries(AsyncIterator[Delivery]):
    """Waits for the lock that only the active consumer holds, then gives out what is due."""

    broker: "SqliteBroker"
    lock: int
    in_hand: GivenOut

    async def __anext__(self) -> Delivery:
        while True:
            self.in_hand.check()
            await self.broker.check_file()
            if self.broker.is_active or await self._became_active():
                delivery = await self.broker.take(self.in_hand)
                if delivery is not None:
                    return delivery
            else:
                self.in_hand.was_standby = True
            await asyncio.sleep(_LOOK_EVERY)

    async def _became_active(self) -> bool:
        """Whoever was active until now may have been of an earlier version."""
        if is_taken(self.lock):
            await self.broker.fill_in()
            self.broker.is_active = True
        return self.broker.is_active
