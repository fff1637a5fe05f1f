"""How many calls may be under way: fewer when the cloud is busy or slow, slowly more when it is well again."""

from dataclasses import dataclass, field
from typing import Final

_LESS: Final = 0.5
_SAMPLE: Final = 16
"""Answers of one kind that are judged together: latencies vary, and single ones tell nothing."""
_SLOW: Final = 2.0
"""Three of four answers took so many times as long as half of them usually do: calls queue up over there."""
_NOTICEABLE: Final = 0.2
"""Seconds: what is quicker than this is never called slow. It may be this very process that was."""
_HELPS: Final = 0.8
"""Fewer calls at once were of use where answers came in less than such a part of the time. Half is to be expected."""
_DOWN: Final = 0.25
_UP: Final = 0.1
"""By such a part of the difference the usual latency follows a sample that was quicker, or that was slower."""
_FORGETTING: Final = 600.0
"""Seconds without such a call, after which nothing is usual any more."""
_SMOOTHING: Final = 0.1
_MOST_OF_ONE: Final = 4.0
"""So many times the mean, at most, one answer counts in it."""


@dataclass(slots=True)
class _Latency:
    """Of one kind of call: a change that binds twenty domains takes longer than a read, and is not slow for that."""

    mean: float
    usual: float | None = None
    """The median of a sample. None while there was none."""
    _at: float = 0.0
    _sample: list[float] = field(default_factory=list)

    def met(self, latency: float, now: float) -> None:
        most = max(_MOST_OF_ONE * self.mean, _NOTICEABLE)
        self.mean += _SMOOTHING * (min(latency, most) - self.mean)
        if now - self._at > _FORGETTING:
            self.usual = None
            self._sample.clear()
        self._at = now

    def sampled(self, latency: float) -> tuple[float, float] | None:
        """The lower quartile and the median of a sample, where this answer completes it."""
        self._sample.append(latency)
        if len(self._sample) < _SAMPLE:
            return None
        in_order = sorted(self._sample)
        self._sample.clear()
        return in_order[_SAMPLE // 4], in_order[_SAMPLE // 2]

    def is_slow(self, quartile: float) -> bool:
        return self.usual is not None and quartile > max(_SLOW * self.usual, _NOTICEABLE)

    def learn(self, median: float) -> None:
        usual = median if self.usual is None else self.usual
        self.usual = usual + (_DOWN if median < usual else _UP) * (median - usual)


@dataclass(frozen=True, slots=True)
class _Trial:
    """Whether fewer calls at once make answers of this kind come sooner."""

    kind: str
    median: float
    """With as many as before."""
    allowed: float
    """Before."""


@dataclass(slots=True)
class Concurrency:
    """Additive increase, multiplicative decrease, between 1 and `most`. Seconds of the loop's clock."""

    most: int
    _allowed: float = field(init=False)
    _cut_at: float = float("-inf")
    _latencies: dict[str, _Latency] = field(default_factory=dict)
    _trial: _Trial | None = None

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
        """How long so many calls take at the mean latency, of whatever kind."""
        means = [one.mean for one in self._latencies.values()]
        return calls * sum(means) / len(means) / self.allowed if means else 0.0

    def answered(self, began: float, ended: float, *, kind: str | None, is_busy: bool) -> None:
        """Learns from one answer; `kind` None: how long it took tells nothing.

        Calls that were under way at a decrease do not decrease once more.
        """
        if is_busy:
            if began >= self._cut_at:
                self._cut(ended)
            return
        if self._trial is None or self._trial.kind != kind:
            self._allowed = min(self._allowed + 1 / self._allowed, float(self.most))
        if kind is not None:
            self._learn(kind, began, ended)

    def _cut(self, now: float) -> None:
        self._allowed, self._cut_at, self._trial = max(self._allowed * _LESS, 1.0), now, None

    def _learn(self, kind: str, began: float, ended: float) -> None:
        latency = ended - began
        known = self._latencies.get(kind)
        if known is None:
            known = self._latencies[kind] = _Latency(latency, _at=ended)
        known.met(latency, ended)
        # How long those took that were under way at a decrease is no sign of what it changed.
        sample = known.sampled(latency) if began >= self._cut_at else None
        if sample is not None:
            self._judge(kind, known, *sample, ended)

    def _judge(self, kind: str, known: _Latency, quartile: float, median: float, now: float) -> None:
        """Decreases where a whole sample is slow, and takes that back where it was of no use: it is usual then."""
        trial = self._trial if self._trial is not None and self._trial.kind == kind else None
        if trial is not None:
            self._trial = None
        if trial is not None and median > _HELPS * trial.median:
            self._allowed, known.usual = min(trial.allowed, float(self.most)), median
        elif known.is_slow(quartile):
            before = self._allowed
            self._cut(now)
            self._trial = _Trial(kind, median, before)
        else:
            known.learn(median)
