"""How many calls may be under way: fewer when the cloud is busy or slow, slowly more when it is well again."""

from dataclasses import dataclass, field
from typing import Final

_LESS: Final = 0.5
_SMOOTHING: Final = 0.1
_SLOW: Final = 3.0
"""So many times the usual latency means that calls queue up over there."""
_NOTICEABLE: Final = 0.2
"""Seconds: what is quicker than this is never called slow. It may be this very process that was."""
_FORGETTING: Final = 1.002
"""The usual latency may rise by so much a call: what lasts becomes usual."""


@dataclass(slots=True)
class Concurrency:
    """Additive increase, multiplicative decrease, between 1 and `most`. Seconds of the loop's clock."""

    most: int
    _allowed: float = field(init=False)
    _cut_at: float = float("-inf")
    _recent: float | None = None
    _usual: float = float("inf")

    def __post_init__(self) -> None:
        self._allowed = float(self.most)

    @property
    def allowed(self) -> int:
        return int(self._allowed)

    def seconds_for(self, calls: int) -> float:
        """How long so many calls take at the usual latency."""
        return 0.0 if self._recent is None else calls * self._usual / self.allowed

    def answered(self, began: float, ended: float, *, is_busy: bool) -> None:
        """Learns from one answer. Calls that were under way at a decrease do not decrease once more."""
        if is_busy or self._is_slow(ended - began):
            if began >= self._cut_at:
                self._allowed, self._cut_at = max(self._allowed * _LESS, 1.0), ended
        else:
            self._allowed = min(self._allowed + 1 / self._allowed, float(self.most))

    def _is_slow(self, latency: float) -> bool:
        recent = latency if self._recent is None else self._recent + _SMOOTHING * (latency - self._recent)
        self._recent, self._usual = recent, min(recent, self._usual * _FORGETTING)
        return recent > max(_SLOW * self._usual, _NOTICEABLE)
