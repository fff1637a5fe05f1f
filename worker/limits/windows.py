"""Sliding windows: how many calls a cloud takes in any span of time."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

# The loop's timers may fire a little early, and sums of floats round: a place is free only when it surely is.
_EPSILON: Final = 1e-6
_SHORT: Final = 10.0
"""Seconds: a window that may well be used up at once, and that can be waited for."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `calls` in any span of `seconds`."""

    calls: int
    seconds: float

    @property
    def interval(self) -> float:
        """Seconds between two calls that keep to it evenly."""
        return self.seconds / self.calls


@dataclass(slots=True)
class Places:
    """A window's places: taken before a call is sent, free again `seconds` after it ended.

    The far end counts a call some time between the two. So whatever the network delays, no span of `seconds` there ever
    holds more than `calls`. `reserve` of them are not for long jobs.
    """

    window: Window
    reserve: int = 0
    under_way: int = 0
    _free_at: deque[float] = field(default_factory=deque)

    def free(self, now: float) -> int:
        while self._free_at and self._free_at[0] <= now:
            self._free_at.popleft()
        return self.window.calls - self.under_way - len(self._free_at)

    def has_room(self, now: float, *, is_long: bool) -> bool:
        return self.free(now) > (self.reserve if is_long else 0)

    def room_at(self, now: float, *, is_long: bool) -> float | None:
        """When there will be room by time alone; None while that depends on calls under way."""
        missing = (self.reserve if is_long else 0) - self.free(now)
        if missing < 0:
            return now
        return self._free_at[missing] if missing < len(self._free_at) else None

    def inherit(self, now: float, idle: float) -> None:
        """As if another had used what is free until `idle` seconds ago: a short window then, a long one evenly."""
        free, left = self.free(now), self.window.seconds - idle
        if left <= 0 or free <= 0:
            return
        is_short = self.window.seconds <= _SHORT
        until = (left if is_short else left * number / free for number in range(1, free + 1))
        self._free_at = deque(sorted([*self._free_at, *(now + seconds + _EPSILON for seconds in until)]))

    def take(self) -> None:
        self.under_way += 1

    def ended(self, now: float) -> None:
        self.under_way -= 1
        self._free_at.append(now + self.window.seconds + _EPSILON)

    def unused(self) -> None:
        self.under_way -= 1

    def seconds_for(self, calls: int, now: float) -> float:
        """How long so many more calls take at least."""
        beyond = calls - max(self.free(now), 0)
        return max(beyond, 0) * self.window.interval
