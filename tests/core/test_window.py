"""Windows of the week: what may stand there, and when they are open, over every change of the clocks."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.core.window import Window, interval_from, is_open, opens_at, parse_window

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
BERLIN, HOWE = "Europe/Berlin", "Australia/Lord_Howe"
"""The clocks of the second jump by half an hour, ten and a half hours from UTC."""


@pytest.mark.parametrize(
    ("text", "days", "hours"),
    [
        ("Mon-Fri 09:00-17:00 Europe/Berlin", {0, 1, 2, 3, 4}, (9, 17)),
        ("Fri-Mon 09:00-17:00 UTC", {4, 5, 6, 0}, (9, 17)),
        ("Sun,Tue-Wed 09:00-17:00 UTC", {6, 1, 2}, (9, 17)),
        ("saturday, SUN 00:00-24:00 UTC", {5, 6}, (0, 24)),
        ("22:00-04:00 Asia/Kathmandu", set(range(7)), (22, 28)),
        ("Tue-Tue 22:00-00:00 UTC", {1}, (22, 24)),
    ],
)
def test_a_window_is_days_hours_and_a_zone(text: str, days: set[int], hours: tuple[int, int]) -> None:
    window = parse_window(text)
    assert (window.days, window.begins, window.ends) == (days, *(timedelta(hours=hour) for hour in hours))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is the form"),
        ("Mon-Fri 09:00-17:00", "is the form"),
        ("Mon-Fri 9-17 UTC", "is the form"),
        ("Mon-Fri 09:00-17:00 ../../etc/passwd", "is the form"),
        ("Mon Fri 09:00-17:00 UTC", "is the form"),
        ("Mon-Sunnday 09:00-17:00 UTC", "days are"),
        ("Mon- 09:00-17:00 UTC", "days are"),
        ("Mon,,Tue 09:00-17:00 UTC", "days are"),
        ("09:00-24:01 UTC", "times are"),
        ("09:60-17:00 UTC", "times are"),
        ("24:00-17:00 UTC", "24:00 is an end only"),
        ("09:00-09:00 UTC", "00:00-24:00 is a whole day"),
        ("09:00-17:00 Europe/Atlantis", "no time zone"),
        ("09:00-17:00 Europe", "no time zone"),
    ],
)
def test_what_is_no_window_is_told_by_what_is_expected(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        parse_window(text)
    assert not any(word in str(refused.value) for word in ("passwd", "Sunnday", "Atlantis"))


def openings(text: str, day: date, days: int = 1) -> Sequence[str]:
    """When it is open from that day's midnight in UTC on."""
    window, told = parse_window(text), []
    now = datetime.combine(day, time(), UTC)
    end = now + timedelta(days=days)
    while now < end:
        one = interval_from([window], now)
        if one.opens < end:
            told.append(f"{one.opens:%d %H:%M}-{one.closes:%d %H:%M}")
        now = one.closes
    return told


@pytest.mark.parametrize(
    ("text", "day", "told"),
    [
        (f"09:00-17:00 {BERLIN}", date(2026, 3, 28), ["28 08:00-28 16:00"]),
        (f"09:00-17:00 {BERLIN}", date(2026, 3, 29), ["29 07:00-29 15:00"]),
        (f"09:00-17:00 {BERLIN}", date(2026, 10, 25), ["25 08:00-25 16:00"]),
        # Spring: 02:00 to 03:00 is not there. What begins in it begins after it, what lies in it does not come.
        (f"Sun 02:30-04:00 {BERLIN}", date(2026, 3, 29), ["29 01:00-29 02:00"]),
        (f"Sun 01:00-02:30 {BERLIN}", date(2026, 3, 29), ["29 00:00-29 01:00"]),
        (f"Sun 02:00-03:00 {BERLIN}", date(2026, 3, 29), []),
        (f"Sat 22:00-04:00 {BERLIN}", date(2026, 3, 28), ["28 21:00-29 02:00"]),
        # Autumn: 02:00 to 03:00 is there twice. Its first time counts.
        (f"Sun 02:30-04:00 {BERLIN}", date(2026, 10, 25), ["25 00:30-25 03:00"]),
        (f"Sun 01:00-02:30 {BERLIN}", date(2026, 10, 25), ["24 23:00-25 00:30"]),
        (f"Sun 02:00-03:00 {BERLIN}", date(2026, 10, 25), ["25 00:00-25 02:00"]),
        (f"Sat 22:00-04:00 {BERLIN}", date(2026, 10, 24), ["24 20:00-25 03:00"]),
        # From +10:30 to +11:00 at 02:00 in October, and back at 02:00 in April.
        (f"Sun 02:15-03:00 {HOWE}", date(2026, 10, 3), ["03 15:30-03 16:00"]),
        (f"Sun 01:45-03:00 {HOWE}", date(2026, 4, 4), ["04 14:45-04 16:30"]),
        ("10:00-10:30 Asia/Kathmandu", date(2026, 6, 1), ["01 04:15-01 04:45"]),
        # An island that went over to the other side of the date line had no 30th of December.
        ("Fri 09:00-17:00 Pacific/Apia", date(2011, 12, 29), []),
    ],
)
def test_a_window_goes_by_what_the_clocks_of_its_zone_show(text: str, day: date, told: Sequence[str]) -> None:
    assert openings(text, day) == told


