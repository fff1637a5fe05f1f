"""What the cloud itself says is left of its windows: `X-RateLimit-Remaining` until `X-RateLimit-Reset`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from worker.limits.usage import HOUR, MINUTE, Used
from worker.limits.windows import AT_ONCE

_SAME: Final = 1.5
"""Seconds by which two accounts of one window may differ: they are told in whole ones."""
_SHORT: Final = 120.0
"""Seconds: a window that ends sooner is another one than a window that ends later. Clouds have one by the minute and
one by the hour, and do not say of which they speak."""
_KEPT: Final = 24, 0.4
"""Calls that long jobs leave to short ones, but no more than such a part: fifteen, and the turns of long ones between.
Nothing is lost by that, for what is left shortly before the end they may use."""
_RELEASE: Final = 0.5
"""Seconds before the end: so long, and until calls are surely taken again, a short job can wait."""
_YOUNG: Final = 0.8
"""Of a window's calls: with so many left it has just begun, and lasts about as long as is told."""
_NEVER: Final = float("-inf")


@dataclass(slots=True)
class _Account:
    """At most `left` calls more until `until`, seconds of the loop's clock.

    A long job leaves some of them to short ones. It uses a part of the others at once, and what remains evenly.
    """

    seconds: float
    """That such a window usually has."""
    left: int = 0
    until: float = _NEVER
    _most: int = 0
    """That were left when it was told first."""
    _since: float = 0.0
    """When that was."""
    _ends: float = _NEVER
    """The soonest end that was told: nothing is sent before the latest, and nothing kept beyond this."""
    _whole: int = 0
    """Calls of the windows that follow: as told, else as many as were left at first."""

    def told(self, left: int, until: float, now: float, whole: int | None) -> None:
        """Of one window the lowest figure is the latest, in whatever order answers arrive."""
        if abs(until - self.until) <= _SAME:
            self.left, self.until, self._ends = min(left, self.left), max(until, self.until), min(until, self._ends)
        else:
            self.left = self._most = left
            self.until = self._ends = until
            self._since = now
            self._whole = max(left, whole or 0)

    @property
    def _span(self) -> float:
        return self._ends - self._since

    @property
    def _following(self) -> float:
        """Seconds of each of the windows that follow: this one may have been known by its end alone."""
        return self._span if self._most >= _YOUNG * self._whole else max(self._span, self.seconds)

    def empty_until(self, now: float) -> float:
        return self.until if now < self.until and self.left <= 0 else now

    def room_at(self, now: float, under_way: int, *, is_long: bool) -> float:
        """When there is room, by time alone."""
        if now >= self.until:
            return now
        free = self.left - under_way
        if free <= 0:
            return self.until
        return max(self._due_at(free), now) if is_long else now

    def used(self, now: float, under_way: int) -> Iterator[Used]:
        """While what was told holds."""
        if now < self.until:
            yield Used(self.seconds, self._whole, self._whole - max(self.left - under_way, 0), "told")

    def _due_at(self, free: int) -> float:
        """When a long job may have one of so many."""
        most, part = _KEPT
        kept = min(most, int(self._most * part))
        released_at = self._ends - _RELEASE
        if free <= kept:
            return released_at
        evenly = (1 - AT_ONCE) * (self._most - kept)
        return min(self._ends - self._span * (free - kept) / evenly, released_at)

    def sent_at(self, calls: int, begins: float, heard_at: float, under_way: int, *, is_long: bool) -> float:
        """When the last of so many is sent. The windows that follow are whole ones, also where a hold outlasts this."""
        if heard_at >= self.until or not self._whole:
            return self.room_at(begins, under_way, is_long=is_long)
        free = max(self.left - under_way, 0) if begins < self.until else 0
        if calls <= free:
            return self.room_at(begins, self.left - (free - calls + 1), is_long=is_long)
        spans, number = divmod(calls - free - 1, self._whole)
        share = max(number / self._whole - AT_ONCE, 0.0) / (1 - AT_ONCE) if is_long else 0.0
        return max(self.until, begins) + (spans + share) * self._following


@dataclass(slots=True)
class Allowance:
    """`left` is as of the last answer: calls under way may not be counted in it yet, and so must have room besides."""

    _short: _Account = field(default_factory=lambda: _Account(MINUTE))
    _long: _Account = field(default_factory=lambda: _Account(HOUR))

    def told(self, left: int, until: float, now: float, whole: int | None = None) -> None:
        """An answer says so; `whole`: and how many calls such a window has."""
        told, other = (self._short, self._long) if until - now <= _SHORT else (self._long, self._short)
        told.told(left, until, now, whole)
        other.left -= 1

    def untold(self) -> None:
        """A call ended whose answer did not say."""
        self._short.left -= 1
        self._long.left -= 1

    def has_room(self, now: float, under_way: int, *, is_long: bool) -> bool:
        if now >= self._short.until and now >= self._long.until:
            return True
        return self.room_at(now, under_way, is_long=is_long) <= now

    def room_at(self, now: float, under_way: int, *, is_long: bool) -> float:
        """When there will be room by time alone."""
        return max(
            self._short.room_at(now, under_way, is_long=is_long), self._long.room_at(now, under_way, is_long=is_long)
        )

    def empty_until(self, now: float) -> float:
        """When there will be calls again, where none is left."""
        return max(self._short.empty_until(now), self._long.empty_until(now))

    def sent_at(self, calls: int, begins: float, heard_at: float, under_way: int, *, is_long: bool) -> float:
        """When the last of so many calls is sent: none before `begins`. `heard_at`: what was told then goes on."""
        return max(one.sent_at(calls, begins, heard_at, under_way, is_long=is_long) for one in self._accounts)

    def used(self, now: float, under_way: int) -> Iterator[Used]:
        """Of the windows that hold now."""
        return chain.from_iterable(one.used(now, under_way) for one in self._accounts)

    @property
    def _accounts(self) -> Iterator[_Account]:
        yield self._short
        yield self._long
