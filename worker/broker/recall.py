"""One reader of the history: read when it is asked for first, kept up by what this process tells, forgotten in time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from worker.broker.base import BrokerError, TopologyError
from worker.broker.facts import Facts

_PAUSE: Final = 30.0
"""Seconds after a read that failed: all who wait would find out one after the other, each for as long as it takes."""


@dataclass(slots=True)
class Recall:
    """What `read` says, and what is learned from then on."""

    read: Callable[[Facts], Awaitable[None]]
    """Takes everything in that there is, oldest first."""
    lasts: Callable[[], float] = lambda: float("inf")
    """Seconds for which that is believed: for ever, while nobody else tells anything."""
    _facts: Facts = field(default_factory=Facts)
    _meanwhile: list[Mapping[str, object]] = field(default_factory=list)
    """What was learned while it was read, which may not have been part of that."""
    _turn: int = 0
    _read_at: float | None = None
    """By the loop's clock, as is what follows."""
    _refusal: BrokerError | None = None
    _refused_at: float = 0.0
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_barred(self) -> bool:
        """When it was to be read last there was none, or no right to read it."""
        return isinstance(self._refusal, TopologyError)

    async def is_readable(self) -> bool:
        """False while it is barred. It is read again now and then: whoever asks this may be the only one who asks."""
        if self.is_barred:
            with suppress(BrokerError):
                await self.facts()
        return not self.is_barred

    async def facts(self) -> Facts:
        """Raises what `read` does."""
        async with self._reading:
            clock = asyncio.get_running_loop().time
            if self._read_at is None or clock() - self._read_at > self.lasts():
                await self._catch_up(clock)
            return self._facts

    async def _catch_up(self, clock: Callable[[], float]) -> None:
        if self._refusal is not None and clock() < self._refused_at + _PAUSE:
            raise type(self._refusal)(str(self._refusal))
        turn = None
        while turn != self._turn:  # another one may begin while it is read
            turn, began, facts = self._turn, clock(), Facts()
            self._meanwhile.clear()
            try:
                await self.read(facts)
            except BrokerError as error:
                self._refusal, self._refused_at = error, clock()
                raise
            for entry in self._meanwhile:
                facts.take_in(entry)
            self._facts, self._read_at, self._refusal = facts, began, None
        self._meanwhile.clear()

    def learn(self, entry: Mapping[str, object]) -> None:
        """What this process has published just now. What is learned before it is asked for is read then."""
        if self._reading.locked():
            self._meanwhile.append(entry)
        if self._read_at is not None:
            self._facts.take_in(entry)

    def forget(self) -> None:
        """Another worker may have told more meanwhile: it is read again."""
        self._facts, self._read_at, self._refusal = Facts(), None, None
        self._turn += 1
