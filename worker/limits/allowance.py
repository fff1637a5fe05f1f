"""What the cloud itself says is left of a window: `X-RateLimit-Remaining` until `X-RateLimit-Reset`."""

from dataclasses import dataclass
from typing import Final

_SAME: Final = 1.5
"""Seconds by which two accounts of one window may differ: they are told in whole ones."""


@dataclass(slots=True)
class Allowance:
    """At most `left` calls more until `until`, seconds of the loop's clock.

    `left` is as of the last answer: calls under way may not be counted in it yet, and so must have room besides.
    """

    left: int = 0
    until: float = float("-inf")

    def told(self, left: int, until: float) -> None:
        """Of one window the lowest figure is the latest, in whatever order answers arrive."""
        if until > self.until + _SAME or left < self.left:
            is_same = abs(until - self.until) <= _SAME
            self.left, self.until = left, max(self.until, until) if is_same else until

    def untold(self) -> None:
        """A call ended whose answer did not say."""
        self.left -= 1

    def has_room(self, now: float, under_way: int) -> bool:
        return now >= self.until or self.left > under_way

    def room_at(self, now: float, under_way: int) -> float:
        """When there will be room by time alone."""
        return now if self.has_room(now, under_way) else self.until
