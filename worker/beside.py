"""Work that goes on beside a block, and ends with it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Final

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
