"""Consuming from RabbitMQ: one consumer on one connection, from its start until it is lost, under a watchdog."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from worker.beside import beside
from worker.broker.base import BrokerError, BrokerLostError
from worker.broker.connection import counted, guarded
from worker.settings.model import Broker as Settings

# Goes on while the machine sleeps, as the broker does.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_QUIET_LOOKS: Final = 15
"""Of the watchdog, after which a consumer that has heard nothing gives way to a new one."""


@dataclass(slots=True)
class Session:
    """What has come and not been taken yet, and whether it still comes."""

    connection: AbstractConnection
    settings: Settings
    look_every: float
    """Seconds between two looks of the watchdog."""
    is_active: bool = False
    """As far as can be known: the broker tells nobody who its single active consumer is."""
    channel: AbstractChannel | None = None
    """The one whose consumer counts."""
    was_standby: bool = False
    """Others were before it in the queue when its turn began."""
    begins_turn: bool = True
    """Nothing was given out yet since it came, or gave way to others."""
    others: Sequence[str] = ()
    """Queues that have to be there as well: parking steps, dead letters, history."""
    lease: float = 5.0
    """Seconds for which an answer of the broker proves that it has not given up this connection since it was asked."""
    arrived: int = 0
    settled: int = 0
    _incoming: deque[AbstractIncomingMessage] = field(default_factory=deque)
    _why_lost: str | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _asked_at: float = float("-inf")
    """When the broker was asked something that it answered."""
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_lost(self) -> bool:
        return self._why_lost is not None

    @property
    def room(self) -> int:
        """How many more the broker may give out."""
        return self.settings.in_hand - (self.arrived - self.settled)

    def lose(self, why: str) -> None:
        """Only the first reason is told."""
        self._why_lost = self._why_lost or why
        self._news.set()

    def check(self) -> None:
        """Raises BrokerLostError when what was delivered here is delivered again elsewhere."""
        if self._why_lost is not None:
            raise BrokerLostError(self._why_lost)

    async def fence(self) -> None:
        """Returns while the broker surely takes this connection for alive; never again once it may not.

        A process that was frozen, or whose link died in silence, is the last to hear that its messages went to another.
        """
        if self._is_proof_old:
            async with self._asking:
                while not self.is_lost and self._is_proof_old:
                    await self._ask(self.lease)
        if self.is_lost:
            await asyncio.Event().wait()

    @property
    def _is_proof_old(self) -> bool:
        return time.clock_gettime(_CLOCK) - self._asked_at > self.lease

    async def _ask(self, seconds: float, *others: str) -> int:
        """How many messages are ready. Lost when there is no answer, and when nobody consumes any more."""
        asked_at = time.clock_gettime(_CLOCK)
        try:
            async with guarded(f"looking at {self.settings.queue}", seconds):
                [(ready, consumers), *_] = await counted(self.connection, self.settings.queue, *others)
        except BrokerError as error:
            self.lose(str(error))
            return 0
        except Exception as bug:  # noqa: BLE001 - whoever asks waits for its end, and must not take the others along
            self.lose(f"asking failed ({type(bug).__name__})")
            return 0
        if consumers == 0:
            self.lose("the queue has no consumer any more")
        self._asked_at = asked_at
        return ready

    async def next(self) -> AbstractIncomingMessage:
        """Waits; raises BrokerLostError as soon as the session is lost, whatever has arrived before."""
        while not self._incoming and not self.is_lost:
            self._news.clear()
            await self._news.wait()
        self.check()
        return self._incoming.popleft()

    async def begin(self) -> None:
        async with guarded(f"consuming from {self.settings.queue}", self.settings.timeout_seconds):
            self.connection.close_callbacks.add(lambda *_: self.lose("the connection was closed"))
            [(_, consumers)] = await counted(self.connection, self.settings.queue)
            self.is_active, self.was_standby = consumers == 0, consumers > 0
            self.channel = await self._opened()
            await self._consume(self.channel)

    async def _opened(self) -> AbstractChannel:
        """A channel; the session is not to outlive it while it is the session's own."""
        channel = await self.connection.channel(publisher_confirms=False)

        def ends(why: str) -> None:
            if self.channel is channel:
                self.lose(why)

        channel.close_callbacks.add(lambda *_: ends("the channel was closed"))
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda _: ends("the consumer was cancelled"))
        await channel.set_qos(prefetch_count=self.settings.in_hand)
        return channel

    async def _consume(self, channel: AbstractChannel) -> None:
        """By the session's own channel: what comes in by another one goes back when that is closed."""

        async def arrive(incoming: AbstractIncomingMessage) -> None:
            """Nothing is worked on in here: losing the connection cancels the library's callbacks in mid-call."""
            if self.channel is channel:
                self._arrive(incoming)

        queue = await channel.get_queue(self.settings.queue, ensure=False)
        await queue.consume(arrive)

    def _arrive(self, incoming: AbstractIncomingMessage) -> None:
        self.is_active = True
        self.arrived += 1
        self._incoming.append(incoming)
        self._news.set()

    async def _subscribe_anew(self) -> None:
        """A queue that was deleted and made again at once may go on with our old consumer.

        RabbitMQ 3.10 drops what is delivered to that one: nothing is ready then, and nothing comes. Nobody can see it,
        so after a quiet time, while nothing is in hand, the old consumer gives way to a new one.
        """
        async with guarded(f"consuming from {self.settings.queue}", self.settings.timeout_seconds):
            [(_, consumers)] = await counted(self.connection, self.settings.queue)
            new, old = await self._opened(), self.channel
            if self.arrived != self.settled:
                return await new.close()
            # The session's own before it consumes: of a queue that was made again, it may be given something at once.
            self.channel, self.is_active = new, consumers <= 1
            self.was_standby = self.begins_turn = consumers > 1
            await self._consume(new)
            if old is not None and not old.is_closed:
                await old.close()
            return None

    async def watch(self) -> None:
        """Until the session is lost. Without a watchdog it cannot go on: a bug of it is as bad as a lost link."""
        try:
            await self._watch()
        except BrokerError as error:
            self.lose(str(error))
        except Exception as bug:  # noqa: BLE001 - whatever ends it
            self.lose(f"the watchdog failed ({type(bug).__name__})")

    async def _watch(self) -> None:
        """A consumer can go deaf without a word: messages ready, room for them, and none comes in between two looks.

        A standby, which has never been given anything and was not the first to come, is not deaf.
        """
        waiting_since: int | None = None
        quiet, arrived = 0, 0
        while not self.is_lost:
            ready = await self._ask(self.settings.timeout_seconds, *self.others)
            is_waiting = bool(ready) and self.room > 0 and self.is_active
            if is_waiting and waiting_since == self.arrived:
                self.lose("messages are ready and none comes: the consumer is deaf")
            waiting_since = self.arrived if is_waiting else None
            quiet, arrived = (quiet + 1, arrived) if arrived == self.arrived == self.settled else (0, self.arrived)
            if quiet == _QUIET_LOOKS:
                quiet = 0
                await self._subscribe_anew()
            await asyncio.sleep(self.look_every)


@asynccontextmanager
async def consuming(
    connection: AbstractConnection, settings: Settings, look_every: float, lease: float, others: Sequence[str] = ()
) -> AsyncGenerator[Session]:
    """A session inside the block; lost at its end, so that nothing is settled any more."""
    session = Session(connection, settings, look_every, others=others, lease=lease)
    await session.begin()
    async with beside(session.watch()):
        try:
            yield session
        finally:
            session.lose("the consumer has stopped")
