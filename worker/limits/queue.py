"""Who is next: rotations take turns, each rotation's own calls in order; the urgent ones first, the sweep behind all.

Short jobs come before long ones, until they had a turn for each who waits, and more. Apart from that every other turn
is the eldest's: where many share a small budget evenly, all would end late, and in a time slice none. But nobody has
two turns in a row while another like it waits who may send.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from worker.effort import Effort

SHORT_JOB: Final = 16
"""Calls that a rotation may make as fast as there are places: as many as a certificate with a few domains needs."""

_SHORT_TURNS: Final = 6
"""That a long job leaves to short ones at least, before it has one of its own that is not due: a small rotation that
finds the places of a window coming back needs most of them."""


def is_long(effort: Effort) -> bool:
    return effort.is_background or (not effort.urgent and effort.calls >= SHORT_JOB)


@dataclass(slots=True)
class _Line:
    """One effort's calls that wait, and how many turns short jobs had had when it had its last, or came."""

    since: int
    # Ten thousand may wait, and all give up at once: leaving must not search.
    turns: OrderedDict[asyncio.Future[float], None] = field(default_factory=OrderedDict)


_Ring = OrderedDict[Effort, _Line]


@dataclass(slots=True)
class TurnQueue:
    """Three rings of efforts, by urgency. An effort that had its turn goes to the end of its ring."""

    _urgent: _Ring = field(default_factory=OrderedDict)
    _others: _Ring = field(default_factory=OrderedDict)
    _background: _Ring = field(default_factory=OrderedDict)
    _is_eldests_turn: bool = False
    _last: Effort | None = None
    """Who had the last turn."""
    _short_turns: int = 0

    def add(self, effort: Effort) -> asyncio.Future[float]:
        turn: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        ring = self._ring_of(effort)
        line = ring.get(effort)
        if line is None:
            line = ring[effort] = _Line(self._short_turns)
        line.turns[turn] = None
        return turn

    def _ring(self, effort: Effort) -> _Ring:
        if effort.urgent:
            return self._urgent
        return self._background if effort.is_background else self._others

    def _ring_of(self, effort: Effort) -> _Ring:
        """Where it waits already; it may have become urgent meanwhile."""
        return next((ring for ring in self._rings if effort in ring), self._ring(effort))

    def promote(self) -> None:
        """Those that have become urgent while they wait join the urgent ones."""
        for effort in [one for one in (*self._others, *self._background) if one.urgent]:
            self._urgent[effort] = self._ring_of(effort).pop(effort)

    def leave(self, effort: Effort, turn: asyncio.Future[float]) -> None:
        """Somebody gave up waiting."""
        ring = self._ring_of(effort)
        line = ring.get(effort)
        if line is not None and turn in line.turns:
            del line.turns[turn]
            if not line.turns:
                del ring[effort]

    def is_held_back(self, effort: Effort) -> bool:
        """Whether its calls leave places to short jobs.

        Those of a long one do, until short jobs had a turn for each who waits, and more: a stream of them would never
        let it pass. The sweep waits for them all.
        """
        if not is_long(effort):
            return False
        line = self._others.get(effort)
        return line is None or self._short_turns - line.since <= max(self._efforts_waiting, _SHORT_TURNS)

    @property
    def _efforts_waiting(self) -> int:
        return len(self._urgent) + len(self._others) + len(self._background)

    def next(self, *, has_room_for_long: bool) -> asyncio.Future[float] | None:
        """Takes out the next turn of the first effort that may send now: one that is held back needs room for long."""
        self.promote()
        may_send = (one for one in self._candidates() if has_room_for_long or not self.is_held_back(one))
        effort = next(may_send, None)
        return None if effort is None else self._serve(effort)

    def _serve(self, effort: Effort) -> asyncio.Future[float]:
        self._is_eldests_turn, self._last = not self._is_eldests_turn, effort
        self._short_turns += not is_long(effort)
        ring = self._ring_of(effort)
        line = ring[effort]
        line.since = self._short_turns
        turn, _ = line.turns.popitem(last=False)
        if line.turns:
            ring.move_to_end(effort)
        else:
            del ring[effort]
        return turn

    def _candidates(self) -> Iterator[Effort]:
        """In the order in which they may be served now; some of them twice. Who was last is behind those like it."""
        yield from self._in_turn(self._urgent)
        first, held_back = dict[Effort, None](), dict[Effort, None]()
        for effort in self._others:
            (held_back if self.is_held_back(effort) else first)[effort] = None
        for efforts in (first, held_back):
            if self._is_eldests_turn and not self._urgent and efforts:
                eldest = min(efforts, key=lambda effort: effort.number)
                if eldest is not self._last:
                    yield eldest
            yield from self._in_turn(efforts)
        yield from self._in_turn(self._background)

    def _in_turn(self, efforts: Collection[Effort]) -> Iterator[Effort]:
        yield from (effort for effort in efforts if effort is not self._last)
        if self._last is not None and self._last in efforts:
            yield self._last

    def efforts(self) -> Iterator[Effort]:
        """All who wait, the urgent ones first."""
        for ring in self._rings:
            yield from ring

    def clear(self) -> Sequence[asyncio.Future[float]]:
        """Takes all turns out."""
        turns = [turn for ring in self._rings for line in ring.values() for turn in line.turns]
        for ring in self._rings:
            ring.clear()
        return turns

    @property
    def _rings(self) -> tuple[_Ring, ...]:
        return self._urgent, self._others, self._background

    @property
    def size(self) -> int:
        """Turns that are waited for."""
        return sum(len(line.turns) for ring in self._rings for line in ring.values())

    def __bool__(self) -> bool:
        return bool(self._urgent or self._others or self._background)
