"""A cloud that tells with each answer how many calls are left: shared fairly, used up, and known to estimates."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.limits.sending import send
from tests.support.virtual_time import run_virtual
from worker.effort import Effort, current_effort, spending
from worker.limits import LONGEST_WAIT, HeldError, Limits, Used, Window

LATENCY = 0.03


@dataclass
class Telling:
    """Counts by fixed windows, and tells what is left of the one that runs, and when it ends, in whole seconds."""

    window: Window
    began: float = 0.0
    counted: int = 0
    over: int = 0
    """Calls that it would have refused."""
    sent_at: list[float] = field(default_factory=list)
    tells_whole: bool = False

    def met(self, now: float) -> tuple[int, float]:
        if now >= self.began + self.window.seconds:
            self.began, self.counted = now, 0
        self.counted += 1
        self.over += self.counted > self.window.calls
        self.sent_at.append(now)
        return max(self.window.calls - self.counted, 0), float(int(self.began + self.window.seconds - now) + 1)

    async def call(self, limits: Limits, latency: float = LATENCY) -> None:
        async with limits.slot() as turn:
            turn.sending()
            current_effort().calls += 1
            await asyncio.sleep(latency / 2)
            turn.left = self.met(asyncio.get_running_loop().time())
            turn.whole = self.window.calls if self.tells_whole else None
            await asyncio.sleep(latency / 2)

    async def together(self, limits: Limits, calls: int) -> None:
        with spending(Effort()):
            await asyncio.gather(*(self.call(limits) for _ in range(calls)))

    async def small(self, limits: Limits, *, urgent: bool = False) -> float:
        """How long the fifteen calls take that ten domains cost where each is attached alone."""
        began = asyncio.get_running_loop().time()
        with spending(Effort(urgent=urgent)):
            for step in (2, 1, 1, 10, 1):
                await asyncio.gather(*(self.call(limits) for _ in range(step)))
        return asyncio.get_running_loop().time() - began


MINUTE, HOUR = Window(60, 60), Window(1000, 3600)
WIDER = [Window(300, 60), Window(5000, 3600)]
ALONE = run_virtual(Telling(MINUTE).small(Limits(WIDER, 8)))


def behind_a_large_one(window: Window, arrives: float, *, urgent: bool = False) -> tuple[float, int]:
    """How long a small rotation takes, and how many calls were sent that were not left."""

    async def scenario() -> tuple[float, int]:
        limits, cloud = Limits(WIDER, 8), Telling(window)
        large = asyncio.create_task(cloud.together(limits, 10_000))
        await asyncio.sleep(arrives)
        took = await cloud.small(limits, urgent=urgent)
        large.cancel()
        await asyncio.gather(large, return_exceptions=True)
        return took, cloud.over

    return run_virtual(scenario())


@pytest.mark.parametrize("urgent", [False, True])
@pytest.mark.parametrize(
    ("window", "arrives"),
    [(MINUTE, 1.7), (MINUTE, 30), (MINUTE, 58.9), (MINUTE, 141), (HOUR, 400), (HOUR, 3599), (HOUR, 5000)],
)
def test_a_small_rotation_behind_a_large_one_is_done_in_twice_its_own_time_and_a_second(
    window: Window, arrives: float, urgent: bool
) -> None:
    took, over = behind_a_large_one(window, arrives, urgent=urgent)
    assert took <= 2 * ALONE + 1
    assert not over


@pytest.mark.parametrize("arrives", [59.5, 59.7, 60, 60.5, 61, 61.3])
def test_just_before_a_window_ends_it_waits_for_the_latest_end_that_was_told(arrives: float) -> None:
    assert behind_a_large_one(MINUTE, arrives)[0] <= 2 * ALONE + 1.5


@pytest.mark.parametrize(
    ("window", "calls", "part"), [(MINUTE, 600, 0.9), (Window(300, 60), 3000, 0.97), (HOUR, 4000, 0.99)]
)
def test_a_large_rotation_alone_uses_nearly_all_that_is_left_and_never_more(
    window: Window, calls: int, part: float
) -> None:
    async def scenario() -> tuple[float, int]:
        limits, cloud = Limits([Window(20, 1)], 8), Telling(window)
        await cloud.together(limits, calls)
        return asyncio.get_running_loop().time(), cloud.over

    took, over = run_virtual(scenario())
    assert took <= calls * window.interval / part
    assert not over


def test_a_large_rotation_has_its_share_while_small_ones_keep_coming() -> None:
    async def coming(limits: Limits, cloud: Telling) -> None:
        while True:
            await cloud.small(limits)

    async def scenario() -> int:
        limits, cloud, mine = Limits(WIDER, 8), Telling(MINUTE), Effort()
        small = [asyncio.create_task(coming(limits, cloud)) for _ in range(5)]
        with spending(mine):
            large = asyncio.create_task(_all(cloud, limits))
        await asyncio.sleep(1200)
        for one in (*small, large):
            one.cancel()
        await asyncio.gather(*small, large, return_exceptions=True)
        return mine.calls

    assert run_virtual(scenario()) >= 0.8 * 1200 / 6


async def _all(cloud: Telling, limits: Limits) -> None:
    await asyncio.gather(*(cloud.call(limits) for _ in range(5000)))


@pytest.mark.parametrize("at", [1, 1200, 3000, 4000])
@pytest.mark.parametrize("window", [MINUTE, HOUR])
def test_a_job_is_told_how_long_what_is_left_makes_it_take(window: Window, at: float) -> None:
    async def scenario() -> tuple[float, float]:
        limits, cloud, total = Limits(WIDER, 8), Telling(window), 4000
        large = asyncio.create_task(cloud.together(limits, total))
        await asyncio.sleep(at)
        with spending(Effort()):
            told, began = limits.seconds_for(total - len(cloud.sent_at)), asyncio.get_running_loop().time()
        await large
        return told, asyncio.get_running_loop().time() - began

    told, took = run_virtual(scenario())
    assert told == pytest.approx(took, rel=0.1, abs=30)


@pytest.mark.parametrize(
    ("window", "ran", "used", "urgent"),
    [(MINUTE, 50, 57, False), (MINUTE, 50, 57, True), (MINUTE, 59, 60, False), (HOUR, 3000, 990, False)],
)
def test_who_comes_shortly_before_a_window_ends_is_told_how_many_the_next_ones_have(
    window: Window, ran: float, used: int, urgent: bool
) -> None:
    async def scenario() -> tuple[float, float]:
        limits, cloud = Limits(WIDER, 8), Telling(window, began=-ran, counted=used, tells_whole=True)
        with spending(Effort(urgent=urgent)):
            await cloud.call(limits)
            told, began = limits.seconds_for(2 * window.calls), asyncio.get_running_loop().time()
            await asyncio.gather(*(cloud.call(limits) for _ in range(2 * window.calls)))
        return told, asyncio.get_running_loop().time() - began

    told, took = run_virtual(scenario())
    assert told == pytest.approx(took, rel=0.1, abs=5)


async def emptied(seconds: float) -> Limits:
    """Others have used up all, for so long."""
    limits = Limits(WIDER, 8)
    async with limits.slot() as turn:
        turn.sending()
        turn.left = (0, seconds)
    return limits


def test_an_account_that_is_used_up_is_told_as_held() -> None:
    async def scenario() -> tuple[float, float]:
        limits = await emptied(40)
        return limits.held_for, limits.seconds_for(3)

    assert run_virtual(scenario()) == (40, 40)


@pytest.mark.parametrize("at", [0, 15, 29.8])
@pytest.mark.parametrize("resets", [10, 29.5, 30, 30.5, 45])
def test_while_it_is_held_the_windows_that_follow_are_known_also_where_the_hold_outlasts_this_one(
    resets: float, at: float
) -> None:
    async def scenario() -> tuple[float, float]:
        limits, cloud = Limits([], 8), Telling(MINUTE, began=resets - 60, counted=50, tells_whole=True)
        with spending(Effort()):
            for _ in range(10):
                await cloud.call(limits)
            limits.hold(30)
            await asyncio.sleep(at)
            told, began = limits.seconds_for(200), asyncio.get_running_loop().time()
            await asyncio.gather(*(cloud.call(limits) for _ in range(200)))
        return told, asyncio.get_running_loop().time() - began

    told, took = run_virtual(scenario())
    assert told == pytest.approx(took, rel=0.1)


@pytest.mark.parametrize(("window", "seconds"), [(MINUTE, 60.0), (HOUR, 3600.0)])
@pytest.mark.parametrize("tells_whole", [False, True])
def test_whoever_looks_on_is_told_what_is_left_while_that_holds(
    window: Window, seconds: float, tells_whole: bool
) -> None:
    """Of what the window has, or had when it was told first."""

    async def scenario() -> tuple[Sequence[Used], Sequence[Used]]:
        limits, cloud = Limits(WIDER, 8), Telling(window, tells_whole=tells_whole)
        for _ in range(7):
            await cloud.call(limits)
        used = limits.usage().windows
        await asyncio.sleep(seconds + 1)
        return used, limits.usage().windows

    used, later = run_virtual(scenario())
    assert used[2:] == [
        Used(seconds, window.calls, 7, "told") if tells_whole else Used(seconds, window.calls - 1, 6, "told")
    ]
    assert [one.source for one in later] == ["window"] * 2


def test_who_waits_for_what_is_used_up_for_very_long_is_told_so_instead() -> None:
    async def scenario() -> list[float]:
        limits = Limits(WIDER, 1)
        first = await limits.slot().__aenter__()
        waiting = asyncio.create_task(limits.enter())
        await asyncio.sleep(0)
        first.sending()
        first.left = (0, LONGEST_WAIT + 300)
        limits.leave(first)
        later = asyncio.create_task(limits.enter())
        found = await asyncio.gather(waiting, later, return_exceptions=True)
        return [one.seconds for one in found if isinstance(one, HeldError)]

    assert run_virtual(scenario()) == [LONGEST_WAIT + 300] * 2


def test_who_waits_is_told_so_too_where_the_last_call_that_was_left_told_nothing() -> None:
    async def scenario() -> list[tuple[float, float]]:
        limits = Limits(WIDER, 1)
        async with limits.slot() as turn:
            turn.sending()
            turn.left = (1, LONGEST_WAIT + 300)
        last = await limits.slot().__aenter__()
        waiting = asyncio.create_task(limits.enter())
        await asyncio.sleep(5)
        last.sending()
        limits.leave(last)
        with pytest.raises(HeldError) as told:
            await waiting
        return [(asyncio.get_running_loop().time(), told.value.seconds)]

    assert run_virtual(scenario()) == [(5, LONGEST_WAIT + 295)]


def test_who_becomes_urgent_while_it_waits_alone_uses_at_once_what_was_kept_from_it() -> None:
    async def scenario() -> list[float]:
        limits, mine = Limits(WIDER, 8), Effort()
        for left in (60, 22):  # of that a long job uses nothing until the end
            async with limits.slot() as turn:
                turn.sending()
                turn.left = (left, 3000)
        mine.calls = 16
        with spending(mine):
            calls = [asyncio.create_task(send(limits)) for _ in range(10)]
        await asyncio.sleep(600)
        mine.hasten()
        return await asyncio.gather(*calls)

    sent = run_virtual(scenario())
    assert sent[0] == 600
    assert max(sent) < 601


@settings(deadline=None, max_examples=40)
@given(
    st.builds(Window, calls=st.integers(8, 60), seconds=st.sampled_from([1.0, 10.0, 60.0, 300.0, 3600.0])),
    st.integers(1, 8),
    st.lists(
        st.tuples(st.floats(0, 400), st.integers(1, 60), st.booleans(), st.none() | st.floats(0, 30)),
        min_size=1,
        max_size=10,
    ),
)
def test_whoever_comes_goes_or_is_cancelled_no_call_is_sent_that_is_not_left(
    window: Window, concurrency: int, arrivals: Sequence[tuple[float, int, bool, float | None]]
) -> None:
    async def rotate(limits: Limits, cloud: Telling, calls: int, *, urgent: bool) -> None:
        with spending(Effort(urgent=urgent)):
            await asyncio.gather(*(cloud.call(limits) for _ in range(calls)))

    async def arriving(limits: Limits, cloud: Telling, arrival: tuple[float, int, bool, float | None]) -> None:
        at, calls, urgent, leaves = arrival
        await asyncio.sleep(at)
        async with asyncio.timeout(leaves):
            await rotate(limits, cloud, calls, urgent=urgent)

    async def scenario() -> int:
        limits, cloud = Limits([Window(20, 1)], concurrency), Telling(window)
        async with limits.slot() as turn:
            turn.sending()
            turn.left = cloud.met(asyncio.get_running_loop().time())
        await asyncio.gather(*(arriving(limits, cloud, one) for one in arrivals), return_exceptions=True)
        return cloud.over

    assert not run_virtual(scenario())
