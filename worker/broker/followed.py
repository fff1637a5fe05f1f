"""What is told in the embedded engine's file, as it comes."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Final

from worker.broker.base import Batch
from worker.broker.statements import FROM_THERE, HIGHEST

_TOGETHER: Final = 10
"""Events read in one go: each may name a thousand failures."""
_EVERY: Final = 0.5
Read = Callable[[str, Sequence[object]], Awaitable[Sequence[dict[str, Any]]]]


async def followed(read: Read, opened: Callable[[], object], after: int | None) -> AsyncGenerator[Batch]:
    """For ever. What `opened` tells is another thing once a file was opened anew: there the numbers begin anew."""
    after = await _known(read, after)
    known = opened()
    while True:
        rows = await read(FROM_THERE, (after or 0, _TOGETHER))
        if opened() is not known:
            known, after = opened(), None
            continue
        after = rows[-1]["number"] if rows else after
        yield Batch(after, [json.loads(row["body"]) for row in rows])
        await asyncio.sleep(0 if rows else _EVERY)


async def _known(read: Read, after: int | None) -> int | None:
    """None where it is no place in this file."""
    highest = await read(HIGHEST, ())
    return after if after is not None and highest and highest[0]["seq"] >= after else None