def test_windows_that_meet_are_one_and_any_of_them_will_do() -> None:
    windows = [parse_window(one) for one in ("Mon 22:00-24:00 UTC", "Tue 00:00-02:00 UTC", "Thu 09:00-10:00 UTC")]
    night = interval_from(windows, MONDAY)
    assert (night.opens, night.closes) == (MONDAY + timedelta(hours=22), MONDAY + timedelta(hours=26))
    assert opens_at(windows, night.closes) == MONDAY + timedelta(days=3, hours=9)


def test_a_window_that_never_closes_is_always_open() -> None:
    for day in range(400):
        assert is_open([parse_window(f"00:00-24:00 {BERLIN}")], MONDAY + timedelta(days=day, hours=day % 24))


ZONES = [ZoneInfo(name) for name in ("UTC", BERLIN, HOWE, "America/St_Johns", "Africa/Casablanca", "Pacific/Chatham")]
MINUTE = timedelta(minutes=1)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    begins = draw(st.integers(0, 24 * 60 - 1))
    length = draw(st.integers(1, 24 * 60 - 1))
    days = draw(st.frozensets(st.integers(0, 6), min_size=1))
    return Window(days, begins * MINUTE, (begins + length) * MINUTE, draw(st.sampled_from(ZONES)))


def first_shown(shown: datetime, zone: ZoneInfo) -> datetime:
    """Minute by minute, from before any clock there can show it."""
    offsets = [(shown + timedelta(days=day)).replace(tzinfo=zone).utcoffset() or MINUTE for day in (-2, 2)]
    at = (shown - max(offsets)).replace(tzinfo=UTC)
    while at.astimezone(zone).replace(tzinfo=None) < shown:
        at += MINUTE
    return at


def begins_and_ends(window: Window, at: datetime, days: Sequence[int]) -> Sequence[tuple[datetime, datetime]]:
    today = at.astimezone(window.zone).date()
    midnights = [datetime.combine(today + timedelta(days=day), time()) for day in days]
    return [
        (first_shown(one + window.begins, window.zone), first_shown(one + window.ends, window.zone))
        for one in midnights
        if one.weekday() in window.days
    ]


def is_open_by_minutes(some: Sequence[Window], at: datetime) -> bool:
    around = [one for window in some for one in begins_and_ends(window, at, range(-2, 2))]
    return any(begins <= at < ends for begins, ends in around)


# More than two years, with every change of the clocks in them.
MOMENTS = st.integers(0, 800 * 24 * 60).map(lambda minutes: datetime(2025, 1, 1, tzinfo=UTC) + minutes * MINUTE)


@settings(deadline=None)
@given(st.lists(windows(), min_size=1, max_size=3), MOMENTS, st.data())
def test_it_opens_at_the_earliest_moment_that_is_open(
    some: Sequence[Window], now: datetime, data: st.DataObject
) -> None:
    opens = opens_at(some, now)
    assert opens >= now
    assert is_open_by_minutes(some, opens)
    assert is_open(some, now) is is_open_by_minutes(some, now) is (opens == now)
    if opens > now:
        between = now + data.draw(st.integers(0, (opens - now) // MINUTE - 1)) * MINUTE
        begun = [begins for one in some for begins, ends in begins_and_ends(one, opens, range(-7, 2)) if begins < ends]
        assert not is_open_by_minutes(some, between)
        assert not any(now <= begins < opens for begins in begun)


@settings(deadline=None)
@given(windows(), st.sampled_from(ZONES), st.integers(-300, 300), st.booleans())
def test_it_opens_right_around_every_change_of_the_clocks(
    window: Window,
    zone: ZoneInfo,
    minutes: int,
    is_autumn: bool,
) -> None:
    """As the one before, near where it may go wrong."""
    moved = Window(frozenset(range(7)), window.begins, window.ends, zone)
    day = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=180 * is_autumn)
    before = day.astimezone(zone).utcoffset()
    while day.astimezone(zone).utcoffset() == before and day.year == 2026:
        day += timedelta(hours=1)
    now = day + minutes * MINUTE
    assert is_open([moved], now) is is_open_by_minutes([moved], now)
