"""Waiting for what becomes of renewals that others work on: as the history tells, and not for ever."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from worker.broker.base import Broker, BrokerError
from worker.broker.facts import Told
from worker.core.past import moment

_LOOK_EVERY: Final = 1.0
_LATEST: Final = 1000
"""Events read at each look, for all that is waited for together."""


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    """For the first outcome under one of these ids that is younger than `after`."""

    event_ids: Collection[str]
    after: datetime | None
    told: asyncio.Future[Told]

    def hear(self, event: Mapping[str, object]) -> None:
        if not self.told.done() and self.is_met_by(event):
            self.told.set_result(_told(event))

    def is_met_by(self, event: Mapping[str, object]) -> bool:
        if event.get("id") not in self.event_ids:
            return False
        at = moment(event.get("time"))
        return self.after is None or (at is not None and at > self.after)


@dataclass(slots=True)
class Awaited:
    """Renewals whose outcome somebody waits for. `patience` in seconds, for each of them.

    An outcome is known by its event's id: whose renewal it is of, anybody can claim who sends a message.
    """

    broker: Broker
    patience: float
    _waiting: dict[str, list[_Wish]] = field(default_factory=lambda: defaultdict(list))

    async def outcome(
        self, event_ids: Collection[str], certificate: str | None, *, after: datetime | None = None
    ) -> Told | None:
        """None where none of these is told when patience ends.

        What is put back ends under the ids that it ended under before: only what was told later than `after` counts.
        """
        wish = _Wish(event_ids, after, asyncio.get_running_loop().create_future())
        for one in event_ids:
            self._waiting[one].append(wish)
        try:
            async with asyncio.timeout(self.patience):
                return await wish.told
        except TimeoutError:
            return await self._in_all_of(certificate, wish)
        finally:
            for one in event_ids:
                self._forget(one, wish)

    def _forget(self, event_id: str, wish: _Wish) -> None:
        self._waiting[event_id].remove(wish)
        if not self._waiting[event_id]:
            del self._waiting[event_id]

    async def _in_all_of(self, certificate: str | None, wish: _Wish) -> Told | None:
        """More may have been told between two looks than one of them reads."""
        with suppress(BrokerError):
            for event in await self.broker.history(certificate):
                if wish.is_met_by(event):
                    return _told(event)
        return None

    async def look_on(self) -> None:
        """For ever: hears of all that is waited for."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            if self._waiting:
                with suppress(BrokerError):
                    for event in await self.broker.history(limit=_LATEST):
                        self._hear(event)

    def _hear(self, event: Mapping[str, object]) -> None:
        for wish in self._waiting.get(str(event.get("id")), ()):
            wish.hear(event)


def _told(event: Mapping[str, object]) -> Told:
    data = event.get("data")
    data = data if isinstance(data, dict) else {}
    return Told(str(data.get("outcome")), str(data.get("reason")))
