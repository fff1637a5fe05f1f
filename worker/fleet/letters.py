"""When the dead letters are read: while they are, nobody else sees them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from worker.broker.base import Dead as Letter

_EVERY: Final = 60.0
_MOST: Final = 1000
SURE_AFTER: Final = 5.0
"""Seconds: an outcome is told before its message is buried."""
_LOOK_EVERY: Final = 5.0


@dataclass(slots=True, eq=False)
class DeadLetters:
    """Read where the broker counts others than events tell: some were replayed, or died in silence."""

    read: Callable[[], Awaitable[Sequence[Letter]]]
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _looked_at: float = float("-inf")
    _known_of: tuple[int, int] | None = None
    """How many the broker counted, and were known, when they were read last: read again, they would be the same."""
    _odd: tuple[tuple[int, int], float] = ((0, 0), 0.0)
    """Likewise, where that differs; and since when."""

    def look(self, counted: int, known: int, now: float) -> None:
        """Asks for them, now and then, where the numbers differ for some time. Reading is left to others."""
        if self._is_odd((counted, known), now) and counted <= _MOST and now >= self._looked_at + _EVERY:
            self._looked_at = now
            self._wanted.set()

    async def wanted(self, look: Callable[[], Awaitable[None]]) -> Sequence[Letter]:
        """Once they are asked for, by a `look` though nobody looks on. Raises what reading them raises."""
        while not self._wanted.is_set():
            await look()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._wanted.wait()
        self._wanted.clear()
        return await self.read()

    def are_known(self, counted: int, known: int) -> None:
        self._known_of = counted, known

    def explain(self, counted: int, known: int) -> bool:
        """Whether those that are known are those that the broker counts, or all that can be known of them."""
        return counted == known or (counted, known) == self._known_of

    def _is_odd(self, counted: tuple[int, int], now: float) -> bool:
        if counted != self._odd[0]:
            self._odd = counted, now
        return not self.explain(*counted) and now >= self._odd[1] + SURE_AFTER
