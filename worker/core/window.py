"""When changes are welcome: windows of the week, by what the clocks of a time zone show.

A window opens when its zone's clocks first show its beginning, and closes when they first show its end. Where clocks
jump over one of them, the jump is the moment; a window that is jumped over as a whole does not come that day.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

EXPECTED: Final = '"Mon-Fri 09:00-17:00 Europe/Berlin" is the form'
_NAMES: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHORT: Final = 3
_FORM: Final = re.compile(r"(?:(\S+) )?(\d{2}):(\d{2})-(\d{2}):(\d{2}) ([A-Za-z][A-Za-z0-9_+/-]*)")
_DAY: Final = timedelta(days=1)
_LAST_MINUTE: Final = 59
_BACK, _AHEAD = 8, 22
"""Days that are looked at: every window comes at least once a week, but for those that clocks jump over."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of wall-clock time that comes every week."""

    days: frozenset[int]
    """On which it begins; Monday is 0."""
    begins: timedelta
    """From midnight."""
    ends: timedelta
    """From the same midnight: beyond a day where it goes on into the next one."""
    zone: ZoneInfo

    @property
    def length(self) -> timedelta:
        """On a day without a change of the clocks."""
        return self.ends - self.begins


@dataclass(frozen=True, slots=True)
class Interval:
    """From `opens` until before `closes`; UTC."""

    opens: datetime
    closes: datetime


def parse_window(text: str) -> Window:
    """Raises ValueError that says what is wrong, and nothing of what stands there."""
    found = _FORM.fullmatch(re.sub(r"\s*,\s*", ",", " ".join(text.split())))
    if found is None:
        raise ValueError(EXPECTED)
    days, *clock, zone = found.groups()
    begins, ends = _clock(clock[0], clock[1]), _clock(clock[2], clock[3])
    if begins == _DAY:
        raise ValueError(f"24:00 is an end only; {EXPECTED}")
    if begins == ends:
        raise ValueError("begins when it ends; 00:00-24:00 is a whole day")
    return Window(_days(days), begins, ends if ends > begins else ends + _DAY, _zone(zone))


def _clock(hour: str, minute: str) -> timedelta:
    at = timedelta(hours=int(hour), minutes=int(minute))
    if at > _DAY or int(minute) > _LAST_MINUTE:
        raise ValueError(f"times are 00:00 to 23:59, and 24:00 as an end; {EXPECTED}")
    return at


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    return frozenset(day for part in text.split(",") for day in _range(part))


def _range(text: str) -> Iterator[int]:
    """One day, or from one to another, over Sunday where need be."""
    first, _, last = text.partition("-")
    begin = _day(first)
    end = _day(last) if "-" in text else begin
    return ((begin + step) % 7 for step in range((end - begin) % 7 + 1))


def _day(name: str) -> int:
    known = [number for number, one in enumerate(_NAMES) if name.lower() in (one, one[:_SHORT])]
    if not known:
        raise ValueError(f"days are Mon, Tue, Wed, Thu, Fri, Sat, Sun, lists and ranges of them; {EXPECTED}")
    return known[0]


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # of a folder of zones the library raises what the system says
        raise ValueError(f"no time zone of that name is known; {EXPECTED}") from None


def interval_from(windows: Sequence[Window], now: datetime) -> Interval:
    """The open time that `now` is within, else the next one. Windows that meet or overlap are one."""
    return next(one for one in _merged(windows, now) if one.closes > now)


def opens_at(windows: Sequence[Window], now: datetime) -> datetime:
    """The earliest moment from `now` on at which one of them is open."""
    return max(interval_from(windows, now).opens, now)


def is_open(windows: Sequence[Window], now: datetime) -> bool:
    return interval_from(windows, now).opens <= now


def _merged(windows: Sequence[Window], now: datetime) -> Iterator[Interval]:
    single = sorted((one for window in windows for one in _around(window, now)), key=lambda one: one.opens)
    current = single[0]
    for one in single[1:]:
        if one.opens <= current.closes:
            current = Interval(current.opens, max(current.closes, one.closes))
        else:
            yield current
            current = one
    yield current


def _around(window: Window, now: datetime) -> Iterator[Interval]:
    today = now.astimezone(window.zone).date()
    for step in range(-_BACK, _AHEAD):
        day = today + timedelta(days=step)
        if day.weekday() in window.days:
            one = Interval(_shown(day, window.begins, window.zone), _shown(day, window.ends, window.zone))
            if one.opens < one.closes:
                yield one


def _shown(day: date, clock: timedelta, zone: ZoneInfo) -> datetime:
    """When the zone's clocks first show that, or jump over it."""
    shown = datetime.combine(day, time()) + clock
    # Of a time that comes twice this is the first; of one that never comes it is after the jump, with `fold` before it.
    at = shown.replace(tzinfo=zone).astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) == shown:
        return at
    return _jump(shown.replace(tzinfo=zone, fold=1).astimezone(UTC), at, zone)


def _jump(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """When the clocks jumped in between, to the second."""
    offset = before.astimezone(zone).utcoffset()
    while (seconds := (after - before) // timedelta(seconds=1)) > 1:
        middle = before + timedelta(seconds=seconds // 2)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
