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


@dataclass(slots=True)
class Recall:
    """What `read` says was told, read once, when it is asked for first."""

    read: Callable[[], Awaitable[Sequence[Mapping[str, object]]]]
    """Outcome events, oldest first."""
    _known: dict[str, tuple[datetime, Told]] | None = None
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def find(self, event_ids: Collection[str], since: datetime | None) -> Told | None:
        """The outcome under one of these ids, if it was told since then."""
        async with self._reading:
            if self._known is None:
                self._known = {told[0]: told[1:] for event in await self.read() if (told := _told(event)) is not None}
        found = (self._known[one] for one in event_ids if one in self._known)
        return next((told for at, told in found if since is None or at >= since), None)


def _told(event: Mapping[str, object]) -> tuple[str, datetime, Told] | None:
    data = event.get("data")
    with suppress(ValueError):
        if isinstance(data, dict):
            told = Told(str(data.get("outcome")), str(data.get("reason")))
            return str(event.get("id")), datetime.fromisoformat(str(event.get("time"))), told
    return None
