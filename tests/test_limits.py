"""The clouds' limits under any arrival order, in virtual time."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.virtual_time import run_virtual
from worker.limits import KeyedLock, Limits, Window


@dataclass(frozen=True)
class Call:
    arrives: float
    lasts: float
    counted: float
    """When, between its start (0) and its end (1), the far end counts it."""
    gives_up_after: float | None
    urgent: bool


seconds = st.floats(0, 5, allow_nan=False).map(lambda value: round(value, 3))
calls = st.builds(
    Call,
    arrives=seconds,
    lasts=seconds,
    counted=st.floats(0, 1),
    gives_up_after=st.none() | seconds,
    urgent=st.booleans(),
)
windows = st.lists(
    st.builds(Window, calls=st.integers(1, 5), seconds=st.floats(0.1, 5).map(lambda value: round(value, 2))),
    min_size=1,
    max_size=3,
)


@dataclass
class Books:
    counted: list[float]
    peak: int = 0
    under_way: int = 0
    finished: int = 0


async def _send(limits: Limits, call: Call, books: Books) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(call.arrives)
    async with limits.slot(urgent=call.urgent):
        started = loop.time()
        books.under_way += 1
        books.peak = max(books.peak, books.under_way)
        try:
            books.counted.append(started + call.lasts * call.counted)
            await asyncio.sleep(call.lasts)
            books.finished += 1
        finally:
            if loop.time() < books.counted[-1]:
                books.counted = [at for at in books.counted if at <= loop.time() or at != started]
            books.under_way -= 1


async def _cancel_later(task: asyncio.Task[None], after: float) -> None:
    await asyncio.sleep(after)
    task.cancel()


async def _run(limits: Limits, arrivals: list[Call], holds: list[tuple[float, float]]) -> Books:
    books = Books([])

    async def hold(at: float, lasting: float) -> None:
        await asyncio.sleep(at)
        limits.hold(lasting)

    tasks = [asyncio.create_task(_send(limits, call, books)) for call in arrivals]
    others = [asyncio.create_task(hold(*one)) for one in holds]
    others += [
        asyncio.create_task(_cancel_later(task, call.arrives + call.gives_up_after))
        for task, call in zip(tasks, arrivals, strict=True)
        if call.gives_up_after is not None
    ]
    await asyncio.gather(*tasks, *others, return_exceptions=True)
    return books


@settings(deadline=None)
@given(
    windows,
    st.integers(1, 4),
    st.lists(calls.map(lambda call: Call(call.arrives, call.lasts, call.counted, None, call.urgent)), max_size=25),
    st.lists(st.tuples(seconds, seconds), max_size=3),
)
def test_no_sliding_window_at_the_far_end_ever_holds_more_than_its_calls(
    limits: list[Window], concurrency: int, arrivals: list[Call], holds: list[tuple[float, float]]
) -> None:
    books = run_virtual(_run(Limits(limits, concurrency), arrivals, holds))
    counted = sorted(books.counted)
    for window in limits:
        for first, later in zip(counted, counted[window.calls :], strict=False):
            assert later - first >= window.seconds
    assert books.peak <= concurrency
    assert books.finished == len(arrivals), "nobody starves"


@settings(deadline=None)
@given(windows, st.integers(1, 4), st.lists(calls, max_size=25))
def test_waiters_that_give_up_harm_nobody(limits: list[Window], concurrency: int, arrivals: list[Call]) -> None:
    books = run_virtual(_run(Limits(limits, concurrency), arrivals, []))
    assert books.peak <= concurrency
    assert books.under_way == 0
    assert books.finished >= sum(call.gives_up_after is None for call in arrivals)


def test_a_burst_uses_the_whole_window_at_once_and_then_waits_for_it() -> None:
    async def scenario() -> list[float]:
        limits, loop = Limits([Window(3, 10)], 8), asyncio.get_running_loop()
        starts = []

        async def call() -> None:
            async with limits.slot():
                starts.append(round(loop.time(), 3))

        await asyncio.gather(*(call() for _ in range(7)))
        return starts

    assert run_virtual(scenario()) == [0, 0, 0, 10, 10, 10, 20]


def test_two_windows_hold_at_once() -> None:
    async def scenario() -> float:
        limits = Limits([Window(60, 60), Window(1000, 3600)], 8)

        async def call() -> None:
            async with limits.slot():
                pass

        await asyncio.gather(*(call() for _ in range(1001)))
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == pytest.approx(3600, abs=0.1)


def test_urgent_calls_pass_before_everything_that_waits() -> None:
    async def scenario() -> list[str]:
        limits, order = Limits([Window(1, 1)], 1), []

        async def call(name: str, *, urgent: bool) -> None:
            async with limits.slot(urgent=urgent):
                order.append(name)

        first = asyncio.create_task(call("first", urgent=False))
        await asyncio.sleep(0)
        await asyncio.gather(first, call("second", urgent=False), call("urgent", urgent=True))
        return order

    assert run_virtual(scenario()) == ["first", "urgent", "second"]


def test_a_hold_only_ever_extends() -> None:
    async def scenario() -> float:
        limits = Limits([Window(10, 1)], 1)
        limits.hold(5)
        limits.hold(1)
        async with limits.slot():
            return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 5


def test_one_key_is_held_by_one_at_a_time_and_then_forgotten() -> None:
    async def scenario() -> tuple[list[str], list[str]]:
        lock, order = KeyedLock(), []

        async def work(key: str, name: str) -> None:
            async with lock.hold(key):
                order.append(f"{name} in")
                await asyncio.sleep(1)
                order.append(f"{name} out")

        await asyncio.gather(work("a", "1"), work("a", "2"), work("b", "3"))
        return order, list(lock)

    order, left = run_virtual(scenario())
    assert order == ["1 in", "3 in", "1 out", "2 in", "3 out", "2 out"] or order.index("1 out") < order.index("2 in")
    assert left == []
