"""What the cloud tells of its limits, kept to from then on; in virtual time."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.limits.sending import keeps_to, send, sending, together
from tests.support.virtual_time import run_virtual
from worker.limits import Limits, Window


def test_a_learned_window_is_kept_to_until_another_one_is_told() -> None:
    async def scenario() -> list[float]:
        limits = Limits([Window(100, 1)], 8)
        sent: list[float] = []
        limits.learn(Window(2, 60))
        for number in range(7):
            if number == 4:
                limits.learn(Window(10, 60))
            async with sending(limits):
                sent.append(round(asyncio.get_running_loop().time()))
        return sent

    assert run_virtual(scenario()) == [0, 0, 60, 60, 60, 60, 60]


def test_a_window_learned_in_the_middle_of_calls_counts_them() -> None:
    async def scenario() -> float:
        limits = Limits([], 8)
        async with sending(limits):
            limits.learn(Window(1, 30))
        async with sending(limits):
            return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == pytest.approx(30, abs=0.1)


def learned(limits: Limits, *told: tuple[float, Window]) -> tuple[Sequence[Window], list[Window | None]]:
    """The windows kept to in the end when each was told so many seconds after the one before; and what was new then."""

    async def scenario() -> list[Window | None]:
        new = []
        for seconds, window in told:
            await asyncio.sleep(seconds)
            new.append(limits.learn(window))
        return new

    new = run_virtual(scenario())
    return limits.windows, new


def test_a_learned_window_never_allows_more_than_was_set_for_its_span() -> None:
    limits = Limits([Window(100, 1), Window(50, 300)], 8)
    windows, new = learned(limits, (0, Window(200, 300)), (0, Window(20, 300)), (301, Window(70, 300)))
    assert new == [None, Window(20, 300), Window(50, 300)], "what is kept to, not what was told"
    assert windows == (Window(100, 1), Window(50, 300))


@pytest.mark.parametrize("windows", [[Window(3, 10), Window(18, 10)], [Window(18, 10), Window(3, 10)]])
def test_of_two_windows_that_are_set_for_one_span_the_lower_is_kept_to(windows: Sequence[Window]) -> None:
    changed = Limits([Window(100, 1)], 8)
    run_virtual(_changed(changed, windows))
    for limits in (Limits(windows, 8), changed):
        assert limits.windows == (Window(3, 10),)
        assert learned(limits, (0, Window(30, 10)))[0] == (Window(3, 10),)


async def _changed(limits: Limits, windows: Sequence[Window]) -> None:
    limits.change(windows, 8)


def test_of_two_policies_with_one_span_the_lower_is_kept_to_until_it_was_not_told_for_a_span() -> None:
    low, high = Window(5, 60), Window(200, 60)
    assert learned(Limits([], 8), (0, low), (1, high))[0] == (low,)
    assert learned(Limits([], 8), (0, high), (1, low))[0] == (low,)
    assert learned(Limits([], 8), (0, low), (40, low), (40, high))[0] == (low,)
    assert learned(Limits([], 8), (0, low), (61, high))[0] == (high,)


def test_what_is_known_already_is_not_new() -> None:
    _, new = learned(Limits([], 8), *[(1, Window(5, 60))] * 3)
    assert new == [Window(5, 60), None, None]


def test_of_windows_without_end_the_last_few_told_are_kept_to_and_all_that_were_set() -> None:
    told = [(1.0, Window(5, 1000.0 + number)) for number in range(500)]
    windows, _ = learned(Limits([Window(100, 1), Window(50, 300)], 8), *told)
    assert windows[:2] == (Window(100, 1), Window(50, 300))
    assert [window for _, window in told][-len(windows) + 2 :] == list(windows[2:])
    assert len(windows) <= 10


@pytest.mark.parametrize(
    ("windows", "first"),
    [
        ([Window(100, 1), Window(1000, 3600)], 300),
        ([Window(100, 1)], 300),
        ([], 300),
        ([Window(100, 1), Window(1000, 100)], 300),
    ],
)
def test_what_was_sent_before_a_window_was_told_counts_in_it(windows: Sequence[Window], first: float) -> None:
    async def scenario() -> tuple[list[float], list[float]]:
        limits = Limits(windows, 8)
        before = list(await together(limits, 200))
        limits.learn(Window(200, 300))
        limits.hold(5)
        return before, list(await together(limits, 300))

    before, after = run_virtual(scenario())
    assert min(after) == pytest.approx(first, abs=5)
    assert keeps_to(Window(200, 300), sorted([*before, *after]))


def test_a_window_that_is_told_after_little_was_sent_has_the_rest_free() -> None:
    async def scenario() -> list[float]:
        limits = Limits([Window(100, 1), Window(1000, 3600)], 8)
        for _ in range(3):
            await send(limits)
        await asyncio.sleep(100)
        limits.learn(Window(8, 300))
        return [round(await send(limits)) for _ in range(9)]

    assert run_virtual(scenario()) == [100] * 5 + [300] * 3 + [400]


async def _told(limits: Limits, left: int | None, seconds: float = 0.0, latency: float = 0.0) -> float:
    """One call, whose answer tells how many are left; when it was sent."""
    async with limits.slot() as turn:
        sent_at = asyncio.get_running_loop().time()
        turn.sending()
        await asyncio.sleep(latency)
        turn.left = None if left is None else (left, seconds)
    return sent_at


def test_nothing_is_sent_while_the_cloud_says_that_nothing_is_left() -> None:
    async def scenario() -> list[float]:
        limits = Limits([Window(100, 1)], 8)
        await _told(limits, 0, 40)
        return [await _told(limits, 5, 20), await _told(limits, None)]

    assert run_virtual(scenario()) == [40, 40]


def test_calls_under_way_and_calls_that_tell_nothing_use_up_what_is_left() -> None:
    async def scenario() -> list[float]:
        limits = Limits([Window(100, 1)], 8)
        await _told(limits, 3, 50)
        together = [_told(limits, None, latency=1) for _ in range(5)]
        return sorted(await asyncio.gather(*together))

    assert run_virtual(scenario()) == [0, 0, 0, 50, 50]


def test_of_answers_that_overtake_each_other_the_lowest_figure_counts() -> None:
    async def scenario() -> list[float]:
        limits = Limits([Window(100, 1)], 8)
        await asyncio.gather(_told(limits, 4, 50, latency=2), _told(limits, 1, 51, latency=1))
        return [await _told(limits, None), await _told(limits, None)]

    assert run_virtual(scenario()) == [2, 52]


def test_a_window_that_begins_anew_brings_its_own_figure() -> None:
    async def scenario() -> list[float]:
        limits = Limits([Window(100, 1)], 8)
        await _told(limits, 1, 10)
        await asyncio.sleep(11)
        await _told(limits, 60, 60)
        return [await _told(limits, None) for _ in range(3)]

    assert run_virtual(scenario()) == [11, 11, 11]


def test_a_window_by_the_minute_does_not_make_one_by_the_hour_forgotten() -> None:
    async def scenario() -> list[float]:
        limits = Limits([Window(100, 1)], 8)
        await _told(limits, 3, 500)
        await _told(limits, 2, 40)
        return [round(await _told(limits, None)) for _ in range(4)]

    assert run_virtual(scenario()) == [0, 0, 500, 500]
