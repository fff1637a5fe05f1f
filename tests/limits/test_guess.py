"""A pace that is guessed from refusals: kept to by every call, tightened and loosened. In virtual time."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.limits.sending import in_a_row, keeps_to, send, sending, together
from tests.support.virtual_time import run_virtual
from worker.effort import Effort, spending
from worker.limits import Limits, Used, Window

LATE = 0.02
"""Seconds by which a call may come sooner because the one before was late."""


async def guessing(calls: int, hold: float, concurrency: int = 8) -> tuple[Limits, Window]:
    """So many calls were taken at once, and the next one is refused."""
    limits = Limits([Window(100, 1)], concurrency)
    await together(limits, calls, latency=0.0)
    limits.hold(hold)
    guessed = limits.guess(hold)
    assert guessed is not None
    return limits, guessed


def test_it_is_a_little_less_than_what_was_taken_until_calls_may_be_taken_again() -> None:
    _, guessed = run_virtual(guessing(20, 10))
    assert guessed.calls == 20
    assert 10 < guessed.seconds <= 10 / 0.9


def test_calls_that_are_refused_before_any_was_taken_make_its_span_longer_and_not_its_calls_fewer() -> None:
    async def scenario() -> list[Window | None]:
        limits, first = await guessing(20, 1)
        found: list[Window | None] = [first]
        for hold in (2.0, 4.0, 8.0):
            await asyncio.sleep(hold / 2)
            limits.hold(hold)
            found.append(limits.guess(hold))
        return found

    assert [one and (one.calls, round(one.seconds * 0.95)) for one in run_virtual(scenario())] == [
        (20, 1), (20, 3), (20, 7), (20, 15),
    ]  # fmt: skip


def test_what_was_sent_slowly_before_is_no_reason_to_be_slower() -> None:
    async def scenario() -> Window | None:
        limits = Limits([Window(100, 1)], 8)
        await send(limits)
        await asyncio.sleep(300)
        await together(limits, 20, latency=0.0)
        return limits.guess(10)

    guessed = run_virtual(scenario())
    assert guessed is not None
    assert guessed.calls == 20


@pytest.mark.parametrize("urgent", [False, True])
def test_short_jobs_keep_to_it_too_and_urgent_ones(urgent: bool) -> None:
    async def scenario() -> tuple[Sequence[float], Window]:
        limits, guessed = await guessing(20, 10)
        with spending(Effort(urgent=urgent)):
            return sorted(await asyncio.gather(*(send(limits) for _ in range(10)))), guessed

    sent, guessed = run_virtual(scenario())
    assert keeps_to(Window(1, guessed.interval - LATE - 1e-6), sent)
    assert sent[-1] - sent[0] == pytest.approx(9 * guessed.interval, abs=LATE + 1e-6)


async def paces(limits: Limits, seconds: float) -> list[float]:
    """How long it takes to send a few calls, again and again for so long."""
    loop, found = asyncio.get_running_loop(), list[float]()
    until = loop.time() + seconds
    while loop.time() < until:
        found.append(await in_a_row(limits, 10, latency=0.0) / 10)
    return found


def test_it_is_loosened_slowly_while_calls_at_its_full_pace_are_taken_and_in_the_end_forgotten() -> None:
    async def scenario() -> tuple[list[float], list[float]]:
        limits, guessed = await guessing(20, 10)
        await asyncio.sleep(10)
        found = [one / guessed.interval for one in await paces(limits, 150)]
        await paces(limits, 90)
        return found, await paces(limits, 1)

    found, last = run_virtual(scenario())
    assert min(found[:2]) > 0.85
    assert found[-1] < 0.2
    assert all(later > 0.7 * one for one, later in itertools.pairwise(found))
    assert max(last) < 0.03, "only what is set holds"


def test_it_is_not_loosened_while_it_is_not_used() -> None:
    async def scenario() -> float:
        limits, guessed = await guessing(20, 10)
        await asyncio.sleep(1000)
        for _ in range(20):
            await send(limits)
            await asyncio.sleep(30)
        return await in_a_row(limits, 10, latency=0.0) / 10 / guessed.interval

    assert run_virtual(scenario()) > 0.85


def test_it_is_loosened_too_where_only_small_rotations_run_an_hour_apart() -> None:
    async def scenario() -> tuple[list[float], list[float]]:
        limits, guessed = await guessing(20, 60)
        await asyncio.sleep(61)
        took, paces = list[float](), list[float]()
        for _ in range(60):
            took.append(await in_a_row(limits, 15))
            paces.append(guessed.interval if limits._guess.window is None else limits._guess.window.interval)
            await asyncio.sleep(3600)
        return took, [later / one for one, later in itertools.pairwise([guessed.interval, *paces])]

    took, steps = run_virtual(scenario())
    assert took[0] == pytest.approx(14 * 60 / 20 / 0.95, abs=1), "its first call finds the account idle"
    assert took[-1] < 2
    assert min(steps) > 0.65, "step by step"


def test_refused_again_it_is_tightened_by_no_more_than_half_and_then_loosened_more_slowly() -> None:
    async def scenario() -> tuple[list[float], float, float]:
        limits, first = await guessing(20, 10)
        await asyncio.sleep(10)
        await paces(limits, 8)
        found = [first.interval]
        for _ in range(5):
            again = limits.guess(1)
            assert again is not None
            found.append(again.interval)
            await asyncio.sleep(50)
            await send(limits, latency=0.0)
        before = found[-1]
        took = await paces(limits, 300)
        return found, before, took[-1]

    found, before, after = run_virtual(scenario())
    assert all(1.1 < later / one <= 2.01 for one, later in itertools.pairwise(found))
    assert before * 0.8 < after < before


def test_a_guess_is_part_of_the_estimate() -> None:
    async def scenario() -> tuple[float, float]:
        limits, _ = await guessing(20, 10)
        told, began = limits.seconds_for(100), asyncio.get_running_loop().time()
        await together(limits, 100)
        return told, asyncio.get_running_loop().time() - began

    told, took = run_virtual(scenario())
    assert 0.7 * told <= took <= 1.02 * told, "it is loosened meanwhile"


@pytest.mark.parametrize(("hold", "shown"), [(60, (60.0, 19)), (600, (3600.0, 114))])
def test_whoever_looks_on_is_told_what_is_guessed(hold: float, shown: tuple[float, int]) -> None:
    async def scenario() -> Sequence[Used]:
        limits, _ = await guessing(20, hold)
        await asyncio.sleep(3601)
        await in_a_row(limits, 3)
        return limits.usage().windows

    window, guessed = run_virtual(scenario())
    assert window.source == "window"
    assert guessed == Used(*shown, 3, "guessed")


def test_what_is_not_guessed_any_more_is_not_shown() -> None:
    async def scenario() -> Sequence[Used]:
        limits, _ = await guessing(20, 1)
        limits.learn(Window(5, 60))
        return limits.usage().windows

    assert [one.source for one in run_virtual(scenario())] == ["window", "window"]


@pytest.mark.parametrize("part", [0.0, 0.5, 1.1, 1.9])
def test_a_turn_that_is_not_used_makes_those_behind_it_no_faster_than_the_pace(part: float) -> None:
    async def scenario() -> list[float]:
        limits, guessed = await guessing(10, 10)
        await asyncio.sleep(15)

        async def unused() -> None:
            async with limits.slot():
                await asyncio.sleep(part * guessed.interval)

        waiting = asyncio.create_task(unused())
        await asyncio.sleep(0)
        sent = sorted(await together(limits, 4))
        await waiting
        return [(later - one) / guessed.interval for one, later in itertools.pairwise(sent)]

    assert min(run_virtual(scenario())) > 0.95


@settings(deadline=None, max_examples=50)
@given(
    st.integers(5, 30),
    st.floats(0.1, 60),
    st.integers(1, 8),
    st.lists(
        st.tuples(st.floats(0, 60), st.floats(0, 3), st.none() | st.floats(0, 20), st.booleans()),
        min_size=1,
        max_size=25,
    ),
)
def test_whoever_comes_goes_or_is_cancelled_no_span_holds_more_than_is_guessed(
    taken: int, hold: float, concurrency: int, arrivals: list[tuple[float, float, float | None, bool]]
) -> None:
    async def call(limits: Limits, sent: list[float], arrives: float, latency: float, *, is_used: bool) -> None:
        await asyncio.sleep(arrives)
        if not is_used:
            async with limits.slot():
                await asyncio.sleep(latency)
            return
        async with sending(limits):
            sent.append(asyncio.get_running_loop().time())
            await asyncio.sleep(latency)

    async def cancelled(task: asyncio.Task[None], after: float) -> None:
        await asyncio.sleep(after)
        task.cancel()

    async def scenario() -> tuple[list[float], Window]:
        limits, guessed = await guessing(taken, hold, concurrency)
        sent: list[float] = []
        limits._guess._at_pace = -1000  # it stays as it is
        tasks = [asyncio.create_task(call(limits, sent, at, lasts, is_used=used)) for at, lasts, _, used in arrivals]
        leaving = [
            asyncio.create_task(cancelled(task, at + after))
            for task, (at, _, after, _) in zip(tasks, arrivals, strict=True)
            if after is not None
        ]
        await asyncio.gather(*tasks, *leaving, return_exceptions=True)
        return sorted(sent), guessed

    sent, guessed = run_virtual(scenario())
    assert keeps_to(Window(guessed.calls, guessed.seconds * 0.95), sent)
    assert keeps_to(Window(1, max(guessed.interval - LATE, guessed.interval / 2) - 1e-6), sent)
