"""The collector of cycles, kept from holding up the loop: what lives for long is passed over, and seen once a day."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_PASSAGES: Final = (2_000, 5, 3)
"""New objects after which they are looked through; how often until those of all these passages are; and those of these.

So some 60,000 at a time, a few milliseconds. Python's 700 are a few rotations in hand.
"""
_DAY: Final = 86400.0
_PAUSE: Final = 60.0
_MOST_PAUSES: Final = 60


@contextmanager
def spared() -> Iterator[None]:
    """Inside the block what has survived a whole passage is passed over: it is loaded for good, history, or shown.

    Looking through it again and again took a fifth of a rotation's time, and longer the more there was of it. So what
    holds a key must not end in a cycle: it would be there for a day.
    """
    before = gc.get_threshold()
    gc.callbacks.append(_pass_over)
    try:
        _look_through()
        gc.set_threshold(*_PASSAGES)
        yield
    finally:
        gc.callbacks.remove(_pass_over)
        gc.set_threshold(*before)
        gc.unfreeze()


def _pass_over(phase: str, passage: dict[str, int]) -> None:
    if phase == "stop" and passage["generation"] == len(_PASSAGES) - 1:
        gc.freeze()


def _look_through() -> None:
    gc.collect()
    # Of nothing: Python puts a whole passage off until there is a quarter as much as the last one has left.
    gc.collect()


async def look_through_all(is_idle: Callable[[], bool]) -> None:
    """Once a day, between rotations if there is such a moment: what was passed over may be a cycle that nobody needs.

    A connection that was lost is one. With 10,000 certificates it takes some tenths of a second.
    """
    while True:
        await asyncio.sleep(_DAY)
        for _ in range(_MOST_PAUSES):
            if is_idle():
                break
            await asyncio.sleep(_PAUSE)
        gc.unfreeze()
        _look_through()
