"""The clouds' limits under any arrival order, in virtual time."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.limits.sending import are_free, keeps_to, send, sending
from tests.support.virtual_time import run_virtual
from worker.effort import Effort, spending
from worker.limits import HeldError, KeyedLock, Limits, Window


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
    """What the far end and the caller saw."""

    counted: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    holds: list[tuple[float, float]] = field(default_factory=list)
    turns: list[tuple[bool, int, float]] = field(default_factory=list)
    """Who came in, by urgency and number of arrival."""
    arrived: int = 0
    under_way: int = 0
    peak: int = 0
    finished: int = 0


async def _send(limits: Limits, call: Call, books: Books) -> None:
    await asyncio.sleep(call.arrives)
    books.arrived += 1
    number = books.arrived
    with spending(Effort(urgent=call.urgent)):
        await _sent(limits, call, books, number)


async def _sent(limits: Limits, call: Call, books: Books, number: int) -> None:
    loop = asyncio.get_running_loop()
    async with sending(limits):
        started = loop.time()
        books.starts.append(started)
        books.turns.append((call.urgent, number, started))
        books.under_way += 1
        books.peak = max(books.peak, books.under_way)
        try:
            await asyncio.sleep(call.lasts)
            books.finished += 1
        finally:
            books.under_way -= 1
            books.counted.append(started + (loop.time() - started) * call.counted)


async def _cancel_later(task: asyncio.Task[None], after: float) -> None:
    await asyncio.sleep(after)
    task.cancel()


async def _run(limits: Limits, arrivals: list[Call], holds: list[tuple[float, float]]) -> Books:
    books = Books()

    async def hold(at: float, lasting: float) -> None:
        await asyncio.sleep(at)
        limits.hold(lasting)
        books.holds.append((at, at + lasting))

    tasks = [asyncio.create_task(_send(limits, call, books)) for call in arrivals]
    others = [asyncio.create_task(hold(*one)) for one in holds]
    others += [
        asyncio.create_task(_cancel_later(task, call.arrives + call.gives_up_after))
        for task, call in zip(tasks, arrivals, strict=True)
        if call.gives_up_after is not None
    ]
    await asyncio.gather(*tasks, *others, return_exceptions=True)
    return books


async def _run_to_the_end(
    limits: Limits, concurrency: int, arrivals: list[Call], holds: list[tuple[float, float]]
) -> Books:
    books = await _run(limits, arrivals, holds)
    await asyncio.sleep(limits.held_for + max(window.seconds for window in limits.windows) + 1)
    assert await are_free(limits, min(concurrency, *(window.calls for window in limits.windows))), "all is given back"
    return books


@settings(deadline=None)
@given(
    windows,
    st.integers(1, 4),
    st.lists(calls, max_size=25),
    st.lists(st.tuples(seconds, seconds), max_size=3),
)
def test_no_sliding_window_at_the_far_end_ever_holds_more_than_its_calls(
    limits: list[Window], concurrency: int, arrivals: list[Call], holds: list[tuple[float, float]]
) -> None:
    books = run_virtual(_run_to_the_end(Limits(limits, concurrency), concurrency, arrivals, holds))
    assert all(keeps_to(window, sorted(books.counted)) for window in limits)
    assert books.peak <= concurrency
    assert not [start for start in books.starts for since, until in books.holds if since < start < until]
    assert books.finished >= sum(call.gives_up_after is None for call in arrivals), "nobody starves"
    for urgency in (True, False):
        # Those of one moment may begin in any order.
        starts = [at for is_urgent, _, at in sorted(books.turns) if is_urgent == urgency]
        assert starts == sorted(starts), "first come, first served"


def test_a_waiter_that_gives_up_costs_nothing() -> None:
    async def scenario() -> float:
        limits = Limits([Window(1, 10)], 1)

        async def call() -> None:
            async with sending(limits):
                pass

        await call()
        waiters = [asyncio.create_task(call()) for _ in range(5)]
        await asyncio.sleep(1)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        await call()
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == pytest.approx(10, abs=0.1)


def test_a_turn_that_comes_together_with_the_cancellation_passes_to_the_next() -> None:
    async def scenario() -> float:
        limits = Limits([Window(2, 10)], 1)

        async def call() -> None:
            async with sending(limits):
                pass

        async with sending(limits):
            cancelled, next_in_line = asyncio.create_task(call()), asyncio.create_task(call())
            await asyncio.sleep(0)
        cancelled.cancel()  # its turn has come just now, and it has not heard of it yet
        await asyncio.gather(cancelled, next_in_line, return_exceptions=True)
        assert cancelled.cancelled()
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 0


def test_a_waiter_that_is_cancelled_together_with_a_call_under_way_costs_no_place() -> None:
    """As when the broker is lost: all that is in hand is cancelled in the same moment."""

    async def scenario() -> float:
        limits = Limits([Window(100, 10)], 8)

        async def call() -> None:
            async with sending(limits):
                await asyncio.sleep(1)

        calls = [asyncio.create_task(call()) for _ in range(30)]
        await asyncio.sleep(0.5)
        for one in calls:
            one.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert await are_free(limits, 8)
        await call()
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 1.5


def test_a_burst_uses_the_whole_window_at_once_and_then_waits_for_it() -> None:
    async def scenario() -> list[float]:
        limits, loop = Limits([Window(3, 10)], 8), asyncio.get_running_loop()
        starts = []

        async def call() -> None:
            async with sending(limits):
                starts.append(round(loop.time(), 3))

        await asyncio.gather(*(call() for _ in range(7)))
        return starts

    assert run_virtual(scenario()) == [0, 0, 0, 10, 10, 10, 20]


def test_two_windows_hold_at_once() -> None:
    async def scenario() -> float:
        limits = Limits([Window(60, 60), Window(1000, 3600)], 8)

        async def call() -> None:
            async with sending(limits):
                pass

        await asyncio.gather(*(call() for _ in range(1001)))
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == pytest.approx(3600, abs=0.1)


def test_urgent_calls_pass_before_everything_that_waits() -> None:
    async def scenario() -> list[str]:
        limits, order = Limits([Window(1, 1)], 1), []

        async def call(name: str, *, urgent: bool) -> None:
            with spending(Effort(urgent=urgent)):
                async with sending(limits):
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
        async with sending(limits):
            return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 5


def test_one_key_is_held_by_one_at_a_time_and_then_forgotten() -> None:
    async def scenario() -> tuple[list[str], int]:
        lock, order = KeyedLock(), []

        async def work(key: str, name: str, after: float = 0.0) -> None:
            await asyncio.sleep(after)
            async with lock.hold(key):
                order.append(f"{name} in")
                await asyncio.sleep(1)
                order.append(f"{name} out")

        await asyncio.gather(work("a", "1"), work("a", "2"), work("a", "late", after=1.5), work("b", "other"))
        return order, len(lock)

    order, left = run_virtual(scenario())
    of_one_key = [one for one in order if not one.startswith("other")]
    assert of_one_key == ["1 in", "1 out", "2 in", "2 out", "late in", "late out"]
    assert order.index("other in") < order.index("1 out")
    assert left == 0


def test_a_turn_that_is_not_used_costs_nothing() -> None:
    async def scenario() -> float:
        limits = Limits([Window(1, 10)], 1)
        async with limits.slot():
            pass  # no credentials: nothing was sent
        async with sending(limits):
            return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 0


def test_a_call_after_days_of_silence_is_like_any_other() -> None:
    async def scenario() -> bool:
        limits = Limits([Window(10, 1)], 2)
        for _ in range(3):
            async with limits.slot() as turn:
                turn.sending()
                turn.accepted = "modify"
                await asyncio.sleep(0.1)
            await asyncio.sleep(1_000_000)
        return await are_free(limits, 2)

    assert run_virtual(scenario())


def test_who_was_let_in_just_before_a_hold_of_hours_does_not_wait_for_it_either() -> None:
    async def scenario() -> float:
        limits = Limits([Window(10, 1)], 1)

        async def call() -> None:
            async with sending(limits):
                await asyncio.sleep(1)
            limits.hold(3600)  # the next one has its turn, and has not heard of it yet

        first, second = asyncio.create_task(call()), asyncio.create_task(call())
        await first
        with pytest.raises(HeldError):
            await second
        at = asyncio.get_running_loop().time()
        await asyncio.sleep(3600)
        assert await are_free(limits, 1)
        return at

    assert run_virtual(scenario()) == 1


@given(st.integers(1, 30), windows, st.floats(0, 30))
def test_what_another_may_have_sent_counts_too(calls: int, limits: list[Window], ago: float) -> None:
    """Another filled the windows until just now, as fast as they let it; together they keep to each short one."""

    async def scenario() -> list[float]:
        mine = Limits(limits, 8)
        await asyncio.sleep(ago)
        mine.inherit()
        return await asyncio.gather(*(send(mine) for _ in range(calls)))

    sent = [at - ago for at in run_virtual(scenario())]
    assert all(keeps_to(window, sorted([0.0] * window.calls + sent)) for window in limits)


def test_a_long_window_that_another_may_have_used_is_used_evenly() -> None:
    async def scenario() -> list[float]:
        limits = Limits([Window(60, 60)], 8)
        limits.inherit()
        return await asyncio.gather(*(send(limits) for _ in range(60)))

    sent = sorted(run_virtual(scenario()))
    assert sent[0] >= 1
    assert all(abs(at - number) < 1 for number, at in enumerate(sent, 1))
