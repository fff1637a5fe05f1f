"""Evenly spread calls for long jobs, so that whoever comes later finds a free place soon."""

from dataclasses import dataclass
from typing import Final

_CATCHING_UP: Final = 0.5
"""Seconds by which a late timer, or a step that had to be waited for, may be made up for."""


@dataclass(slots=True)
class Pace:
    """One call every `interval` seconds. Every call pushes it on; only long jobs wait for it."""

    interval: float
    due_at: float = 0.0

    def is_due(self, now: float) -> bool:
        return now >= self.due_at

    def count(self, now: float) -> None:
        self.due_at = max(self.due_at, now - _CATCHING_UP) + self.interval
