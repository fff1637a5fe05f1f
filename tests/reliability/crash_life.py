"""One life of a worker's process: every effect it has on the world is counted, and it may die at any of them."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

_MOST_EFFECTS: Final = 400
"""More than any story needs: a worker that turns in circles shall be found out soon."""


@dataclass(slots=True)
class Life:
    """Dies at its `dies_at`th effect, counted from 1: nothing that it does afterwards reaches anybody."""

    dies_at: int | None = None
    effects: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    at: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    """When it began."""

    async def passes(self, effect: str) -> None:
        """Returns while it lives; a dead one never comes back from here."""
        self.check()
        self.effects.append(effect)
        if len(self.effects) in (self.dies_at, _MOST_EFFECTS):
            self.over.set()
            await asyncio.Event().wait()

    async def ends(self) -> None:
        """Dies between two effects."""
        self.over.set()
        await asyncio.Event().wait()

    @property
    def is_endless(self) -> bool:
        return len(self.effects) >= _MOST_EFFECTS

    def check(self) -> None:
        """What a dead process still tries, in a `finally` or a task of its own, does not happen."""
        if self.over.is_set():
            raise asyncio.CancelledError
