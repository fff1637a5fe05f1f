"""In a worker's place while none is at work: takes the renewals that were put into the queue for it, and no others.

It is a consumer like any other, so the broker lets one of them be at work: where a worker comes meanwhile, that one
stands by, and where one was faster, the substitute does.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from worker.beside import beside
from worker.broker.base import Broker, BrokerError, BrokerLostError, Delivery, Exposes, Message
from worker.consumer import Consumer, Sieve
from worker.finishing import unbegun

_log = structlog.get_logger()
_LOOK_EVERY: Final = 1.0
_GIVES_WAY_AFTER: Final = 1.0
"""Seconds from the first renewal of others on: what came together with it is put off as well."""
_GIVES_UP_AFTER: Final = 30.0
"""The same while nothing of its own has come: it may lie behind those, or be parked for long."""


@dataclass(slots=True)
class Substitute:
    """Works as long as something of its own is in the queue and no worker serves it."""

    broker: Broker
    consumer: Callable[[asyncio.Event, Sieve], Consumer]
    """One that stops when it is told to, and takes what the sieve lets through."""
    is_own: Callable[[Message], bool]
    put_off: float
    """Seconds for which the renewals of others are parked."""
    exposes: Exposes
    """What must not be kept must lie in no other queue either: it is left to the consumer, whoever has sent it."""
    _open: int = 0
    _is_needed: asyncio.Event = field(default_factory=asyncio.Event)
    _leaving: asyncio.Event = field(default_factory=asyncio.Event)
    _at_work: asyncio.Lock = field(default_factory=asyncio.Lock)

    @contextmanager
    def needed(self) -> Iterator[None]:
        """Inside the block something of its own is in the queue, or about to be."""
        self._open += 1
        self._is_needed.set()
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self._is_needed.clear()
                self._leaving.set()

    @asynccontextmanager
    async def at_hand(self) -> AsyncIterator[None]:
        """Inside the block it steps in where it is needed; at its end what is in hand may end."""
        async with beside(self._run()):
            yield
            self._leaving.set()
            async with self._at_work:
                pass

    async def _run(self) -> None:
        while True:
            await self._is_needed.wait()
            try:
                if not await self.broker.is_served():
                    await self._stand_in()
            except BrokerError as error:
                _log.warning("substitute.refused", error=str(error))
            except Exception as bug:  # noqa: BLE001 - what is in the queue waits for somebody
                _log.error("substitute.crashed", exc_info=bug)
            await asyncio.sleep(_LOOK_EVERY)

    async def _stand_in(self) -> None:
        """Until nothing of its own is there any more, or others have to be let in."""
        self._leaving = leaving = asyncio.Event()
        if not self._open:
            return
        _log.info("substitute.began")
        giving_way = asyncio.Event()
        consumer = self.consumer(leaving, partial(self._sieved, giving_way))
        async with self._at_work, beside(_leave(consumer, giving_way)):
            await consumer.run()

    async def _sieved(self, giving_way: asyncio.Event, deliveries: AsyncIterator[Delivery]) -> AsyncIterator[Delivery]:
        """What others have sent comes again by and by, its attempts uncounted: a worker may be there by then.

        Where one waits already it is let in, once something of its own was taken and what is in hand has ended. What
        comes of its own meanwhile is put off too: a delivery that is not settled counts against it.
        """
        later = asyncio.get_running_loop().call_later
        has_own = has_others = False
        async for delivery in deliveries:
            if self.is_own(delivery.message) and not giving_way.is_set():
                has_own = True
                yield delivery
            else:
                has_others = True
                if self.exposes(delivery.message) is None:
                    await self._put_off(delivery)
                else:
                    yield delivery
            if has_others:
                later(_GIVES_WAY_AFTER if has_own else _GIVES_UP_AFTER, giving_way.set)

    async def _put_off(self, delivery: Delivery) -> None:
        try:
            await delivery.park(self.put_off, attempt=delivery.message.attempt)
        except BrokerLostError:
            raise
        except BrokerError as error:
            raise BrokerLostError(str(error)) from None
        unbegun(delivery.message, "parked", "not_its_own")


async def _leave(consumer: Consumer, giving_way: asyncio.Event) -> None:
    """Told to stop, a consumer puts back unsettled what has not begun."""
    await giving_way.wait()
    while not consumer.is_idle:  # noqa: ASYNC110 - its tasks come and go
        await asyncio.sleep(_LOOK_EVERY)
    consumer.stopping.set()
