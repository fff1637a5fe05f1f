"""How many calls may be under way: fewer when the cloud is busy or slow, slowly more when it is well again."""

from dataclasses import dataclass, field
from typing import Final

_LESS: Final = 0.5
_SMOOTHING: Final = 0.1
_SLOW: Final = 3.0
"""So many times the usual latency means that calls queue up over there."""
_MOST_OF_ONE: Final = 2.0
"""So many times what is slow, at most, is learned from one answer: a single one, however late, is none of many."""
_NOTICEABLE: Final = 0.2
"""Seconds: what is quicker than this is never called slow. It may be this very process that was."""
_FORGETTING: Final = 60.0
"""Seconds in which the usual latency may double: what lasts becomes usual."""
_MOST_DOUBLINGS: Final = 64.0


@dataclass(slots=True)
class _Latency:
    """Of one kind of call: a change that binds twenty domains takes longer than a read, and is not slow for that."""

    recent: float
    usual: float
    at: float

    def learn(self, latency: float, now: float) -> None:
        self.recent += _SMOOTHING * (min(latency, _MOST_OF_ONE * self.slow) - self.recent)
        # After hours without such a call nothing is usual any more.
        doublings = min((now - self.at) / _FORGETTING, _MOST_DOUBLINGS)
        self.usual = min(self.recent, self.usual * 2.0**doublings)
        self.at = now

    @property
    def slow(self) -> float:
        """What is longer than this is slow."""
        return max(_SLOW * self.usual, _NOTICEABLE)


@dataclass(slots=True)
class Concurrency:
    """Additive increase, multiplicative decrease, between 1 and `most`. Seconds of the loop's clock."""

    most: int
    _allowed: float = field(init=False)
    _cut_at: float = float("-inf")
    _latencies: dict[str, _Latency] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._allowed = float(self.most)

    @property
    def allowed(self) -> int:
        return int(self._allowed)

    def change(self, most: int) -> None:
        """Another bound: where the old one was reached, there is no reason to be slow to use the new one."""
        is_free = self._allowed >= self.most
        self._allowed = float(most) if is_free else min(self._allowed, float(most))
        self.most = most

    def seconds_for(self, calls: int) -> float:
        """How long so many calls take at the usual latency, of whatever kind."""
        usual = [one.usual for one in self._latencies.values()]
        return calls * sum(usual) / len(usual) / self.allowed if usual else 0.0

    def answered(self, began: float, ended: float, *, kind: str | None, is_busy: bool) -> None:
        """Learns from one answer; `kind` None: how long it took tells nothing.

        Calls that were under way at a decrease do not decrease once more.
        """
        if is_busy or (kind is not None and self._is_slow(kind, ended - began, ended)):
            if began >= self._cut_at:
                self._allowed, self._cut_at = max(self._allowed * _LESS, 1.0), ended
        else:
            self._allowed = min(self._allowed + 1 / self._allowed, float(self.most))

    def _is_slow(self, kind: str, latency: float, now: float) -> bool:
        known = self._latencies.get(kind)
        if known is None:
            known = self._latencies[kind] = _Latency(latency, latency, now)
        known.learn(latency, now)
        # Both: one late answer is chance, and one in time says that it is over.
        return min(latency, known.recent) > known.slow
