"""The clock that limits are kept by."""

import asyncio
import time


def now() -> float:
    """Seconds of the running loop's clock, exactly.

    uvloop tells whole milliseconds, rounded down, of the system's monotonic clock: a place would be free too early.
    """
    loop = asyncio.get_running_loop()
    return loop.time() if isinstance(loop, asyncio.BaseEventLoop) else time.monotonic()
