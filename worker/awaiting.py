"""Waiting for what becomes of renewals that others work on: as the history tells, and not for ever."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from worker.broker.base import Broker, BrokerError
from worker.broker.facts import Told

_LOOK_EVERY: Final = 1.0
_LATEST: Final = 1000
"""Events read at each look, for all that is waited for together."""


@dataclass(slots=True)
class Awaited:
    """Renewals whose outcome somebody waits for. `patience` in seconds, for each of them.

    An outcome is known by its event's id: whose renewal it is of, anybody can claim who sends a message.
    """

    broker: Broker
    patience: float
    _waiting: dict[str, asyncio.Future[Told]] = field(default_factory=dict)

    async def outcome(self, event_ids: Collection[str], certificate: str) -> Told | None:
        """None where none of these is told when patience ends."""
        told: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._waiting |= dict.fromkeys(event_ids, told)
        try:
            async with asyncio.timeout(self.patience):
                return await told
        except TimeoutError:
            return await self._in_all_of(certificate, event_ids)
        finally:
            for one in event_ids:
                self._waiting.pop(one, None)

    async def _in_all_of(self, certificate: str, event_ids: Collection[str]) -> Told | None:
        """More may have been told between two looks than one of them reads."""
        with suppress(BrokerError):
            for event in await self.broker.history(certificate):
                if event.get("id") in event_ids:
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
        told = self._waiting.get(str(event.get("id")))
        if told is not None and not told.done():
            told.set_result(_told(event))


def _told(event: Mapping[str, object]) -> Told:
    data = event.get("data")
    data = data if isinstance(data, dict) else {}
    return Told(str(data.get("outcome")), str(data.get("reason")))
