"""What the cloud itself says is left of its windows: `X-RateLimit-Remaining` until `X-RateLimit-Reset`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_SAME: Final = 1.5
"""Seconds by which two accounts of one window may differ: they are told in whole ones."""
_SHORT: Final = 120.0
"""Seconds: a window that ends sooner is another one than a window that ends later. Clouds have one by the minute and
one by the hour, and do not say of which they speak."""


@dataclass(slots=True)
class _Account:
    """At most `left` calls more until `until`, seconds of the loop's clock."""

    left: int = 0
    until: float = float("-inf")

    def told(self, left: int, until: float) -> None:
        """Of one window the lowest figure is the latest, in whatever order answers arrive."""
        is_same = abs(until - self.until) <= _SAME
        self.left = min(left, self.left) if is_same else left
        self.until = max(until, self.until) if is_same else until

    def is_full(self, now: float, under_way: int) -> bool:
        return now < self.until and self.left <= under_way


@dataclass(slots=True)
class Allowance:
    """`left` is as of the last answer: calls under way may not be counted in it yet, and so must have room besides."""

    _short: _Account = field(default_factory=_Account)
    _long: _Account = field(default_factory=_Account)

    def told(self, left: int, until: float, now: float) -> None:
        """An answer says so."""
        told, other = (self._short, self._long) if until - now <= _SHORT else (self._long, self._short)
        told.told(left, until)
        other.left -= 1

    def untold(self) -> None:
        """A call ended whose answer did not say."""
        self._short.left -= 1
        self._long.left -= 1

    def has_room(self, now: float, under_way: int) -> bool:
        return not (self._short.is_full(now, under_way) or self._long.is_full(now, under_way))

    def room_at(self, now: float, under_way: int) -> float:
        """When there will be room by time alone."""
        return max((one.until for one in self._full(now, under_way)), default=now)

    def _full(self, now: float, under_way: int) -> Iterator[_Account]:
        return (one for one in (self._short, self._long) if one.is_full(now, under_way))
