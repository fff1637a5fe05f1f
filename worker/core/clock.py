"""Whose clock is wrong where a good message seems to be of the future: this machine's is slow, more likely."""

from datetime import datetime, timedelta
from typing import Final

from worker.core.errors import TransientError

SKEW: Final = timedelta(minutes=5)
"""By so much clocks may differ before anybody minds."""


def is_ahead(written_at: float, now: datetime) -> bool:
    """Whether that is further in the future than clocks may differ. `written_at`: POSIX seconds, however many."""
    return written_at > (now + SKEW).timestamp()


def slow_clock(reason: str, message: str) -> TransientError:
    """Not refused: it passes as soon as the clock is set, and the message has its attempts until then."""
    return TransientError(reason, f"{message}; this machine's clock may be slow")
