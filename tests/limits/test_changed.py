"""Limits that are set otherwise while calls are under way: what was sent counts on. In virtual time."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.limits.sending import are_free, keeps_to, send, together
from tests.support.virtual_time import run_virtual
from worker.limits import Limits, Window


async def sent_around(limits: Limits, windows: Sequence[Window], before: int, after: int) -> list[float]:
    """When calls were sent, before and after others were set; they are changed once the first ones have ended."""
    sent = list(await together(limits, before))
    limits.change(windows, 100)
    return sorted([*sent, *await together(limits, after)])


def test_a_smaller_window_holds_at_once_with_what_was_sent_before() -> None:
    smaller = Window(5, 10)
    sent = run_virtual(sent_around(Limits([Window(20, 10)], 100), [smaller], 10, 10))
    assert keeps_to(smaller, sent[5:])
    assert sent[10] >= 10


def test_a_larger_window_lets_in_who_waits_already() -> None:
    async def scenario() -> Sequence[float]:
        limits = Limits([Window(2, 60)], 100)
        waiting = asyncio.gather(*(send(limits) for _ in range(4)))
        await asyncio.sleep(5)
        limits.change([Window(4, 60)], 100)
        return await waiting

    assert max(run_virtual(scenario())) < 6


def test_a_window_of_another_span_knows_what_was_sent_before_it() -> None:
    other = Window(10, 30)
    sent = run_virtual(sent_around(Limits([Window(20, 10)], 100), [other], 10, 5))
    assert keeps_to(other, sent)


def test_a_longer_window_knows_that_nothing_was_sent_for_days() -> None:
    async def scenario() -> float:
        limits = Limits([Window(20, 1), Window(3000, 300)], 8)
        await together(limits, 10_000)
        await asyncio.sleep(1_000_000)
        changed_at = asyncio.get_running_loop().time()
        limits.change([Window(20, 1), Window(5000, 3600)], 8)
        return await send(limits) - changed_at

    assert run_virtual(scenario()) == 0


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.builds(Window, calls=st.integers(2, 40), seconds=st.sampled_from([1.0, 10.0, 60.0])), max_size=2),
    st.lists(st.tuples(st.integers(1, 30), st.floats(0, 200)), min_size=1, max_size=8),
    st.integers(5, 60),
)
def test_a_longer_window_is_kept_to_with_all_that_was_sent_before_it(
    windows: Sequence[Window], jobs: Sequence[tuple[int, float]], calls: int
) -> None:
    longer = Window(calls, 600)

    async def scenario() -> list[float]:
        limits, sent = Limits(windows, 8), list[float]()
        for count, idle in jobs:
            sent += await together(limits, count)
            await asyncio.sleep(idle)
        before = len(sent)
        limits.change([*windows, longer], 8)
        sent += await together(limits, 20)
        return sorted(sent)[max(before - calls, 0) :]

    assert keeps_to(longer, run_virtual(scenario()))


def test_a_window_that_is_not_set_any_more_does_not_hold() -> None:
    sent = run_virtual(sent_around(Limits([Window(100, 1), Window(10, 600)], 100), [Window(100, 1)], 10, 10))
    assert max(sent) < 2


def test_what_the_cloud_has_told_still_holds() -> None:
    async def scenario() -> list[Window]:
        limits = Limits([Window(20, 10)], 100)
        limits.learn(Window(5, 10))
        limits.learn(Window(50, 60))
        limits.change([Window(40, 10)], 100)
        return list(limits.windows)

    assert set(run_virtual(scenario())) == {Window(5, 10), Window(50, 60)}


def test_more_calls_may_be_under_way_or_fewer() -> None:
    async def scenario() -> list[bool]:
        limits = Limits([Window(1000, 1)], 2)
        limits.change([Window(1000, 1)], 5)
        five = await are_free(limits, 5)
        limits.change([Window(1000, 1)], 1)
        async with asyncio.timeout(1):
            one = await are_free(limits, 1)
        try:
            async with asyncio.timeout(1):
                return [five, one, await are_free(limits, 2)]
        except TimeoutError:
            return [five, one, False]

    assert run_virtual(scenario()) == [True, True, False]


def test_a_hold_outlasts_a_change() -> None:
    async def scenario() -> float:
        limits = Limits([Window(10, 1)], 10)
        limits.hold(30)
        limits.change([Window(20, 1)], 10)
        return await send(limits)

    assert run_virtual(scenario()) >= 30
