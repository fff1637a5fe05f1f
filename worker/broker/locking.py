"""Locks between processes of one host: a file's, which its holder's death gives back."""

import asyncio
import fcntl
from typing import Final

_LOOK_EVERY: Final = 0.05


def is_taken(lock: int) -> bool:
    """Whether the lock of this open file is ours now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def taken(lock: int) -> None:
    """Returns when it is ours."""
    while not is_taken(lock):  # noqa: ASYNC110 - the lock is another process's
        await asyncio.sleep(_LOOK_EVERY)
