"""What the broker itself has given up lies among the dead as it came: a worker at work leaves no key there."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from worker.broker.base import Broker, BrokerError, Exposes, Message
from worker.settings import Settings
from worker.trust.keeping import looked_at
from worker.trust.opening import TrustPolicy

_log = structlog.get_logger()
_EVERY: Final = 30.0
_SOON: Final = 2.0
_ANYWAY: Final = 10
"""Each such look, whatever the number says."""


def exposes(message: Message, *, allow_plain_keys: bool) -> bool | None:
    """The worker's own rule, for what no worker has seen."""
    look = looked_at(message, TrustPolicy({}, allow_plain_keys=allow_plain_keys))
    return None if look.may_keep else look.is_exposed


def judge_of(settings: Settings) -> Exposes:
    """That rule, as the settings have it."""
    return partial(exposes, allow_plain_keys=settings.trust.allow_plain_keys)


def judge_of_today(today: Callable[[], Settings]) -> Exposes:
    """The same, as they are when it is asked: who holds it outlives a reload."""
    return lambda message: judge_of(today())(message)


@dataclass(slots=True)
class Shielding:
    """Beside the consumer of a running worker, while it is the active one; seconds."""

    broker: Broker
    exposes: Exposes
    every: float = _EVERY
    _seen: int = 0
    """How many were among the dead at the last look: all of them are read, so not each time."""
    _passed_over: int = 0
    """How often since then: as many may be others by now."""

    async def run(self) -> None:
        """For ever."""
        while True:
            is_active = False
            try:
                is_active = await self._look()
            except BrokerError as error:
                _log.warning("shielding.put_off", error=str(error))
            except Exception as bug:  # noqa: BLE001 - it looks again
                _log.error("shielding.crashed", exc_info=bug)
            await asyncio.sleep(self.every if is_active else min(_SOON, self.every))

    async def _look(self) -> bool:
        """Whether it is the active one."""
        state = await self.broker.state()
        self._passed_over += 1
        if not state.is_active:
            self._seen = 0
        elif state.dead != self._seen or (state.dead and self._passed_over >= _ANYWAY):
            withheld = await self.broker.shield(self.exposes)
            if withheld:
                _log.warning("dead.withheld", letters=withheld)
            self._seen, self._passed_over = state.dead, 0
        return state.is_active
