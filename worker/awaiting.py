"""Waiting for what becomes of renewals that others work on: as the history tells, and not for ever."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from worker.broker.base import Broker, BrokerError
from worker.broker.recall import Told

_LOOK_EVERY: Final = 1.0
_LATEST: Final = 1000
"""Events read at each look, for all that is waited for together."""


@dataclass(slots=True)
class Awaited:
    """Renewals whose outcome somebody waits for. `patience` in seconds, for each of them."""

    broker: Broker
    patience: float
    _waiting: dict[str, asyncio.Future[Told]] = field(default_factory=dict)

    async def outcome(self, renewal_id: str, certificate: str) -> Told | None:
        """None where it is not told when patience ends."""
        told: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._waiting[renewal_id] = told
        try:
            async with asyncio.timeout(self.patience):
                return await told
        except TimeoutError:
            return await self._in_all_of(certificate, renewal_id)
        finally:
            del self._waiting[renewal_id]

    async def _in_all_of(self, certificate: str, renewal_id: str) -> Told | None:
        """More may have been told between two looks than one of them reads."""
        with suppress(BrokerError):
            for event in await self.broker.history(certificate):
                if event.get("causationid") == renewal_id:
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
        told = self._waiting.get(str(event.get("causationid")))
        if told is not None and not told.done():
            told.set_result(_told(event))


def _told(event: Mapping[str, object]) -> Told:
    data = event.get("data")
    data = data if isinstance(data, dict) else {}
    return Told(str(data.get("outcome")), str(data.get("reason")))
