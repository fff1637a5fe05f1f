"""What the cloud tells of its limits, kept to from then on; in virtual time."""

import asyncio

import pytest

from tests.limits.sending import sending
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


def test_a_learned_window_never_allows_more_than_was_set_for_its_span() -> None:
    limits = Limits([Window(100, 1), Window(50, 300)], 8)
    limits.learn(Window(200, 300))
    assert limits.windows == (Window(100, 1), Window(50, 300))
    limits.learn(Window(20, 300))
    limits.learn(Window(40, 300))
    assert limits.windows == (Window(100, 1), Window(40, 300))


async def _told(limits: Limits, left: int | None, seconds: float = 0.0, latency: float = 0.0) -> float:
    """One call, whose answer tells how many are left; when it was sent."""
    async with limits.slot() as turn:
        sent_at = asyncio.get_running_loop().time()
        turn.is_sent = True
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
        await _told(limits, 3, 3000)
        await _told(limits, 2, 40)
        return [round(await _told(limits, None)) for _ in range(4)]

    assert run_virtual(scenario()) == [0, 0, 3000, 3000]
