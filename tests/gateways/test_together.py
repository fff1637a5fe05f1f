"""Work done at the same time, and how it ends."""

import asyncio

import pytest

from tests.support.virtual_time import run_virtual
from worker.gateways.together import together


async def fails_after(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    raise ValueError(turns)


async def lasts(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


def test_results_come_in_order() -> None:
    assert run_virtual(together(lasts(seconds) for seconds in (3, 1, 2))) == [3, 1, 2]
    assert run_virtual(together([])) == []


def test_the_first_error_cancels_the_others_and_is_raised_as_it_is() -> None:
    async def scenario() -> float:
        with pytest.raises(ValueError, match="5"):
            await together([lasts(100), fails_after(5), fails_after(9)])
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 0


def test_a_cancellation_is_never_lost_to_an_error_that_comes_with_it() -> None:
    async def scenario() -> list[bool]:
        lost = []
        for turns in range(1, 6):
            for cancelled_after in range(1, 10):
                task = asyncio.create_task(together([fails_after(turns), lasts(100)]))
                for _ in range(cancelled_after):
                    await asyncio.sleep(0)
                if task.cancel():
                    await asyncio.wait([task])
                    lost.append(not task.cancelled())
        return lost

    lost = run_virtual(scenario())
    assert lost
    assert not any(lost)


def test_a_timeout_after_an_error_is_still_a_timeout() -> None:
    async def scenario() -> None:
        async with asyncio.timeout(10):
            with pytest.raises(ValueError, match="3"):
                await together([fails_after(3), lasts(1)])
            await asyncio.sleep(100)

    with pytest.raises(TimeoutError):
        run_virtual(scenario())


def test_thousands_that_are_cancelled_while_they_start_are_all_ended() -> None:
    began = list[int]()

    async def one(number: int) -> None:
        began.append(number)
        await asyncio.sleep(100)

    async def scenario() -> int:
        task = asyncio.create_task(together(one(number) for number in range(3000)))
        while not began:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return len(asyncio.all_tasks())

    assert run_virtual(scenario()) == 1
    assert len(began) < 3000, "they are not started all at once"
