"""How long a job is told to take, against how long it takes; in virtual time."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.limits.sending import send, sending, together
from tests.support.virtual_time import run_virtual
from worker.effort import Effort, spending
from worker.limits import Limits, Window

BY_THE_SECOND = [Window(20, 1)]
BY_THE_HOUR = [Window(60, 60), Window(1000, 3600)]
BY_MINUTES = [Window(20, 1), Window(300, 30)]
THREE = [Window(5, 1), Window(60, 30), Window(600, 600)]


async def short_jobs(limits: Limits, calls: int) -> None:
    await asyncio.gather(*(together(limits, 1) for _ in range(calls)))


@pytest.mark.parametrize("calls", [5, 40, 1100])
@pytest.mark.parametrize("since", [0, 0.5])
@pytest.mark.parametrize("before", ["nothing", "a long job", "a longer job", "short jobs"])
@pytest.mark.parametrize("windows", [BY_THE_SECOND, BY_THE_HOUR, BY_MINUTES, THREE])
def test_a_job_is_told_how_long_it_takes_whatever_the_windows_hold_already(
    windows: Sequence[Window], before: str, since: float, calls: int
) -> None:
    """`since`: the part of the slowest window for which nothing was sent."""
    slowest = max(windows, key=lambda window: window.interval)

    async def scenario() -> tuple[float, float]:
        limits, clock = Limits(windows, 8), asyncio.get_running_loop().time
        match before:
            case "a long job":
                await together(limits, slowest.calls // 2)
            case "a longer job":
                await together(limits, slowest.calls * 2)
            case "short jobs":
                await short_jobs(limits, slowest.calls)
        await asyncio.sleep(since * slowest.seconds)
        told, began = limits.seconds_for(calls), clock()
        await together(limits, calls)
        return told, clock() - began

    told, took = run_virtual(scenario())
    assert told == pytest.approx(took, rel=0.1, abs=1)


@pytest.mark.parametrize("jobs", [3, 24, 40])
def test_many_short_jobs_are_told_how_long_they_take_for_none_of_them_is_held_back(jobs: int) -> None:
    """Somewhat less where one window holds back what another gives back at once."""

    async def scenario() -> tuple[float, float]:
        limits, clock = Limits(BY_MINUTES, 8), asyncio.get_running_loop().time
        told, began = limits.seconds_for(jobs * 12, longest=12), clock()
        await asyncio.gather(*(together(limits, 12) for _ in range(jobs)))
        return told, clock() - began

    told, took = run_virtual(scenario())
    assert 0.7 * took - 1 <= told <= 1.05 * took


def test_a_job_is_told_how_long_it_still_takes_at_any_time_of_it() -> None:
    async def scenario() -> list[tuple[float, float]]:
        limits, clock, left, told = Limits(BY_THE_HOUR, 8), asyncio.get_running_loop().time, 2000, []

        async def call() -> None:
            nonlocal left
            await send(limits)
            left -= 1

        with spending(Effort()):
            calls = [asyncio.create_task(call()) for _ in range(left)]
        while left > 100:
            told.append((clock(), limits.seconds_for(left)))
            await asyncio.sleep(600)
        await asyncio.gather(*calls)
        return [(seconds, clock() - at) for at, seconds in told]

    for told, true in run_virtual(scenario()):
        assert told == pytest.approx(true, rel=0.1)


def test_a_job_waits_for_a_hold_too_and_for_what_comes_back_after_it() -> None:
    async def scenario() -> tuple[float, float]:
        limits, clock = Limits([Window(60, 60)], 60), asyncio.get_running_loop().time
        await short_jobs(limits, 60)
        limits.hold(30)
        told, began = limits.seconds_for(100), clock()
        await together(limits, 100)
        return told, clock() - began

    told, took = run_virtual(scenario())
    assert told == pytest.approx(took, rel=0.1)


def test_looking_ahead_gives_no_place_back_before_its_time() -> None:
    async def scenario() -> float:
        limits = Limits([Window(2, 60)], 8)
        await short_jobs(limits, 2)
        limits.hold(90)
        limits.seconds_for(1)
        limits._held_until = 0.0
        async with sending(limits):
            return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == pytest.approx(60, abs=0.1)


def test_slow_answers_take_their_time() -> None:
    async def scenario() -> float:
        limits = Limits([Window(1000, 1)], 2)
        async with limits.slot() as turn:
            turn.sending()
            await asyncio.sleep(4)
            turn.accepted = "attach"
        return limits.seconds_for(100)

    assert run_virtual(scenario()) == 200
