"""Fewer calls at once when the cloud is busy or slow; more again when it is well."""

import asyncio
from collections.abc import Sequence
from math import exp
from random import Random

import pytest

from tests.support.virtual_time import run_virtual
from worker.effort import Effort, spending
from worker.limits import Limits, Window
from worker.limits.concurrency import Concurrency


def after(*latencies: float, most: int = 8, is_busy: bool = False) -> Concurrency:
    concurrency, now = Concurrency(most), 0.0
    for latency in latencies:
        concurrency.answered(now, now + latency, kind="attach", is_busy=is_busy)
        now += latency
    return concurrency


def test_it_begins_with_the_setting() -> None:
    assert Concurrency(8).allowed == 8


def test_a_busy_answer_halves_it_and_never_below_one() -> None:
    assert after(0.03, is_busy=True).allowed == 4
    assert after(*[0.03] * 20, is_busy=True).allowed == 1


def test_calls_that_were_under_way_together_count_as_one() -> None:
    concurrency = Concurrency(8)
    for _ in range(8):
        concurrency.answered(0, 1, kind=None, is_busy=True)
    assert concurrency.allowed == 4


def test_good_answers_bring_it_back_up_to_the_setting() -> None:
    concurrency = after(0.03, is_busy=True)
    for start in range(100):
        concurrency.answered(start, start + 0.03, kind="attach", is_busy=False)
    assert concurrency.allowed == 8


def test_answers_that_become_much_slower_mean_that_calls_queue_up_over_there() -> None:
    assert after(*[0.03] * 50, *[1.0] * 20).allowed < 8


def test_a_cloud_that_is_slow_always_is_not_busy() -> None:
    assert after(*[2.0] * 50).allowed == 8


@pytest.mark.parametrize("slow", [0.3, 3, 10, 100])
def test_one_slow_answer_means_nothing(slow: float) -> None:
    allowed = [after(*[0.03] * 50, slow, *[0.03] * answers).allowed for answers in range(60)]
    assert set(allowed) == {8}


def test_answers_that_come_in_time_again_are_none_of_the_slow_ones() -> None:
    slow = after(*[0.03] * 50, *[1.0] * 16)
    before, ended = slow.allowed, 50 * 0.03 + 16
    assert 1 < before < 8
    for number in range(100):
        began = ended + number * 0.03
        slow.answered(began, began + 0.03, kind="attach", is_busy=False)
        assert slow.allowed >= before
    assert slow.allowed == 8


def test_changes_that_take_longer_than_reads_are_not_slow() -> None:
    concurrency, now = Concurrency(8), 0.0
    for number in range(200):
        kind, latency = ("show", 0.06) if number % 10 == 0 else ("attach", 2.0)
        concurrency.answered(now, now + latency, kind=kind, is_busy=False)
        now += latency
    assert concurrency.allowed == 8


def test_what_was_refused_quickly_makes_nothing_look_slow_or_quick() -> None:
    concurrency, now = Concurrency(8), 0.0
    for number in range(200):
        kind, latency = (None, 0.01) if number % 10 == 0 else ("attach", 2.0)
        concurrency.answered(now, now + latency, kind=kind, is_busy=False)
        now += latency
    assert concurrency.allowed == 8
    assert concurrency.seconds_for(80) == pytest.approx(80 * 2.0 / 8), "as if none had been refused"


def test_a_cloud_that_has_become_slow_for_good_is_usual_after_a_while() -> None:
    assert after(*[0.1] * 50, *[1.0] * 20).allowed < 8
    assert after(*[0.1] * 50, *[1.0] * 40).allowed == 8, "fewer calls at once did not help"


@pytest.mark.parametrize("sigma", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("median", [0.1, 0.3, 1.0])
def test_latencies_that_only_vary_make_nothing_slower(median: float, sigma: float) -> None:
    for seed in range(10):
        chance, concurrency = Random(seed), Concurrency(8)  # noqa: S311 - to be had again
        allowed = []
        for number in range(2000):
            latency = median * exp(chance.gauss(0, sigma))
            concurrency.answered(number, number + latency, kind="attach", is_busy=False)
            allowed.append(concurrency.allowed)
        assert sum(one == 8 for one in allowed) >= 0.98 * len(allowed)


def test_calls_of_which_some_are_always_slow_are_none_of_a_slow_cloud() -> None:
    for part in (0.1, 0.25, 0.5, 0.75, 0.9):
        chance = Random(part)  # noqa: S311 - to be had again
        latencies = [1.0 if chance.random() < part else 0.03 for _ in range(2000)]
        allowed = [after(*latencies[:number]).allowed for number in range(0, 2000, 50)]
        assert sum(one == 8 for one in allowed) >= 0.9 * len(allowed)


def queued(places: Sequence[tuple[int, int]], sigma: float, seed: int) -> Sequence[Sequence[int]]:
    """How many calls were allowed at once, after each of so many calls that a cloud with so many places works off."""

    async def part(limits: Limits, calls: int, free: asyncio.Semaphore, chance: Random) -> Sequence[int]:
        allowed: list[int] = []

        async def call() -> None:
            async with limits.slot() as turn:
                turn.sending()
                async with free:
                    await asyncio.sleep(0.3 * exp(chance.gauss(0, sigma)))
                turn.accepted = "attach"
            allowed.append(limits.usage().allowed)

        with spending(Effort()):
            await asyncio.gather(*(call() for _ in range(calls)))
        return allowed

    async def scenario() -> Sequence[Sequence[int]]:
        limits, chance = Limits([Window(1000, 1)], 8), Random(seed)  # noqa: S311 - to be had again
        return [await part(limits, calls, asyncio.Semaphore(free), chance) for free, calls in places]

    return run_virtual(scenario())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sigma", [0.0, 0.3, 0.5])
def test_where_calls_queue_up_fewer_are_under_way_and_all_again_when_they_do_not(sigma: float, seed: int) -> None:
    well, crowded, well_again = queued([(8, 200), (1, 200), (8, 200)], sigma, seed)
    assert well[-1] == 8
    assert sum(crowded) / len(crowded) < 6
    assert min(crowded) <= 4
    assert set(well_again[-50:]) == {8}


def test_how_long_credentials_took_says_nothing_of_the_cloud() -> None:
    """For forty calls in a row they have to be fetched first."""

    async def call(limits: Limits, fetching: float) -> None:
        async with limits.slot() as turn:
            await asyncio.sleep(fetching)
            turn.sending()
            await asyncio.sleep(0.03)
            turn.accepted = "attach"

    async def scenario() -> float:
        limits = Limits([Window(1000, 1)], 8)
        for number in range(80):
            await call(limits, 0.0 if number < 40 else 5.0)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(call(limits, 0.0) for _ in range(8)))
        return asyncio.get_running_loop().time() - began

    assert run_virtual(scenario()) == pytest.approx(0.03)
