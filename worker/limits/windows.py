"""Sliding windows: how many calls a cloud takes in any span of time, and how evenly long jobs use them."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, repeat
from math import ceil
from typing import Final

from worker.limits.outlook import Outlook
from worker.limits.usage import Used

# The loop's timers may fire a little early, and sums of floats round: a place is free only when it surely is.
_EPSILON: Final = 1e-6
_SHORT: Final = 10.0
"""Seconds: a window that may well be used up at once, and that can be waited for."""
_CATCHING_UP: Final = 0.5
"""Seconds by which a late timer, or a step that had to be waited for, may be made up for."""
AT_ONCE: Final = 0.25
"""Of what a long window has free, so much need not be used evenly. The fuller it is, the more even."""
_RESERVE: Final = 0.03
"""Of a long window, kept for short jobs."""
_LEAST: Final = 3, 0.04
"""Places kept at least, but never more than such a part: what is kept is lost while there are no short jobs."""
_LEAST_BESIDE: Final = 20, 0.35
"""Likewise where another window is slower, of what that leaves over: nothing is lost then. A certificate with ten
domains costs fifteen calls, each of them alone in its chunk: it finds its places, and the long job some beside it."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `calls` in any span of `seconds`."""

    calls: int
    seconds: float

    @property
    def interval(self) -> float:
        """Seconds between two calls that keep to it evenly."""
        return self.seconds / self.calls

    def reserve(self, slowest: float) -> int:
        """Places that long jobs leave to short ones, where the slowest window has this interval."""
        if self.seconds <= _SHORT:
            return 0
        kept, (least, part) = int(self.calls * _RESERVE), _LEAST
        kept = max(kept, min(least, int(self.calls * part)))
        if self.interval >= slowest:
            return kept
        least, part = _LEAST_BESIDE
        left_over = self.calls - ceil(self.seconds / slowest)
        return max(kept, min(least, int(self.calls * part), left_over))


def lowest(windows: Sequence[Window]) -> dict[float, int]:
    """Calls by span: of several windows of one span, the lowest holds."""
    return {one.seconds: one.calls for one in sorted(windows, key=lambda one: one.calls, reverse=True)}


@dataclass(slots=True)
class Places:
    """A window's places: taken before a call is sent, free again `seconds` after it ended.

    The far end counts a call some time between the two. So whatever the network delays, no span of `seconds` there ever
    holds more than `calls`.

    Long jobs leave `reserve` of them alone and use the others evenly: one call every `interval` seconds, and no more
    ahead of that than `ahead` for every place that is free. So a window that was idle gives a part at once, and is full
    no sooner than its first places come back. Every call pushes the pace on; only long jobs wait for it.
    """

    window: Window
    reserve: int
    under_way: int = 0
    told_at: float = float("-inf")
    """When the cloud told so few calls, or fewer."""
    interval: float = field(init=False)
    ahead: float = field(init=False)
    _due_at: float = 0.0
    _free_at: deque[float] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.keep_to(self.window, self.reserve)

    def keep_to(self, window: Window, reserve: int) -> None:
        """Another figure for the same span."""
        self.window, self.reserve = window, reserve
        self.interval = window.seconds / (window.calls - reserve)
        self.ahead = 0.0 if window.seconds <= _SHORT else self.interval * AT_ONCE

    def disprove(self, calls: int, now: float) -> bool:
        """The cloud tells this figure. Whether another one than until now is to be kept to."""
        if calls > self.window.calls and now < self.told_at + self.window.seconds:
            return False
        self.told_at = now
        return calls != self.window.calls

    def free(self, now: float) -> int:
        while self._free_at and self._free_at[0] <= now:
            self._free_at.popleft()
        return self.window.calls - self.under_way - len(self._free_at)

    def used(self, now: float) -> Used:
        return Used(self.window.seconds, self.window.calls, self.window.calls - max(self.free(now), 0))

    def has_room(self, now: float, *, is_long: bool) -> bool:
        free = self.free(now)
        if not is_long:
            return free > 0
        free -= self.reserve
        return free > 0 and now >= self._due_at - self.ahead * free

    def room_at(self, now: float, *, is_long: bool) -> float | None:
        """When there will be room by time alone; None while that depends on calls under way."""
        free = self.free(now) - (self.reserve if is_long else 0)
        if free <= 0 and -free >= len(self._free_at):
            return None
        place_at = now if free > 0 else self._free_at[-free]
        return self._due_from(place_at, free) if is_long else place_at

    def _due_from(self, place_at: float, free: int) -> float:
        """When a long job's call is due that has a place from then on: the sooner, the more places come back."""
        at = max(place_at, self._due_at - self.ahead * max(free, 1))
        for back, returned_at in enumerate(islice(self._free_at, max(-free, 0), None), max(free, 0) + 1):
            if not self.ahead or returned_at >= at:
                break
            at = max(returned_at, self._due_at - self.ahead * back)
        return at

    def inherit(self, now: float, idle: float) -> None:
        """As if another had used what is free until `idle` seconds ago: a short window then, a long one evenly."""
        free, left = self.free(now), self.window.seconds - idle
        if left <= 0 or free <= 0:
            return
        is_short = self.window.seconds <= _SHORT
        until = (left if is_short else left * number / free for number in range(1, free + 1))
        self._free_at = deque(sorted([*self._free_at, *(now + seconds + _EPSILON for seconds in until)]))

    def remember(self, ended_at: Sequence[float], older: int, since: float) -> None:
        """What was sent before there was this window: when calls ended, and how many more before `since`."""
        late = self.window.seconds + _EPSILON
        before = repeat(since + late, min(older, self.window.calls))
        self._free_at = deque(sorted(chain(before, (at + late for at in ended_at))))

    def ended_at(self, now: float) -> Sequence[float]:
        """Of the calls that it still counts, when they ended."""
        self.free(now)
        return [at - self.window.seconds - _EPSILON for at in self._free_at]

    def take(self, now: float) -> None:
        self.under_way += 1
        # Never so far ahead that a window which only short jobs have filled must be waited for twice.
        latest = now + self.window.seconds
        self._due_at = min(max(self._due_at, now - _CATCHING_UP) + self.interval, latest)

    def ended(self, now: float) -> None:
        self.under_way -= 1
        self._free_at.append(now + self.window.seconds + _EPSILON)

    def unused(self) -> None:
        self.under_way -= 1
        self._due_at -= self.interval

    def outlook(self, now: float, *, is_long: bool) -> Outlook:
        """What a job may expect of it from `now` on, which may be later than it is."""
        job = Outlook(now, self.window.seconds, self.window.calls, self.under_way, self._free_at)
        if not is_long:
            return job
        places = self.window.calls - self.reserve
        return replace(job, places=places, interval=self.interval, ahead=self.ahead, due_at=self._due_at)
