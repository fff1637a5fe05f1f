"""Room for long jobs is room for short ones: whoever waits is looked at only where there is room for a short job."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from worker.limits.allowance import Allowance
from worker.limits.windows import Places, Window

steps = st.lists(
    st.tuples(st.floats(0, 90), st.sampled_from(["take", "take", "end", "unused"])), min_size=10, max_size=40
)


@given(st.integers(1, 6), st.sampled_from([1.0, 60.0]), st.integers(0, 5), steps)
def test_a_window_has_room_for_a_short_job_as_soon_as_for_a_long_one(
    calls: int, seconds: float, reserve: int, steps: Sequence[tuple[float, str]]
) -> None:
    places, now = Places(Window(calls, seconds), min(reserve, calls - 1)), 0.0
    for pause, step in steps:
        now += pause
        if step == "take":
            places.take(now)
        elif places.under_way:
            places.ended(now) if step == "end" else places.unused()
        assert places.has_room(now, is_long=False) or not places.has_room(now, is_long=True)
        short, long = (places.room_at(now, is_long=is_long) for is_long in (False, True))
        assert long is None or (short is not None and short <= long)


told = st.lists(st.tuples(st.floats(0, 90), st.integers(0, 60), st.floats(0, 4000)), min_size=1, max_size=20)


@given(told, st.integers(0, 40))
def test_so_has_what_the_cloud_says_is_left(told: Sequence[tuple[float, int, float]], under_way: int) -> None:
    allowance, now = Allowance(), 0.0
    for pause, left, seconds in told:
        now += pause
        allowance.told(left, now + seconds, now)
        short, long = (allowance.room_at(now, under_way, is_long=is_long) for is_long in (False, True))
        assert short <= long
