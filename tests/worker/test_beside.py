"""What goes on beside a block ends with it."""

import asyncio

from tests.support.virtual_time import run_virtual
from worker.beside import beside


def test_work_that_swallows_a_cancellation_ends_with_its_block_all_the_same() -> None:
    swallowed: list[int] = []

    async def work() -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed.append(1)

    async def scenario() -> None:
        async with beside(work()):
            await asyncio.sleep(1)

    run_virtual(scenario())
    assert swallowed == [1]
