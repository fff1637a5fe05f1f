"""The producer of a soak: renewals at a steady rate, of every sort, each told to the broker until it is confirmed."""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from tests.soak.estate import STRANGER, Item
from worker.broker.base import Broker, BrokerError, Message
from worker.core.message import composed
from worker.core.renewal import Reason
from worker.core.secret import Secret
from worker.sandbox.ca import Authority, Issued
from worker.trust.keys import Key
from worker.trust.sealing import seal

SORTS: Final[Mapping[str, int]] = {"newer": 60, "late": 12, "again": 8, "urgent": 4, "back": 5, "bad": 11}
"""Sorts of renewals, and how many in a hundred: the next certificate; one that comes after its successor; the very
same message; an urgent one; an urgent one back to an older certificate; one that must be refused."""
BAD: Final = (
    "key_mismatch",
    "expired",
    "unknown_certificate",
    "unauthorized_producer",
    "name_not_covered",
    "malformed",
    "unsupported_version",
)
_AGE: Final = timedelta(seconds=5)
_CLOSING_SECONDS: Final = 60.0


@dataclass(slots=True)
class Order:
    """One renewal. `accepted`: how often the broker confirmed it; `in_doubt`: how often it may have taken it too."""

    renewal_id: str
    certificate: str
    sort: str
    serial: int
    begins: datetime
    at: datetime
    message: Message
    private_key_pem: str = field(repr=False)
    reason: str = ""
    """Of its refusal, where it must be refused."""
    accepted: int = 0
    in_doubt: int = 0

    @property
    def undo_until(self) -> datetime | None:
        """What was issued until then it may undo."""
        return self.at if self.sort == "back" else None


@dataclass(slots=True)
class Producer:
    """`door`: the broker as the producer's user sees it."""

    door: Broker
    items: Sequence[Item]
    authority: Authority
    recipient: Key
    chance: Random
    orders: dict[str, Order] = field(default_factory=dict)
    tries: int = 0
    _newest: dict[str, datetime] = field(default_factory=dict)
    _sending: set[asyncio.Task[None]] = field(default_factory=set)
    _closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, rate: float, seconds: float) -> None:
        """Sends for so long, then waits for what the broker has not confirmed yet."""
        end, due = time.monotonic() + seconds, time.monotonic()
        while due < end:
            for order, delay in self._next():
                task = asyncio.create_task(self._send(order, delay))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def close(self) -> None:
        """What is not taken now is given up; then the producer knows."""
        if self._sending:
            await asyncio.wait(set(self._sending), timeout=_CLOSING_SECONDS)
        self._closing.set()
        if self._sending:
            await asyncio.wait(set(self._sending))

    async def _send(self, order: Order, delay: float) -> None:
        await asyncio.sleep(delay)
        while not self._closing.is_set():
            self.tries += 1
            try:
                await self.door.publish_renewal(order.message)
            except BrokerError:
                order.in_doubt += 1
                await asyncio.sleep(1)
            else:
                order.accepted += 1
                return

    def _next(self) -> Sequence[tuple[Order, float]]:
        """What to send now, each after so many seconds."""
        [sort] = self.chance.choices(list(SORTS), list(SORTS.values()))
        item = self.chance.choice([one for one in self.items if one.name != STRANGER])
        if sort == "again" and self.orders:
            return [(self.chance.choice(list(self.orders.values())[-60:]), 0.0)]
        if sort == "late":
            early, later = self._order(item, "late"), self._order(item, "newer")
            return [(later, 0.0), (early, self.chance.uniform(0, 8))]
        if sort == "bad":
            return [(self._bad(item, self.chance.choice(BAD)), 0.0)]
        return [(self._order(item, "newer" if sort == "again" else sort), 0.0)]

    def _begins(self, name: str, *, back: bool) -> datetime:
        """Later than all before, and just begun; going back, some of them are taken back."""
        just = datetime.now(UTC).replace(microsecond=0) - _AGE
        newest = self._newest.get(name, just)
        if back:
            return newest - timedelta(seconds=self.chance.randint(1, 40))
        self._newest[name] = max(just, newest + timedelta(seconds=1))
        return self._newest[name]

    def _order(self, item: Item, sort: str) -> Order:
        begins = self._begins(item.name, back=sort == "back")
        issued = self.authority.issue(item.names, not_before=begins)
        reason: Reason = "key_compromise" if sort in ("urgent", "back") else "renewal"
        return self._ordered(item.name, sort, issued, reason=reason)

    def _bad(self, item: Item, reason: str) -> Order:
        begins, issue = self._begins(item.name, back=False), self.authority.issue
        issued, name, key = issue(item.names, not_before=begins), item.name, None
        match reason:
            case "key_mismatch":
                key = issue(item.names).private_key_pem
            case "expired":
                old = begins - timedelta(days=100)
                issued = issue(item.names, not_before=old, not_after=old + timedelta(days=20))
            case "unknown_certificate":
                name = "nobody"
            case "unauthorized_producer":
                name = STRANGER
            case "name_not_covered":
                issued = issue(["elsewhere.example.com"], not_before=begins)
        return self._ordered(name, "bad", issued, refused=reason, key=key)

    def _ordered(
        self,
        name: str,
        sort: str,
        issued: Issued,
        *,
        reason: Reason = "renewal",
        refused: str = "",
        key: str | None = None,
    ) -> Order:
        renewal_id, at = str(uuid.UUID(int=self.chance.getrandbits(128), version=4)), datetime.now(UTC)
        key = issued.private_key_pem if key is None else key
        body = composed(
            renewal_id=renewal_id,
            source="/soak",
            certificate=name,
            material=self._material(issued, key, name, renewal_id),
            at=at,
            reason=reason,
            allow_shorter_validity=sort == "back",
        )
        if refused == "malformed":
            body = body.replace(b'"chain_pem"', b'"chain_pam"')
        if refused == "unsupported_version":
            body = body.replace(b"renewal:1", b"renewal:7")
        message = Message(body, "application/cloudevents+json", priority=9 * (reason != "renewal"))
        begins = issued.certificate.not_valid_before_utc
        order = Order(renewal_id, name, sort, issued.serial_number, begins, at, message, key, refused)
        self.orders[renewal_id] = order
        return order

    def _material(self, issued: Issued, key: str, name: str, renewal_id: str) -> dict[str, str]:
        if self.chance.random() < 0.5:
            return {"kind": "plain", "chain_pem": issued.chain_pem, "private_key_pem": key}
        sealed = seal(Secret(key), name, renewal_id, self.recipient)
        return {"kind": "sealed", "chain_pem": issued.chain_pem, "private_key_jwe": sealed}
