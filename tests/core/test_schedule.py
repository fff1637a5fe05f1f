"""When a renewal may run: its share of a spread, and what neither waits for a window nor for that."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.test_window import MOMENTS, windows
from tests.support.values import bound, current, day, domain, observed, stored
from worker.core.backoff import step_before
from worker.core.errors import Failure, PermanentError, TransientError
from worker.core.planning import Keep, Modify, Plan, Superseded, UploadEach
from worker.core.proof import Shortfall
from worker.core.schedule import Schedule, Wait, share_of
from worker.core.waiting import Step, dated, held_back
from worker.core.window import Window, interval_from, is_open, opens_at, parse_window

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
OFFICE = parse_window("Mon-Fri 09:00-17:00 UTC")
FRIDAY = day(9, 18)
"""An hour after the window has closed."""
MONDAY = day(12, 9)


def test_shares_are_even_and_always_the_same() -> None:
    shares = [share_of("shop", f"r{number}") for number in range(2000)]
    tenths = Counter(int(share * 10) for share in shares)
    assert set(tenths) == set(range(10))
    assert all(150 < number < 250 for number in tenths.values())
    assert shares[7] == share_of("shop", "r7") != share_of("blog", "r7")


@pytest.mark.parametrize(
    ("share", "since", "now", "wait"),
    [
        (0.5, FRIDAY, FRIDAY, Wait(MONDAY + HOUR, "outside_window")),
        (0.5, FRIDAY, MONDAY, Wait(MONDAY + HOUR, "spread")),
        (0.5, FRIDAY, MONDAY + HOUR, None),
        (0.5, MONDAY + HOUR, MONDAY + HOUR, Wait(MONDAY + 2 * HOUR, "spread")),
        # From its time on: who has been under way for long has waited already.
        (0.5, MONDAY, MONDAY + HOUR, None),
        # Within what is left of the window, but for what a renewal may be late.
        (0.5, MONDAY + 7 * HOUR, MONDAY + 7 * HOUR, Wait(MONDAY + 7.25 * HOUR, "spread")),
        (0.9, MONDAY + 7.75 * HOUR, MONDAY + 7.75 * HOUR, None),
        # It has missed a window, and waits for its share of the next.
        (0.5, FRIDAY, MONDAY + 8 * HOUR, Wait(MONDAY + 25 * HOUR, "outside_window")),
        (0.0, FRIDAY, MONDAY, None),
    ],
)
def test_a_renewal_waits_for_its_share_from_the_opening_on(
    share: float, since: datetime, now: datetime, wait: Wait | None
) -> None:
    assert Schedule([OFFICE], 2 * HOUR, lateness=HOUR / 2).wait(share, since, now) == wait


def test_without_windows_a_share_counts_from_when_the_renewal_came() -> None:
    schedule = Schedule(spread=HOUR)
    assert schedule.wait(0.5, FRIDAY, FRIDAY) == Wait(FRIDAY + HOUR / 2, "spread")
    assert schedule.wait(0.5, FRIDAY - HOUR / 4, FRIDAY) == Wait(FRIDAY + HOUR / 4, "spread")
    assert schedule.wait(0.5, FRIDAY - HOUR, FRIDAY) is None
    assert Schedule().wait(0.99, FRIDAY, FRIDAY) is None


@settings(deadline=None)
@given(
    st.lists(windows(), max_size=3),
    st.integers(0, 24 * 60),
    st.integers(0, 120),
    st.floats(0, 1, exclude_max=True),
    MOMENTS,
    st.integers(0, 14 * 24 * 60),
)
def test_a_wait_ends_within_the_spread_and_within_a_window(
    some: Sequence[Window], spread: int, lateness: int, share: float, now: datetime, age: int
) -> None:
    schedule = Schedule(some, spread * MINUTE, lateness=lateness * MINUTE)
    wait = schedule.wait(share, now - age * MINUTE, now)
    if wait is None:
        assert not some or is_open(some, now)
        return
    opening = opens_at(some, now) if some else now
    assert now < wait.until <= opening + schedule.spread
    assert schedule.wait(share, now - age * MINUTE, wait.until) is None, "then it runs"
    if some:
        assert is_open(some, wait.until)
        closes = interval_from(some, opening).closes
        assert wait.until == opening or wait.until <= closes - schedule.lateness
        assert (wait.why == "outside_window") is (opening > now)


MODIFY = Plan(Modify(stored()), (domain(),), (), expires=day(20))
BAD = Shortfall(Failure("other_certificate", "at 127.0.0.1", transient=True), domain(), "")
CLOSED = Wait(MONDAY, "outside_window")
NOTHING = Plan(Keep(current()), (), (domain(),))
WEEKDAYS = Schedule([OFFICE])


@pytest.mark.parametrize(
    ("steps", "wait"),
    [
        ([MODIFY], CLOSED),
        ([NOTHING], None),
        ([NOTHING, Superseded(stored())], None),
        ([NOTHING, PermanentError("forbidden")], None),
        ([MODIFY, PermanentError("forbidden")], CLOSED),
        ([NOTHING, TransientError("throttled")], replace(CLOSED, is_known=False)),
        ([NOTHING, MODIFY], CLOSED),
        # What expires within three days, or has expired, does not wait; nor does anything beside it.
        ([MODIFY, replace(MODIFY, expires=FRIDAY + timedelta(days=3))], None),
        ([replace(MODIFY, expires=day(1))], None),
        # It does not wait any longer than until then.
        ([replace(MODIFY, expires=day(14, 9))], replace(CLOSED, until=day(11, 9))),
        ([replace(MODIFY, expires=None)], CLOSED),
        # What is right there expires soon, too: that is no reason.
        ([replace(NOTHING, expires=day(10)), MODIFY], CLOSED),
        # An earlier attempt has put it there, and something is left; or it came to nothing.
        ([replace(NOTHING, attach=(domain(),), was_replaced=True)], None),
        ([Plan(UploadEach(), (domain(),), (domain("b.example.com"),), was_replaced=True)], None),
        ([replace(NOTHING, attach=(domain(),))], CLOSED),
        ([replace(MODIFY, was_replaced=True)], CLOSED),
        # It is on its way back: what is stored may be the old one again, its bindings and flags may not.
        ([replace(MODIFY, was_replaced=True, bad=(BAD,))], None),
    ],
)
def test_what_waits_is_what_changes_something_that_is_not_urgent(steps: Sequence[Step], wait: Wait | None) -> None:
    assert held_back(CLOSED, steps, WEEKDAYS, FRIDAY) == wait
    assert held_back(None, steps, WEEKDAYS, FRIDAY) is None


def test_what_is_served_expires_when_the_first_of_it_does() -> None:
    sooner = bound(stored=stored(not_after=day(5)))
    unknown = bound(stored=stored(not_after=None))
    seen = observed(stored=stored(not_after=day(8)), bound=(bound(stored=None), unknown, sooner))
    step = dated(MODIFY, seen)
    assert isinstance(step, Plan)
    assert step.expires == day(5)
    nothing = dated(MODIFY, observed(stored=None, bound=()))
    assert isinstance(nothing, Plan)
    assert nothing.expires is None


@pytest.mark.parametrize(("delay", "step"), [(1, 30), (30, 30), (119, 30), (120, 120), (9999, 3600)])
def test_who_waits_for_a_moment_sleeps_no_longer_than_until_then(delay: float, step: float) -> None:
    assert step_before(delay, (3600, 30, 120)) == step
