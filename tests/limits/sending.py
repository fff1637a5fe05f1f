"""Calls under limits, as a gateway's transport makes them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from worker.effort import current_effort
from worker.limits import Limits


@asynccontextmanager
async def sending(limits: Limits) -> AsyncGenerator[None]:
    """A turn that is used."""
    async with limits.slot() as turn:
        turn.is_sent = True
        current_effort().calls += 1
        yield


async def send(limits: Limits, latency: float = 0.03) -> float:
    """One call; when it was sent."""
    async with sending(limits):
        sent_at = asyncio.get_running_loop().time()
        await asyncio.sleep(latency)
    return sent_at
