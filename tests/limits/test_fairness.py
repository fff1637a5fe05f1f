"""Rotations share one gateway's budget: nobody waits for somebody else's ten thousand domains."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.limits.sending import send
from tests.support.virtual_time import run_virtual
from worker.effort import Effort, spending
from worker.limits import Limits, Window

SLOW, QUICK = [Window(20, 1)], [Window(200, 1)]
WITH_LONG_WINDOW = [Window(20, 1), Window(3000, 300)]
FEW = 7
"""Calls that a certificate with ten domains costs, one after the other."""


async def few(limits: Limits) -> float:
    """How long a small rotation takes."""
    began = asyncio.get_running_loop().time()
    with spending(Effort()):
        for _ in range(FEW):
            await send(limits)
    return asyncio.get_running_loop().time() - began


async def many(limits: Limits, calls: int) -> Sequence[float]:
    """When a large rotation's calls were sent."""
    with spending(Effort()):
        return await asyncio.gather(*(send(limits) for _ in range(calls)))


def alone(windows: Sequence[Window]) -> float:
    async def scenario() -> float:
        return await few(Limits(windows, 8))

    return run_virtual(scenario())


@pytest.mark.parametrize("arrives", [0, 0.31, 1.7, 149, 160])
@pytest.mark.parametrize("windows", [SLOW, QUICK, WITH_LONG_WINDOW])
def test_a_small_rotation_behind_a_large_one_is_done_in_twice_its_own_time_and_a_second(
    windows: Sequence[Window], arrives: float
) -> None:
    async def scenario() -> float:
        limits = Limits(windows, 8)
        large = asyncio.create_task(many(limits, 10_000))
        await asyncio.sleep(arrives)
        took = await few(limits)
        large.cancel()
        await asyncio.gather(large, return_exceptions=True)
        return took

    assert run_virtual(scenario()) <= 2 * alone(windows) + 1


@pytest.mark.parametrize(
    ("windows", "calls", "ideal"),
    [
        (SLOW, 1000, 1000 / 20),
        (QUICK, 10_000, 10_000 / 200),
        (WITH_LONG_WINDOW, 9000, 9000 / 10),
        ([Window(60, 60), Window(1000, 3600)], 10_000, 36_000),
    ],
)
def test_a_large_rotation_alone_uses_the_whole_limit(windows: Sequence[Window], calls: int, ideal: float) -> None:
    async def scenario() -> float:
        await many(Limits(windows, 8), calls)
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) <= 1.05 * ideal


@pytest.mark.parametrize("windows", [SLOW, QUICK, WITH_LONG_WINDOW])
def test_a_large_rotation_never_exceeds_the_limit_while_it_is_paced(windows: Sequence[Window]) -> None:
    async def scenario() -> Sequence[float]:
        return sorted(await many(Limits(windows, 8), 4000))

    sent = run_virtual(scenario())
    for window in windows:
        assert all(later - first >= window.seconds for first, later in zip(sent, sent[window.calls :], strict=False))


def test_large_rotations_share_evenly() -> None:
    async def scenario() -> tuple[float, float]:
        limits = Limits(SLOW, 8)
        first, second = await asyncio.gather(many(limits, 500), many(limits, 500))
        return max(first), max(second)

    first, second = run_virtual(scenario())
    assert abs(first - second) < 1


def test_an_urgent_rotation_passes_before_everything_that_waits() -> None:
    async def scenario() -> tuple[float, float]:
        limits = Limits(SLOW, 8)
        others = [asyncio.create_task(few(limits)) for _ in range(200)]
        await asyncio.sleep(1)
        with spending(Effort(urgent=True)):
            took = max([await send(limits) for _ in range(FEW)]) - 1
        return took, max(await asyncio.gather(*others))

    urgent, others = run_virtual(scenario())
    assert urgent < 10 < others


def test_a_short_job_uses_a_whole_window_at_once() -> None:
    async def scenario() -> Sequence[float]:
        return await many(Limits([Window(60, 60)], 60), 16)

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
        others = asyncio.create_task(many(limits, 400))
        with spending(mine):
            calls = [asyncio.create_task(send(limits)) for _ in range(60)]
        await asyncio.sleep(1)
        before = sum(one.done() for one in calls)
        mine.urgent = True
        last = max(await asyncio.gather(*calls))
        others.cancel()
        await asyncio.gather(others, return_exceptions=True)
        return last, before

    last, before = run_virtual(scenario())
    assert last <= 1 + (60 - before) / 20 + 1
