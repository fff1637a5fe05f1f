"""Calls under limits, as a gateway's transport makes them."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from worker.effort import Effort, current_effort, spending
from worker.limits import Limits, Window


@asynccontextmanager
async def sending(limits: Limits) -> AsyncGenerator[None]:
    """A turn that is used."""
    async with limits.slot() as turn:
        turn.sending()
        current_effort().calls += 1
        yield


async def send(limits: Limits, latency: float = 0.03) -> float:
    """One call; when it was sent."""
    async with sending(limits):
        sent_at = asyncio.get_running_loop().time()
        await asyncio.sleep(latency)
    return sent_at


async def in_a_row(limits: Limits, calls: int, latency: float = 0.03) -> float:
    """How long a rotation takes that makes its calls one after the other."""
    began = asyncio.get_running_loop().time()
    with spending(Effort()):
        for _ in range(calls):
            await send(limits, latency)
    return asyncio.get_running_loop().time() - began


async def together(limits: Limits, calls: int, latency: float = 0.03) -> Sequence[float]:
    """When the calls of a rotation were sent that makes them all at once."""
    with spending(Effort()):
        return await asyncio.gather(*(send(limits, latency) for _ in range(calls)))


async def are_free(limits: Limits, calls: int) -> bool:
    """Whether so many calls may be under way, from now on; all or none are given back afterwards."""
    async with AsyncExitStack() as turns:
        return all([(await turns.enter_async_context(limits.slot())).waited == 0 for _ in range(calls)])


def keeps_to(window: Window, sent: Sequence[float]) -> bool:
    """Whether no span held more; `sent` in order."""
    return all(later - first >= window.seconds for first, later in zip(sent, sent[window.calls :], strict=False))
