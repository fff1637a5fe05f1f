"""What lies in the dead queue of RabbitMQ, for one reader at a time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import uniform
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

from worker.broker.base import BrokerError, Dead, Exposes, withheld
from worker.broker.connection import counted, guarded
from worker.broker.copies import dead_letter, id_among, is_unseen, note_of_unseen
from worker.broker.publishing import Sending

_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
_PATIENCE: Final = 30.0
_PAUSE: Final = 0.2
_ARRIVES_IN: Final = 1.0
_LOOKS_AT_THE_END: Final = 10
_MOST_NOTES: Final = 200
"""Of one pass: each is published, and nobody else sees any letter meanwhile."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """A reader's, which others see by its being a consumer. What it is given as one is among what it reads."""

    channel: AbstractChannel
    queue: AbstractQueue
    given: asyncio.Queue[AbstractIncomingMessage]

    async def next(self) -> AbstractIncomingMessage | None:
        """None where nothing is left that nobody has in hand."""
        if not self.given.empty():
            return self.given.get_nowait()
        return await self.queue.get(fail=False, timeout=None)

    async def is_over(self) -> bool:
        """Not while somebody who began at the same moment has not let go yet of what he was given."""
        found = (await self.channel.declare_queue(self.queue.name, passive=True)).declaration_result
        return not found.message_count and (found.consumer_count or 0) <= 1 and self.given.empty()


async def held(
    connection: AbstractConnection, queue_name: str, seconds: float
) -> AsyncGenerator[AbstractIncomingMessage]:
    """All dead letters, one after the other, unsettled: closing the connection puts them back, in hardly another order.

    The broker keeps them meanwhile, and nobody else is given them; of those that were had none is kept here, for there
    may be many, and large ones. So another reader is waited for: what he leaves would look like all. Raises BrokerError
    where that takes long.
    """
    turn = await _turn(connection, queue_name, seconds)
    looks = 0 if turn is None else _LOOKS_AT_THE_END
    while turn is not None and looks:
        async with guarded(f"reading {queue_name}", seconds):
            one = await turn.next()
        if one is not None:
            yield one
            continue
        async with guarded(f"reading {queue_name}", seconds):
            looks = 0 if await turn.is_over() else looks - 1
        if looks:
            await asyncio.sleep(_PAUSE)


async def _turn(connection: AbstractConnection, queue_name: str, seconds: float) -> _Turn | None:
    """None where there is nothing to read, in nobody's hands either."""
    clock = asyncio.get_running_loop().time
    until = clock() + _PATIENCE
    while True:
        async with guarded(f"reading {queue_name}", seconds):
            [(ready, readers)] = await counted(connection, queue_name)
            if not readers:
                if not ready and await _is_empty(connection, queue_name):
                    return None
                if (turn := await _begun(connection, queue_name)) is not None:
                    return turn
        if clock() > until:
            raise BrokerError(
                "somebody else is reading the dead letters just now: nobody sees them until that has ended"
            )
        await asyncio.sleep(uniform(_PAUSE / 2, _PAUSE))  # noqa: S311 - of two that collide one is to be first


async def _is_empty(connection: AbstractConnection, queue_name: str) -> bool:
    """Counting needs no right to read."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        queue = await channel.get_queue(queue_name, ensure=False)
        return await queue.get(fail=False, timeout=None) is None
    finally:
        if not channel.is_closed:
            await channel.close()


async def _begun(connection: AbstractConnection, queue_name: str) -> _Turn | None:
    """None where somebody else began at the same moment."""
    # One channel for all that is had: when it closes, the letters and the sign that they are in hand go at once.
    channel = await connection.channel(publisher_confirms=False)
    await channel.set_qos(prefetch_count=1)
    queue = await channel.get_queue(queue_name, ensure=False)
    given = asyncio.Queue[AbstractIncomingMessage]()
    await queue.consume(given.put)
    if (await channel.declare_queue(queue_name, passive=True)).declaration_result.consumer_count != 1:
        await channel.close()
        return None
    with suppress(TimeoutError):  # taken away since it was counted
        async with asyncio.timeout(_ARRIVES_IN):
            first = await given.get()
            given.put_nowait(first)
    return _Turn(channel, queue, given)


def age(dead: Dead) -> datetime:
    """To sort by, oldest first."""
    return dead.since or _BEGINNING


async def shielded(
    letters: AsyncGenerator[AbstractIncomingMessage],
    user: str,
    exposes: Exposes,
    put: Callable[[Sending], Awaitable[None]],
    seconds: float,
) -> Sequence[Dead]:
    """The notes that were put in the place of what must not be kept: not all at once, where there are many."""
    notes: list[Dead] = []
    async with aclosing(letters):
        async for one in letters:
            is_exposed = exposes(dead_letter(one, user).message) if is_unseen(one, user) else None
            if is_exposed is None:
                continue
            await put(note_of_unseen(one, user, is_exposed=is_exposed))
            async with guarded("settling", seconds):
                await one.ack()
            dead = dead_letter(one, user)
            body = withheld(dead.reason, is_exposed=is_exposed)
            notes.append(replace(dead, message=replace(dead.message, body=body)))
            if len(notes) == _MOST_NOTES:
                break
    return notes


async def dropped(
    letters: AsyncIterator[AbstractIncomingMessage], ids: Collection[str], seconds: float
) -> Sequence[str]:
    """Takes these out, for good; the ids that were found."""
    found = []
    async for one in letters:
        if (name := id_among(one, ids)) is not None:
            async with guarded("settling", seconds):
                await one.ack()
            found.append(name)
    return found
