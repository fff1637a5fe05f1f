"""What was put where, of every certificate: read once, as far back as the history goes, and kept up from then on."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from worker.broker.base import BrokerError
from worker.core.past import Placed, placed_in

Entry = tuple[str, Placed]
"""A certificate, and what was put there."""
_MOST: Final = 1_000
"""Of one certificate. What only comes again takes no further place."""
_PAUSE: Final = 30.0
"""Seconds after a read that failed: all who wait would find out one after the other, each for as long as it takes."""


def entry_in(event: Mapping[str, object]) -> Entry | None:
    """Of an outcome event; None where it tells of nothing that was put anywhere."""
    certificate, placed = event.get("subject"), placed_in(event)
    return None if placed is None or not isinstance(certificate, str) else (certificate, placed)


@dataclass(slots=True)
class Chronicle:
    """What `read` says, read when it is asked for first, and what is learned from then on."""

    read: Callable[[], Awaitable[Sequence[Entry]]]
    """Oldest first."""
    _placed: dict[str, dict[tuple[str, str], Placed]] = field(default_factory=dict)
    """By certificate, then by renewal and leaf; what came last is last."""
    _meanwhile: list[Entry] = field(default_factory=list)
    """What was learned while it was read, which may not have been part of that."""
    _is_read: bool = False
    _refusal: str = ""
    _left_alone_until: float = 0.0
    """By the loop's clock."""
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def of(self, certificate: str) -> Sequence[Placed]:
        """Oldest first. Raises what `read` does."""
        async with self._reading:
            if not self._is_read:
                await self._catch_up()
        return tuple(self._placed.get(certificate, {}).values())

    async def _catch_up(self) -> None:
        clock = asyncio.get_running_loop().time
        if clock() < self._left_alone_until:
            raise BrokerError(self._refusal)
        self._meanwhile.clear()
        try:
            entries = await self.read()
        except BrokerError as error:
            self._refusal, self._left_alone_until = str(error), clock() + _PAUSE
            raise
        self._placed.clear()
        for entry in (*entries, *self._meanwhile):
            self._take_in(entry)
        self._is_read = True

    def learn(self, event: Mapping[str, object]) -> None:
        """What this process has told just now. What is learned before it is asked for is read then."""
        entry = entry_in(event)
        if entry is not None and self._reading.locked():
            self._meanwhile.append(entry)
        if entry is not None and self._is_read:
            self._take_in(entry)

    def _take_in(self, entry: Entry) -> None:
        certificate, placed = entry
        known = self._placed.setdefault(certificate, {})
        before = known.pop((placed.renewal_id, placed.fingerprint_sha256), placed)
        known[placed.renewal_id, placed.fingerprint_sha256] = replace(placed, is_told=placed.is_told or before.is_told)
        if len(known) > _MOST:
            del known[next(iter(known))]

    def forget(self) -> None:
        """Another worker may have told more meanwhile: it is read again."""
        self._placed.clear()
        self._is_read, self._left_alone_until = False, 0.0
