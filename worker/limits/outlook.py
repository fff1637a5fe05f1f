"""How long a job of many calls takes under one window, as far as that is known now."""

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

_LOOKS: Final = 64
"""At a window's history: so many are exact enough, whatever its size."""

_HALVINGS: Final = 12
"""Of the time in which a call comes to be due: exact to a thousandth."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Of one window, from `now` on, seconds of the loop's clock."""

    now: float
    seconds: float
    """How long the window is."""
    places: int
    """That the job may use at one time."""
    under_way: int
    """Calls, of whoever; what they took comes back last."""
    free_at: Sequence[float]
    """When the places come back that calls before had, in order; some may be free at `now`."""
    interval: float = 0.0
    """Seconds between two calls of a long job, 0 for a short one."""
    ahead: float = 0.0
    """Seconds by which it may be ahead of that, for every place that is free."""
    due_at: float = 0.0

    def sent_at(self, calls: int) -> float:
        """When the last of so many calls is sent."""
        if not self.interval:
            spans, number = divmod(calls - 1, self.places)
            return spans * self.seconds + self._place_at(number)
        return max(self._due_at(calls), *self._from_places(calls))

    @property
    def _free(self) -> int:
        """Places; fewer than none where more are used than the job may."""
        return self.places - self.under_way - len(self.free_at) + bisect(self.free_at, self.now)

    def _place_at(self, number: int) -> float:
        """When the job has the place that comes after so many others."""
        if number < self._free:
            return self.now
        back = bisect(self.free_at, self.now) + number - self._free
        return self.free_at[back] if back < len(self.free_at) else self.now + self.seconds

    def _due_at(self, calls: int) -> float:
        """When the last of so many is due, by the pace alone."""
        early, late = self.now, max(self.due_at, self.now) + (calls - 1) * self.interval
        due_at, free = late, self._free - bisect(self.free_at, self.now) - (calls - 1)
        for _ in range(_HALVINGS if self.ahead else 0):
            middle = (early + late) / 2
            is_due = middle >= due_at - self.ahead * max(free + bisect(self.free_at, middle), 0)
            early, late = (early, middle) if is_due else (middle, late)
        return late

    def _from_places(self, calls: int) -> Iterator[float]:
        """No place is used before it comes back, and whatever is left then goes at the pace."""
        wanted = range(max(self._free, 0), min(calls, self.places))
        yield self.now
        for number in chain(wanted[:: len(wanted) // _LOOKS + 1], wanted[-1:]):
            yield self._place_at(number) + self._evenly(calls - number - 1)

    def _evenly(self, calls: int) -> float:
        """How long so many calls take in a window that was idle."""
        at_once = self.places * self.ahead
        return max(min(calls * self.interval, calls * (self.interval + self.ahead) - at_once), 0.0)
