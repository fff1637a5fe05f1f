"""Work on thousands of rows that leaves the loop to others every few hundred."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")
U = TypeVar("U")
PART: Final = 500


async def in_parts(rows: Sequence[T], made: Callable[[Sequence[T]], Iterable[U]]) -> list[U]:
    """What is `made` of all rows, part by part."""
    of_all: list[U] = []
    for start in range(0, len(rows), PART):
        if start:
            await asyncio.sleep(0)
        of_all += made(rows[start : start + PART])
    return of_all


async def give_way(rows: int) -> None:
    """Before so many are looked at. Few are not worth a round of the loop."""
    if rows > PART:
        await asyncio.sleep(0)
