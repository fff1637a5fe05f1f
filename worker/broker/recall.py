"""What was told before: a renewal that comes again may have had its outcome, and died on the way to being settled."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

FOR: Final = timedelta(days=1)
"""How long ago at most."""


@dataclass(frozen=True, slots=True)
class Told:
    """An outcome that the world has heard of."""

    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Event:
    certificate: object
    at: datetime
    told: Told


@dataclass(slots=True)
class Recall:
    """What `read` says was told, read when it is asked for first, and what is learned from then on."""

    read: Callable[[], Awaitable[Sequence[Mapping[str, object]]]]
    """Outcome events, oldest first."""
    _known: dict[str, _Event] = field(default_factory=dict)
    _is_read: bool = False
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def find(self, event_ids: Collection[str], certificate: str | None, since: datetime | None) -> Told | None:
        """The certificate's outcome under one of these ids, if it was told since then. Raises what `read` does."""
        async with self._reading:
            if not self._is_read:
                for event in await self.read():
                    self.learn(event)
                self._is_read = True
        found = (self._known[one] for one in event_ids if one in self._known)
        mine = (one for one in found if one.certificate == certificate and (since is None or one.at >= since))
        return next((one.told for one in mine), None)

    def learn(self, event: Mapping[str, object]) -> None:
        """Later ones of the same id take the place of earlier ones."""
        data = event.get("data")
        with suppress(ValueError):
            if isinstance(data, dict):
                told = Told(str(data.get("outcome")), str(data.get("reason")))
                self._known[str(event.get("id"))] = _Event(event.get("subject"), _moment(event), told)

    def forget(self) -> None:
        """Another worker may have told more meanwhile: it is read again."""
        self._known.clear()
        self._is_read = False


def told_at(event: Mapping[str, object]) -> datetime | None:
    """None where it does not say."""
    with suppress(ValueError):
        return _moment(event)
    return None


def _moment(event: Mapping[str, object]) -> datetime:
    at = datetime.fromisoformat(str(event.get("time")))
    if at.tzinfo is None:
        raise ValueError
    return at
