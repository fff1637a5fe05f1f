"""Outcomes counted by minute, hour and day: as many buckets as a plot shows, however many outcomes there are."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil, exp, log
from typing import Final

from worker.fleet.standing import Ended
from worker.fleet.values import Bucket, Series, SeriesName

_STEP: Final = log(1.05)
_QUICKEST: Final = 0.01
"""Seconds: what is quicker is told as this."""


@dataclass(slots=True)
class DurationHistogram:
    """How long something took, exact to a twentieth: a count for each step of a scale, and none for each outcome."""

    _steps: Counter[int] = field(default_factory=Counter)
    slowest: float | None = None

    def add(self, seconds: float) -> None:
        self._steps[ceil(log(max(seconds, _QUICKEST)) / _STEP)] += 1
        self.slowest = max(seconds, self.slowest or 0.0)

    @property
    def count(self) -> int:
        return self._steps.total()

    def share(self, part: float) -> float | None:
        """What so great a part of all did not exceed; None where there is none."""
        wanted, so_far = self.count * part, 0
        for step in sorted(self._steps):
            so_far += self._steps[step]
            if so_far >= wanted:
                return min(exp(step * _STEP), self.slowest or 0.0)
        return None


@dataclass(slots=True)
class _OpenBucket:
    """A bucket, and the value made of it while nothing more was told."""

    outcomes: Counter[str] = field(default_factory=Counter)
    laps: DurationHistogram = field(default_factory=DurationHistogram)
    shown: Bucket | None = None

    def add(self, ended: Ended) -> None:
        self.outcomes[ended.outcome] += 1
        if ended.served_after is not None:
            self.laps.add(ended.served_after)
        self.shown = None

    def bucket(self, begins: datetime) -> Bucket:
        if self.shown is None:
            laps, of = self.laps, self.outcomes
            told = of["succeeded"], of["failed"], of["superseded"]
            self.shown = Bucket(begins, *told, laps.count, laps.share(0.5), laps.share(0.95), laps.slowest)
        return self.shown


@dataclass(slots=True)
class SeriesWindow:
    """The latest `size` buckets of `seconds` each."""

    name: SeriesName
    seconds: float
    size: int
    _filling: dict[int, _OpenBucket] = field(default_factory=dict)
    """By number since the epoch."""

    def add(self, ended: Ended, now: datetime) -> None:
        """What lies before them all, or after now, is left out."""
        number, last = self._number(ended.at), self._number(now)
        if last - self.size < number <= last:
            self._filling.setdefault(number, _OpenBucket()).add(ended)
        if len(self._filling) > 2 * self.size:
            self._filling = {at: one for at, one in self._filling.items() if at > last - self.size}

    def series(self, now: datetime) -> Series:
        last = self._number(now)
        return Series(self.name, self.seconds, [self._bucket(at) for at in range(last - self.size + 1, last + 1)])

    def _bucket(self, number: int) -> Bucket:
        begins = datetime.fromtimestamp(number * self.seconds, UTC)
        known = self._filling.get(number)
        return Bucket(begins) if known is None else known.bucket(begins)

    def _number(self, at: datetime) -> int:
        return int(at.timestamp() // self.seconds)


def spans() -> tuple[SeriesWindow, ...]:
    """All that is plotted."""
    return SeriesWindow("hour", 60.0, 60), SeriesWindow("days", 3600.0, 48), SeriesWindow("months", 86400.0, 90)
