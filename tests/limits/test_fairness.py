"""Rotations share one gateway's budget: nobody waits for somebody else's ten thousand domains."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.limits.sending import in_a_row, keeps_to, send, together
from tests.support.virtual_time import run_virtual
from worker.effort import Effort, spending
from worker.limits import Limits, Window

SLOW, QUICK = [Window(20, 1)], [Window(200, 1)]
WITH_LONG_WINDOW = [Window(20, 1), Window(3000, 300)]
BY_THE_HOUR = [Window(60, 60), Window(1000, 3600)]
FEW = 7
"""Calls that a certificate with ten domains costs, one after the other."""


def alone(windows: Sequence[Window], concurrency: int = 8, latency: float = 0.03) -> float:
    async def scenario() -> float:
        return await in_a_row(Limits(windows, concurrency), FEW, latency)

    return run_virtual(scenario())


def behind_a_large_one(
    windows: Sequence[Window], arrives: Sequence[float], concurrency: int = 8, latency: float = 0.03
) -> list[float]:
    """How long small rotations take, one after the other, that arrive so late."""

    async def scenario() -> list[float]:
        limits, took = Limits(windows, concurrency), []
        large = asyncio.create_task(together(limits, 10_000, latency))
        for at in arrives:
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            took.append(await in_a_row(limits, FEW, latency))
        large.cancel()
        await asyncio.gather(large, return_exceptions=True)
        return took

    return run_virtual(scenario())


@pytest.mark.parametrize("arrives", [0, 0.31, 1.7, 149, 160])
@pytest.mark.parametrize("windows", [SLOW, QUICK, WITH_LONG_WINDOW, BY_THE_HOUR])
def test_a_small_rotation_behind_a_large_one_is_done_in_twice_its_own_time_and_a_second(
    windows: Sequence[Window], arrives: float
) -> None:
    [took] = behind_a_large_one(windows, [arrives])
    assert took <= 2 * alone(windows) + 1


async def rotation(limits: Limits, latency: float = 0.03) -> float:
    """How long the fifteen calls take that ten domains cost where each is attached alone."""
    began = asyncio.get_running_loop().time()
    with spending(Effort()):
        for step in (2, 1, 1, 10, 1):
            await asyncio.gather(*(send(limits, latency) for _ in range(step)))
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("arrives", [1.7, 149])
@pytest.mark.parametrize("windows", [SLOW, QUICK, WITH_LONG_WINDOW, BY_THE_HOUR])
def test_so_is_one_that_attaches_ten_domains_at_once_each_alone(windows: Sequence[Window], arrives: float) -> None:
    async def scenario() -> float:
        limits = Limits(windows, 8)
        large = asyncio.create_task(together(limits, 10_000))
        await asyncio.sleep(arrives)
        took = await rotation(limits)
        large.cancel()
        await asyncio.gather(large, return_exceptions=True)
        return took

    assert run_virtual(scenario()) <= 2 * run_virtual(rotation(Limits(windows, 8))) + 1


@pytest.mark.parametrize("latency", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("arrives", [0, 0.05, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("concurrency", [8, 20])
@pytest.mark.parametrize("windows", [SLOW, WITH_LONG_WINDOW])
def test_so_is_one_that_comes_when_the_large_one_has_just_filled_a_window(
    windows: Sequence[Window], concurrency: int, arrives: float, latency: float
) -> None:
    """All places come back together then, and its calls go one after the other: most of them must be left to it."""

    async def scenario() -> float:
        limits = Limits(windows, concurrency)
        large = asyncio.create_task(together(limits, 200, latency))
        await asyncio.sleep(arrives)
        took = await rotation(limits, latency)
        large.cancel()
        await asyncio.gather(large, return_exceptions=True)
        return took

    assert run_virtual(scenario()) <= 2 * run_virtual(rotation(Limits(windows, concurrency), latency)) + 1


@pytest.mark.parametrize("begin", [100, 1000, 3300, 4000])
def test_small_rotations_behind_a_large_one_find_places_all_through_the_hour(begin: float) -> None:
    took = behind_a_large_one(BY_THE_HOUR, [begin + 60 * minute for minute in range(10)])
    assert max(took) <= 2 * alone(BY_THE_HOUR) + 1


@pytest.mark.parametrize("latency", [0.03, 0.5, 2])
@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_that_holds_however_few_calls_may_be_under_way_and_however_long_they_take(
    concurrency: int, latency: float
) -> None:
    took = behind_a_large_one(QUICK, [5.01, 45.3, 91.7], concurrency, latency)
    assert max(took) <= 2 * alone(QUICK, concurrency, latency) + 1


@pytest.mark.parametrize(("windows", "hours"), [(WITH_LONG_WINDOW, 0.25), (BY_THE_HOUR, 4), (SLOW, 0.05)])
def test_a_long_job_has_its_share_while_short_ones_keep_coming(windows: Sequence[Window], hours: float) -> None:
    """As many calls as its turns in rounds with all the others, in every part of the time in which anybody has any."""
    others = 15

    async def one_after_the_other(limits: Limits, sent: list[float]) -> None:
        while True:
            with spending(Effort()):
                sent += [await send(limits) for _ in range(6)]

    async def all_at_once(limits: Limits, sent: list[float]) -> None:
        async def call() -> None:
            sent.append(await send(limits))

        with spending(Effort()):
            await asyncio.gather(*(call() for _ in range(10_000)))

    async def scenario() -> tuple[list[float], list[float]]:
        limits, short, long = Limits(windows, 8), list[float](), list[float]()
        work = [asyncio.create_task(one_after_the_other(limits, short)) for _ in range(others)]
        work.append(asyncio.create_task(all_at_once(limits, long)))
        await asyncio.sleep(hours * 3600)
        for one in work:
            one.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        return long, short

    long, short = run_virtual(scenario())
    parts = [hours * 3600 * part / 4 for part in range(5)]
    for since, until in pairwise(parts):
        mine, theirs = (sum(since <= at < until for at in sent) for sent in (long, short))
        assert mine >= 0.8 * theirs / (others + 1) - 2


large_windows = st.lists(
    st.builds(Window, calls=st.integers(15, 60), seconds=st.sampled_from([1.0, 10.0, 30.0, 100.0])),
    min_size=1,
    max_size=3,
)


@settings(deadline=None, max_examples=50)
@given(
    large_windows, st.integers(1, 8), st.lists(st.tuples(st.floats(0, 60), st.integers(1, 60)), min_size=1, max_size=12)
)
def test_no_rotation_is_passed_over_for_long_whatever_its_size_and_that_of_others(
    limits: list[Window], concurrency: int, rotations: list[tuple[float, int]]
) -> None:
    """From one turn to the next, others have a few each, and these pass at the pace of all windows together."""

    async def rotate(shared: Limits, arrives: float, calls: int) -> list[float]:
        await asyncio.sleep(arrives)
        return [arrives, *sorted(await together(shared, calls))]

    async def scenario() -> list[list[float]]:
        shared = Limits(limits, concurrency)
        return await asyncio.gather(*(rotate(shared, *one) for one in rotations))

    turns = run_virtual(scenario())
    between = 3 * len(rotations)
    longest = sum(window.seconds * (1 + between / (0.8 * window.calls)) for window in limits) + 0.03 * between + 1
    assert all(later - one <= longest for mine in turns for one, later in pairwise(mine))
    sent = sorted(at for mine in turns for at in mine[1:])
    assert all(keeps_to(window, sent) for window in limits)


@pytest.mark.parametrize(
    ("windows", "calls", "ideal"),
    [
        (SLOW, 1000, 1000 / 20),
        (QUICK, 10_000, 10_000 / 200),
        (WITH_LONG_WINDOW, 9000, 9000 / 10),
        (BY_THE_HOUR, 10_000, 36_000),
        ([Window(60, 60)], 1000, 1000),
        ([Window(75, 30)], 1500, 600),
        ([Window(60, 60), Window(3500, 3600)], 3000, 3000),
    ],
)
def test_a_large_rotation_alone_uses_the_whole_limit(windows: Sequence[Window], calls: int, ideal: float) -> None:
    async def scenario() -> float:
        await together(Limits(windows, 8), calls)
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) <= 1.05 * ideal


@pytest.mark.parametrize("windows", [SLOW, QUICK, WITH_LONG_WINDOW, BY_THE_HOUR])
def test_a_large_rotation_never_exceeds_the_limit_while_it_is_paced(windows: Sequence[Window]) -> None:
    async def scenario() -> Sequence[float]:
        return sorted(await together(Limits(windows, 8), 4000))

    sent = run_virtual(scenario())
    assert all(keeps_to(window, sent) for window in windows)


def test_large_rotations_share_evenly() -> None:
    async def scenario() -> tuple[float, float]:
        limits = Limits(SLOW, 8)
        first, second = await asyncio.gather(together(limits, 500), together(limits, 500))
        return max(first), max(second)

    first, second = run_virtual(scenario())
    assert abs(first - second) < 1


def test_an_urgent_rotation_passes_before_everything_that_waits() -> None:
    async def scenario() -> tuple[float, float]:
        limits = Limits(SLOW, 8)
        others = [asyncio.create_task(in_a_row(limits, FEW)) for _ in range(200)]
        await asyncio.sleep(1)
        with spending(Effort(urgent=True)):
            took = max([await send(limits) for _ in range(FEW)]) - 1
        return took, max(await asyncio.gather(*others))

    urgent, others = run_virtual(scenario())
    assert urgent < 10 < others


def test_a_short_job_uses_a_whole_window_at_once() -> None:
    async def scenario() -> Sequence[float]:
        return await together(Limits([Window(60, 60)], 60), 16)

    assert set(run_virtual(scenario())) == {0}


def test_of_many_that_share_a_small_budget_the_eldest_end_in_time() -> None:
    """Evenly shared, 32 rotations of 300 calls each would all end together, after sixteen minutes."""

    async def rotate(limits: Limits) -> float:
        with spending(Effort()):
            for _ in range(300):
                await send(limits)
        return asyncio.get_running_loop().time()

    async def scenario() -> list[float]:
        limits = Limits([Window(20, 1), Window(3000, 300)], 8)
        return await asyncio.gather(*(rotate(limits) for _ in range(32)))

    ended = run_virtual(scenario())
    assert sum(at < 900 for at in ended) >= 16
    assert ended[0] == min(ended)
    assert max(ended) < 1.1 * 32 * 300 / 10


def test_who_becomes_urgent_while_waiting_passes_all_others_from_then_on() -> None:
    async def scenario() -> tuple[float, int]:
        limits, mine = Limits(SLOW, 8), Effort()
        others = asyncio.create_task(together(limits, 400))
        with spending(mine):
            calls = [asyncio.create_task(send(limits)) for _ in range(60)]
        await asyncio.sleep(1)
        before = sum(one.done() for one in calls)
        mine.hasten()
        last = max(await asyncio.gather(*calls))
        others.cancel()
        await asyncio.gather(others, return_exceptions=True)
        return last, before

    last, before = run_virtual(scenario())
    assert last <= 1 + (60 - before) / 20 + 1


def test_who_becomes_urgent_goes_before_who_comes_urgent_later() -> None:
    """Though there was no room when it became so."""

    async def scenario() -> tuple[float, list[float]]:
        limits, mine = Limits([Window(1, 60)], 8), Effort()
        await send(limits)
        with spending(mine):
            first = asyncio.create_task(send(limits))
        await asyncio.sleep(1)
        mine.hasten()
        later = []
        for _ in range(3):
            with spending(Effort(urgent=True)):
                later.append(asyncio.create_task(send(limits)))
            await asyncio.sleep(1)
        return await first, await asyncio.gather(*later)

    first, later = run_virtual(scenario())
    assert first < min(later)
