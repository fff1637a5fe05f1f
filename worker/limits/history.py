"""When an account's latest calls ended: a window that is told, and a pace that is guessed, begin with that."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_MOST: Final = 4096
"""Calls that are remembered."""


@dataclass(slots=True)
class History:
    """Seconds of the loop's clock."""

    sent: int = 0
    """Calls in all."""
    taken_at: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST))
    """When those ended that were not refused."""
    _ended_at: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST))

    def ended(self, now: float, *, is_refused: bool) -> None:
        """A call that was sent."""
        self.sent += 1
        self._ended_at.append(now)
        if not is_refused:
            self.taken_at.append(now)

    @property
    def latest_at(self) -> float:
        """When the latest call ended, and something was heard."""
        return self._ended_at[-1] if self._ended_at else float("-inf")

    def taken_since(self, at: float) -> int:
        return sum(1 for taken_at in self.taken_at if taken_at >= at)

    def before(self, until: float) -> Sequence[float]:
        """When calls ended before then, in order; none while all that is remembered is later."""
        return [at for at in self._ended_at if at < until]
