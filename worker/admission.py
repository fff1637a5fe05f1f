"""Which of the rotations in hand are worked on: so many at once, not all of them at one gateway, urgent ones first."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from worker.effort import Effort

_SHARE: Final = 0.75
"""Of all places, what rotations at one gateway may take: others shall not wait for it."""
_FOR_URGENT: Final = 8
"""One place more in so many for those that are urgent."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    effort: Effort
    gateways: frozenset[str]
    turn: asyncio.Future[None]


@dataclass(slots=True)
class Admission:
    """`most` rotations at once; of several gateways, `is_shared`, one never has them all."""

    most: int
    is_shared: bool = False
    _at: Counter[str] = field(default_factory=Counter)
    _working: int = 0
    _urgent: list[_Waiting] = field(default_factory=list)
    _others: list[_Waiting] = field(default_factory=list)
    _is_closed: bool = False

    def place(self, effort: Effort, gateways: frozenset[str]) -> "Place":
        """Waits for a place; work inside the block."""
        return Place(self, effort, gateways)

    def close(self) -> None:
        """Nobody begins any more: who waits, and who comes, is cancelled."""
        self._is_closed = True
        for one in (*self._urgent, *self._others):
            one.turn.cancel()

    async def enter(self, effort: Effort, gateways: frozenset[str]) -> None:
        one = _Waiting(effort, gateways, asyncio.get_running_loop().create_future())
        self._others.append(one)
        if self._is_closed:
            one.turn.cancel()
        self._admit()
        try:
            with one.effort.queueing(self._admit):
                await one.turn
        except asyncio.CancelledError:
            if (line := self._line_of(one)) is not None:
                line.remove(one)
            elif not one.turn.cancelled():
                self.leave(gateways)  # the place came together with the cancellation
            raise

    def leave(self, gateways: frozenset[str]) -> None:
        self._working -= 1
        for name in gateways:
            self._at[name] -= 1
        self._admit()

    def _line_of(self, one: _Waiting) -> list[_Waiting] | None:
        """Where it waits, if it still does."""
        return next((line for line in (self._urgent, self._others) if one in line), None)

    def _admit(self) -> None:
        """Urgent ones first, each kind in the order in which they came."""
        for one in [one for one in self._others if one.effort.urgent]:
            self._others.remove(one)
            self._urgent.append(one)
        self._admit_from(self._urgent, self.most + max(1, self.most // _FOR_URGENT))
        self._admit_from(self._others, self.most)

    def _admit_from(self, line: list[_Waiting], most: int) -> None:
        if self._working >= most:
            return  # nearly always: whoever comes and goes does not look through all who wait
        for one in tuple(line):
            if one.turn.done():
                continue  # gave up a moment ago
            if one.effort.urgent or self._has_room_at(one.gateways):
                line.remove(one)
                self._working += 1
                self._at.update(one.gateways)
                one.turn.set_result(None)
                if self._working >= most:
                    return

    def _has_room_at(self, gateways: frozenset[str]) -> bool:
        most_there = max(1, int(self.most * _SHARE)) if self.is_shared else self.most
        return all(self._at[name] < most_there for name in gateways)


@dataclass(slots=True)
class Place:
    """One rotation's place, as a block."""

    admission: Admission
    effort: Effort
    gateways: frozenset[str]

    async def __aenter__(self) -> None:
        await self.admission.enter(self.effort, self.gateways)

    async def __aexit__(self, *_error: object) -> None:
        self.admission.leave(self.gateways)
