"""Work that goes on beside a block, and ends with it; and a step that ends with something beside it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from typing import Final, TypeVar

T = TypeVar("T")

_PATIENCE: Final = 1.0


@asynccontextmanager
async def beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Goes on inside the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        # A step that is cancelled may end with an error of its own, which is suppressed: then it goes on.
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_PATIENCE)
        await asyncio.gather(task, return_exceptions=True)


async def unless(told: asyncio.Event, step: Awaitable[T]) -> T:
    """The step's result. Raises TimeoutError when told meanwhile: a silent broker takes its time."""
    async with asyncio.timeout(None) as patience:
        waiting = asyncio.create_task(_ends(told, patience))
        try:
            return await step
        finally:
            waiting.cancel()


async def _ends(told: asyncio.Event, patience: asyncio.Timeout) -> None:
    await told.wait()
    patience.reschedule(asyncio.get_running_loop().time())
