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
_REST: Final = 9.0
"""Times as long as a look takes nobody is kept from the dead letters by the next one."""


def exposes(message: Message, *, allow_plain_keys: bool) -> bool | None:
    """The worker's own rule, for what no worker has seen."""
    look = looked_at(message, TrustPolicy({}, allow_plain_keys=allow_plain_keys))
    return None if look.may_keep else look.is_exposed


def judge_of(settings: Settings) -> Exposes:
    """That rule, as the settings have it."""
    return partial(exposes, allow_plain_keys=settings.trust.allow_plain_keys)


def judge_of_today(today: Callable[[], Settings]) -> Exposes:
    """The same, as they are when it is asked: who holds it outlives a reload."""
    return lambda message: exposes(message, allow_plain_keys=today().trust.allow_plain_keys)


@dataclass(slots=True)
class Shielding:
    """Beside the consumer of a running worker, while it is the active one; seconds."""

    broker: Broker
    exposes: Exposes
    every: float = _EVERY
    _seen: int = 0
    """How many were among the dead at the last look that this process had not judged itself: all are read, and nobody
    else sees them meanwhile, so not each time."""
    _passed_over: int = _ANYWAY
    """How often since then: as many may be others by now."""
    _rests_until: float = float("-inf")

    async def run(self) -> None:
        """For ever."""
        while True:
            pause = _SOON
            try:
                pause = await self._look()
            except BrokerError as error:
                _log.warning("shielding.put_off", error=str(error))
            except Exception as bug:  # noqa: BLE001 - it looks again
                _log.error("shielding.crashed", exc_info=bug)
            await asyncio.sleep(min(pause, self.every))

    async def _look(self) -> float:
        """Seconds until the next one: soon, where this is not the active one yet, or there may be more of them."""
        state, clock = await self.broker.state(), asyncio.get_running_loop().time
        others = state.dead - state.buried
        self._passed_over += 1
        if not state.is_active:
            self._passed_over = _ANYWAY  # whoever was it meanwhile may have left anything
            return _SOON
        is_due = others != self._seen or (state.dead and self._passed_over >= _ANYWAY)
        if not is_due or clock() < self._rests_until:
            return self.every
        began = clock()
        notes = await self.broker.shield(self.exposes)
        self._rests_until = clock() + _REST * (clock() - began)
        for one in notes:
            names = {"certificate": one.certificate, "renewal_id": one.renewal_id}
            _log.warning("dead.withheld", **names, reason=one.reason, is_exposed=one.is_exposed)
        if notes:
            return _SOON
        self._seen, self._passed_over = others, 0
        return self.every
