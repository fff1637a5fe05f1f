"""How long to wait before the next try."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays between a message's attempts: `parking` in seconds, the last one repeated."""

    parking: Sequence[float] = (30, 120, 600, 3600)
    attempts: int = 12

    def delay(self, attempt: int) -> float:
        """Seconds to park after the `attempt`th try (counted from 1)."""
        return self.parking[min(attempt, len(self.parking)) - 1]


def step_for(delay: float, steps: Sequence[float]) -> float:
    """The shortest step that is not shorter than `delay`; the longest where none is."""
    ordered = sorted(steps)
    return next((step for step in ordered if step >= delay), ordered[-1])


def step_before(delay: float, steps: Sequence[float]) -> float:
    """The longest step that is not longer than `delay`; the shortest where none is."""
    ordered = sorted(steps)
    return next((step for step in reversed(ordered) if step <= delay), ordered[0])


def jittered(attempt: int, chance: float, *, base: float = 0.5, cap: float = 20.0) -> float:
    """Seconds before the next try of one call: doubles from `base` to `cap`; `chance` in [0, 1) takes up to half."""
    full = min(cap, base * 2.0 ** min(attempt - 1, 16))
    return full * (1 - chance / 2)
