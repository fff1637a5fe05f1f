"""Who is next: rotations take turns, each rotation's own calls in order; the urgent ones first, the sweep behind all.

Every other turn is the eldest's. Where many share a small budget evenly, all would end late, and in a time slice none.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from worker.effort import Effort

_Turns = OrderedDict[asyncio.Future[float], None]
# Ten thousand may wait, and all give up at once: leaving must not search.
_Ring = OrderedDict[Effort, _Turns]


@dataclass(slots=True)
class TurnQueue:
    """Three rings of efforts, by urgency. An effort that had its turn goes to the end of its ring."""

    _urgent: _Ring = field(default_factory=OrderedDict)
    _others: _Ring = field(default_factory=OrderedDict)
    _background: _Ring = field(default_factory=OrderedDict)
    _is_eldests_turn: bool = False

    def add(self, effort: Effort) -> asyncio.Future[float]:
        turn: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._ring_of(effort).setdefault(effort, OrderedDict())[turn] = None
        return turn

    def _ring(self, effort: Effort) -> _Ring:
        if effort.urgent:
            return self._urgent
        return self._background if effort.is_background else self._others

    def _ring_of(self, effort: Effort) -> _Ring:
        """Where it waits already; it may have become urgent meanwhile."""
        return next((ring for ring in self._rings if effort in ring), self._ring(effort))

    def _promote(self) -> None:
        for effort in [one for one in (*self._others, *self._background) if one.urgent]:
            self._urgent[effort] = self._ring_of(effort).pop(effort)

    def leave(self, effort: Effort, turn: asyncio.Future[float]) -> None:
        """Somebody gave up waiting."""
        ring = self._ring_of(effort)
        turns = ring.get(effort)
        if turns is not None and turn in turns:
            del turns[turn]
            if not turns:
                del ring[effort]

    def next(self, may_send: Callable[[Effort], bool]) -> asyncio.Future[float] | None:
        """Takes out the next turn of the first effort that may send now."""
        self._promote()
        effort = next((one for one in self._candidates() if may_send(one)), None)
        if effort is None:
            return None
        self._is_eldests_turn = not self._is_eldests_turn
        ring = self._ring_of(effort)
        turns = ring[effort]
        turn, _ = turns.popitem(last=False)
        if turns:
            ring.move_to_end(effort)
        else:
            del ring[effort]
        return turn

    def _candidates(self) -> Iterator[Effort]:
        """In the order in which they may be served now; one of them twice."""
        if self._is_eldests_turn and not self._urgent and self._others:
            yield min(self._others, key=lambda effort: effort.number)
        yield from self.efforts()

    def efforts(self) -> Iterator[Effort]:
        """All who wait, the urgent ones first."""
        for ring in self._rings:
            yield from ring

    def clear(self) -> Sequence[asyncio.Future[float]]:
        """Takes all turns out."""
        turns = [turn for ring in self._rings for waiting in ring.values() for turn in waiting]
        for ring in self._rings:
            ring.clear()
        return turns

    @property
    def _rings(self) -> tuple[_Ring, ...]:
        return self._urgent, self._others, self._background

    def __bool__(self) -> bool:
        return bool(self._urgent or self._others or self._background)

    def __len__(self) -> int:
        return sum(len(turns) for ring in self._rings for turns in ring.values())
