"""Two workers on one account, one after the other: what the first has used counts for the second."""

import asyncio

from tests.limits.sending import send
from tests.support.virtual_time import run_virtual
from worker.limits import Limits, Window

SHORT = Window(calls=5, seconds=1.0)
LONG = Window(calls=100, seconds=60.0)


def test_a_worker_that_takes_over_keeps_to_what_the_one_before_it_has_left() -> None:
    async def both() -> list[float]:
        first, second = (Limits([SHORT, LONG], concurrency=10) for _ in range(2))
        before = await asyncio.gather(*(send(first) for _ in range(5)))
        second.taken_over()
        after = await asyncio.gather(*(send(second) for _ in range(5)))
        return sorted([*before, *after])

    times = run_virtual(both())
    assert all(later - earlier >= SHORT.seconds for earlier, later in zip(times, times[SHORT.calls :], strict=False))


def test_a_long_window_is_not_waited_for_by_a_worker_that_takes_over() -> None:
    async def alone() -> float:
        limits = Limits([LONG], concurrency=10)
        limits.taken_over()
        return await send(limits)

    assert run_virtual(alone()) == 0.0
