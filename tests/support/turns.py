"""Whether others have their turns of the event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Turns:
    had: int = 0


@asynccontextmanager
async def counted() -> AsyncIterator[Turns]:
    """How many somebody else has had inside the block, so far."""
    turns = Turns()

    async def count() -> None:
        while True:
            turns.had += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    try:
        yield turns
    finally:
        counting.cancel()
