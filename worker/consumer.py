"""Takes deliveries from the broker for as long as the worker runs. What becomes of each is `attempt`'s."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Final, Unpack

import structlog

from worker.attempt import Attempts, Parts
from worker.beside import unless
from worker.broker.base import BrokerError, BrokerLostError, Delivery, Message
from worker.core.backoff import jittered
from worker.finishing import Ending, Session, unbegun
from worker.in_hand import InHand
from worker.settlement import UNOPENED

Sieve = Callable[[AsyncIterator[Delivery]], AsyncIterator[Delivery]]
"""Keeps back what a consumer is not to work on, and settles it."""

_log = structlog.get_logger()
_STABLE_AFTER: Final = 30.0
"""Seconds: a session at the broker that ends sooner counts as a failed try to connect."""


@dataclass(slots=True)
class Consumer:
    """Takes renewals as long as it is not stopped, several at once."""

    attempts: Attempts
    """For what comes from now on."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    sieve: Sieve = lambda deliveries: deliveries
    _in_hand: InHand = field(default_factory=InHand)

    def hand_over(self, **parts: Unpack[Parts]) -> None:
        """What comes is worked on with these; what is in hand goes on as it began."""
        self.attempts = self.attempts.made_of(**parts)

    @property
    def is_idle(self) -> bool:
        return not self._in_hand.tasks

    async def run(self) -> None:
        """Until `stopping` is set: consumes, and connects again whenever the broker is lost.

        Only a first connection that the broker refuses ends this: later it is somebody else's mistake, and passes.
        """
        tries, was_connected, clock = 0, False, asyncio.get_running_loop().time
        while not self.stopping.is_set():
            began = clock()
            self.attempts.metrics.connects.inc()
            try:
                async with AsyncExitStack() as stack:
                    deliveries = await unless(
                        self.stopping, stack.enter_async_context(self.attempts.broker.deliveries())
                    )
                    was_connected = True
                    _log.info("consumer.connected")
                    await self._take(deliveries)
            except TimeoutError:
                if self.stopping.is_set():
                    return
                raise
            except BrokerError as error:
                is_lost = isinstance(error, BrokerLostError)
                if not is_lost and not was_connected:
                    raise
                tries = 1 if clock() - began > _STABLE_AFTER else tries + 1
                _log.warning("consumer.disconnected" if is_lost else "consumer.refused", error=str(error), tries=tries)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), jittered(tries, self.attempts.chance(), cap=15))

    async def _take(self, deliveries: AsyncIterator[Delivery]) -> None:
        """Losing the broker cancels what is in hand at once: another worker may be the active one by now."""
        lost: BrokerLostError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                pump = group.create_task(self._pump(deliveries, group))
                await self.stopping.wait()
                # The pump goes on, and takes nothing: it is the one that hears when the broker is lost.
                await self._drain()
                pump.cancel()
        except* BrokerLostError as losses:
            lost = _first(losses)
        finally:
            self._in_hand.session_ended()
            self.attempts.session_ended()
        if lost is not None:
            raise BrokerLostError(str(lost)) from None

    async def _pump(self, deliveries: AsyncIterator[Delivery], group: asyncio.TaskGroup) -> None:
        session = Session(self.stopping.is_set)
        async for delivery in self.sieve(deliveries):
            message = delivery.message
            if self.stopping.is_set():
                unbegun(message, "returned", "draining")
                continue
            self.attempts.metrics.deliveries.inc()
            if message.is_inherited:
                await self._inherit(message)
            ahead, is_given_up = self._in_hand.ahead_of(message), self._in_hand.is_given_up(message)
            work = self._worked_on(delivery, ahead, is_given_up=is_given_up)
            ending = Ending(message, session)
            with ending.awaited():
                task = group.create_task(work)
            self._in_hand.add(task, message)
            task.add_done_callback(ending.over)
        if not self.stopping.is_set():
            raise BrokerLostError("the consumer ended")

    async def _inherit(self, message: Message) -> None:
        """The limits hold for the worker before this one, too: it may have died just now, or told its last long ago."""
        if message.redeliveries:
            if not self._in_hand.has_survived(message):
                self.attempts.rotator.inherit(0.0)
            return
        try:
            at = await self.attempts.broker.told_by_others_at()
        except BrokerError:
            at = self.attempts.now()
        if at is not None:
            self.attempts.rotator.inherit(max((self.attempts.now() - at).total_seconds(), 0.0))

    async def _drain(self) -> None:
        """What does not finish in time goes back to the broker unsettled, and is delivered again."""
        if not (tasks := self._in_hand.tasks):
            return
        _log.info("consumer.draining", rotations=len(tasks))
        self.attempts.admission.close()
        _done, late = await asyncio.wait(tasks, timeout=self.attempts.policy.drain_seconds)
        for task in late:
            task.cancel()

    async def _worked_on(self, delivery: Delivery, ahead: Collection[asyncio.Task[None]], *, is_given_up: bool) -> None:
        """One delivery, once those that it must not be worked on with have ended."""
        why = await self._why_later(delivery.message, ahead, is_given_up=is_given_up)
        attempts, settlement = self.attempts, self.attempts.settlement
        if why is not None and settlement.may_wait(delivery):
            return await settlement.put_off(delivery, why)
        with attempts.in_use():
            return await attempts.settle(delivery, None if why is None else UNOPENED)

    async def _why_later(
        self, message: Message, ahead: Collection[asyncio.Task[None]], *, is_given_up: bool
    ) -> str | None:
        if message.is_last_delivery and not is_given_up:
            _log.warning("delivery.spared", redeliveries=message.redeliveries)
            return "spared"
        if not ahead:
            return None
        _ended, still_ahead = await asyncio.wait(ahead, timeout=self.attempts.policy.slice_seconds)
        return "others_ahead" if still_ahead else None  # longer than the broker waits for an answer


def _first(losses: BaseExceptionGroup[BrokerLostError]) -> BrokerLostError:
    inner = losses.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
