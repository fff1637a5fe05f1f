"""What was told before: a renewal that comes again may have had its outcome, and died on the way to being settled."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

FOR: Final = timedelta(days=3)
"""How long ago at most: a machine may be down over a weekend."""


@dataclass(frozen=True, slots=True)
class Told:
    """An outcome that the world has heard of."""

    outcome: str
    reason: str
    at: str = ""
    """When, as its event has it: no clock is asked for what only has to be told apart."""


@dataclass(frozen=True, slots=True)
class _Event:
    certificate: object
    told: Told


@dataclass(slots=True)
class Recall:
    """What `read` says was told, read when it is asked for first, and what is learned from then on."""

    read: Callable[[], Awaitable[Sequence[Mapping[str, object]]]]
    """Outcome events, oldest first."""
    _known: dict[str, _Event] = field(default_factory=dict)
    _is_read: bool = False
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def find(self, event_ids: Collection[str], certificate: str | None, but: str | None) -> Told | None:
        """The certificate's outcome under one of these ids, not that of the time `but`. Raises what `read` does."""
        async with self._reading:
            if not self._is_read:
                for event in await self.read():
                    self.learn(event)
                self._is_read = True
        found = (self._known[one] for one in event_ids if one in self._known)
        mine = (one.told for one in found if one.certificate == certificate and one.told.at != but)
        return next(mine, None)

    def learn(self, event: Mapping[str, object]) -> None:
        """Later ones of the same id take the place of earlier ones."""
        data = event.get("data")
        if isinstance(data, dict):
            told = Told(str(data.get("outcome")), str(data.get("reason")), str(event.get("time")))
            self._known[str(event.get("id"))] = _Event(event.get("subject"), told)

    def forget(self) -> None:
        """Another worker may have told more meanwhile: it is read again."""
        self._known.clear()
        self._is_read = False


def told_at(event: Mapping[str, object]) -> datetime | None:
    """None where it does not say."""
    with suppress(ValueError):
        at = datetime.fromisoformat(str(event.get("time")))
        return None if at.tzinfo is None else at
    return None
