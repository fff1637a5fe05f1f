"""Reading the history stream of RabbitMQ: the latest events and notes, without taking any away."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from worker.broker.base import Batch, BrokerError, BrokerLostError
from worker.broker.connection import guarded
from worker.core.note import is_note

_PREFETCH: Final = 500
_ACKED_TOGETHER: Final = 100
_OFFSET: Final = "x-stream-offset"
# Where no mark can be set: an empty stream says nothing, and RabbitMQ 3.10 counts 0 messages in any.
_FIRST_SILENCE: Final = 1.5
_SILENCE: Final = 0.3
_WIDER: Final = 4
_TOGETHER: Final = 10
"""Events read in one go: each may name a thousand failures."""
_DEAF_AFTER: Final = 60.0

Entries = asyncio.Queue[AbstractIncomingMessage]
Take = Callable[[Mapping[str, object], float | None], None]
"""Takes in an entry, and when it was published, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream queue; every step may take `seconds`."""

    connection: AbstractConnection
    name: str
    seconds: float
    mark: Callable[[], Awaitable[str]]
    """Publishes an entry that says nothing; its id."""

    async def latest(
        self, certificate: str | None, limit: int, user: str | None = None
    ) -> Sequence[Mapping[str, object]]:
        """Events, newest first; up to what was the end when this began. Where a user is named, that one's."""
        end = await self._end()
        if end is None:
            return []
        first = 0 if certificate else max(0, end + 1 - max(limit, 1))
        while True:
            found, is_beginning = await self._between(first, end, certificate, limit, user)
            if is_beginning or len(found) >= limit:
                return found
            # Notes lie between the events: it has to be begun further back.
            first = max(0, end + 1 - _WIDER * (end + 1 - first))

    async def _between(
        self, first: int, end: int, certificate: str | None, limit: int, user: str | None
    ) -> tuple[Sequence[Mapping[str, object]], bool]:
        """The latest events, newest first, and whether there is nothing before `first`."""
        found: deque[Mapping[str, object]] = deque(maxlen=limit)
        async with self._reading(first or "first") as entries:
            offset, is_beginning = first - 1, first == 0
            while offset < end:
                entry = await self._taken(entries)
                is_beginning |= offset < first < _offset(entry, offset)
                offset = _offset(entry, offset)
                event = _event(entry.body)
                if event is None or is_note(event) or user not in (None, entry.user_id):
                    continue
                if certificate in (None, event.get("subject")):
                    found.appendleft(event)
        return list(found), is_beginning

    async def each(self, user: str, take: Take) -> None:
        """All that this user has published, oldest first, up to now.

        To an entry of our own: silence would tell no end, because a link may be slow.
        """
        async with self._reading("first") as entries:
            mark = await self.mark()
            while True:
                entry = await self._taken(entries)
                event = _event(entry.body)
                if event is None or entry.user_id != user:
                    continue
                if event.get("id") == mark:
                    return
                take(event, None if entry.timestamp is None else entry.timestamp.timestamp())

    async def following(self, user: str, after: int | None) -> AsyncGenerator[Batch]:
        """Events of this user from there on, and then those that come, for ever.

        Read anew after a minute of silence: a consumer that gets nothing may be deaf.
        """
        while True:
            async with self._reading("first" if after is None else after + 1) as entries:
                heard_at = time.monotonic()
                while time.monotonic() < heard_at + _DEAF_AFTER:
                    came = await self._came(entries)
                    if came:
                        heard_at, after = time.monotonic(), _offset(came[-1], after or 0)
                    mine = (_event(one.body) for one in came if one.user_id == user)
                    yield Batch(after, [one for one in mine if one is not None and not is_note(one)])

    async def _came(self, entries: Entries) -> Sequence[AbstractIncomingMessage]:
        """As soon as there is one, that and what is there with it; nothing after some silence."""
        if self.connection.is_closed:
            raise BrokerLostError(f"reading {self.name}: the link to the broker is dead")
        came: list[AbstractIncomingMessage] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_SILENCE):
                came.append(await entries.get())
        while came and len(came) < _TOGETHER and not entries.empty():
            came.append(entries.get_nowait())
        for one in came:
            await self._ask_for_more(one)
        await asyncio.sleep(0)
        return came

    async def _end(self) -> int | None:
        """The offset of the last entry; None for an empty stream."""
        async with self._reading("last") as entries:
            try:
                mark = await self.mark()
            except BrokerError:
                return await self._silent_end(entries)  # an alarm, or no right to write: whoever reads wants to see
            offset = -1
            while True:
                entry = await self._taken(entries)
                offset = _offset(entry, offset)
                if (_event(entry.body) or {}).get("id") == mark:
                    return offset

    async def _silent_end(self, entries: Entries) -> int | None:
        end: int | None = None
        while True:
            try:
                async with asyncio.timeout(_FIRST_SILENCE if end is None else _SILENCE):
                    end = _offset(await self._taken(entries), -1 if end is None else end)
            except TimeoutError:
                return end

    async def _taken(self, entries: Entries) -> AbstractIncomingMessage:
        """Nothing leaves a stream: an ack only asks for more."""
        async with guarded(f"reading {self.name}", self.seconds):
            entry = await entries.get()
        await self._ask_for_more(entry)
        return entry

    async def _ask_for_more(self, entry: AbstractIncomingMessage) -> None:
        """One by one they would take twice as long as all the rest."""
        if (entry.delivery_tag or 0) % _ACKED_TOGETHER == 0:
            async with guarded(f"reading {self.name}", self.seconds):
                await entry.ack(multiple=True)

    @asynccontextmanager
    async def _reading(self, start: int | str) -> AsyncGenerator[Entries]:
        entries: Entries = asyncio.Queue()
        async with guarded(f"reading {self.name}", self.seconds):
            channel = await self.connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=_PREFETCH)
            queue = await channel.get_queue(self.name, ensure=False)
            await queue.consume(entries.put, arguments={_OFFSET: start})
        try:
            yield entries
        finally:
            async with guarded(f"reading {self.name}", self.seconds):
                if not channel.is_closed:
                    await channel.close()


def _offset(entry: AbstractIncomingMessage, before: int) -> int:
    """The broker's own header; where an entry's properties cannot be read, the next after `before`."""
    told = entry.headers.get(_OFFSET)
    return told if isinstance(told, int) else before + 1


def _event(body: bytes) -> Mapping[str, object] | None:
    """Others may publish to the events' exchange too: what is no JSON object is none of ours."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None
