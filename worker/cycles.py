"""The collector of cycles, kept from holding up the loop: what lives for long is passed over, and seen once a day."""

import asyncio
import gc
from collections.abc import Callable
from typing import Final

_PASSAGES: Final = (2_000, 5, 3)
"""New objects after which they are looked through; how often until those of all these passages are; and those of these.

So at most 30,000 at a time, a few milliseconds each. Python's 700 are a few rotations in hand.
"""
_DAY: Final = 86400.0
_PAUSE: Final = 60.0
_MOST_PAUSES: Final = 60


def spare_the_collector() -> None:
    """What is loaded by now stays for good: looking through it again and again took a fifth of a rotation's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_PASSAGES)
    if _pass_over not in gc.callbacks:
        gc.callbacks.append(_pass_over)


def _pass_over(phase: str, passage: dict[str, int]) -> None:
    """What has survived a whole passage is history, or is shown: with it each would take longer than the last."""
    if phase == "stop" and passage["generation"] == len(_PASSAGES) - 1:
        gc.freeze()


async def look_through_all(is_idle: Callable[[], bool]) -> None:
    """Once a day, between rotations if there is such a moment: what was passed over may be a cycle that nobody needs.

    A connection that was lost is one. With 10,000 certificates it takes half a second.
    """
    while True:
        await asyncio.sleep(_DAY)
        for _ in range(_MOST_PAUSES):
            if is_idle():
                break
            await asyncio.sleep(_PAUSE)
        gc.unfreeze()
        gc.collect()
