"""What was made for one reader of a page is good for all others who ask soon after."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from worker.web.live import PageSnapshot

_GOOD_FOR: Final = 0.5
"""Seconds: news come once a second."""


@dataclass(slots=True)
class Sharing:
    """One is made at a time, however many wait for it."""

    _made: dict[Hashable, tuple[float, PageSnapshot | None]] = field(default_factory=dict)
    _at_work: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def shown(self, of: Hashable, make: Callable[[], Awaitable[PageSnapshot | None]]) -> PageSnapshot | None:
        """`of`: what was asked for."""
        clock = asyncio.get_running_loop().time
        async with self._at_work:
            self._made = {key: one for key, one in self._made.items() if clock() < one[0] + _GOOD_FOR}
            if of not in self._made:
                began = clock()
                self._made[of] = began, await make()
            return self._made[of][1]
