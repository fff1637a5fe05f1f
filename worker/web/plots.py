"""Where the strokes of the plots are: the server draws, and no script has to.

A plot is stretched to its place, so its unit is a share: across, one bucket is 1 wide; down, all of it is 100 high.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, floor, log10
from typing import Final

from worker.fleet.values import Bucket, Series, SeriesName
from worker.web.formatting import counted, duration

HEIGHT: Final = 100.0
_BAR: Final = 0.72
"""Of a bucket's width."""
_GAP: Final = (1 - _BAR) / 2
_FEW: Final = 3
"""Buckets with something in them: fewer make no picture."""
SPAN_NAMES: Final[dict[SeriesName, str]] = {"hour": "60 minutes", "days": "48 hours", "months": "90 days"}
_NICE: Final = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, with the class of its colour."""

    x: float
    y: float
    width: float
    height: float
    fill: str


@dataclass(frozen=True, slots=True)
class Stroke:
    """A level line."""

    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture and its words."""

    width: int
    boxes: Sequence[Box]
    strokes: Sequence[Stroke]
    lines: Sequence[float]
    """Where the grid's lines are, from the top."""
    axis: Sequence[str]
    """What they stand for, from the top."""
    begins: datetime | None
    middle: datetime | None
    ends: datetime | None
    said: str
    """The same for those who do not see it."""
    buckets: Sequence[Bucket]
    """Those that have something to tell, newest first."""

    @property
    def is_empty(self) -> bool:
        return not self.buckets


def chosen(series: Sequence[Series], asked: SeriesName | None) -> Series:
    """What was asked for; else the longest span that has something to show."""
    by_name = {one.name: one for one in series}
    if asked in by_name:
        return by_name[asked]
    longest_first = sorted(series, key=lambda one: one.seconds, reverse=True)
    telling = (one for one in longest_first if sum(bucket.total > 0 for bucket in one.buckets) >= _FEW)
    return next(telling, longest_first[-1] if longest_first else Series("hour", 60.0))


def outcome_plot(series: Series) -> Plot:
    """How many rotations ended how: one stack for each bucket."""
    top = _nice(max((bucket.total for bucket in series.buckets), default=0))
    boxes = [box for place, bucket in enumerate(series.buckets) for box in _stack(place, bucket, top)]
    telling = [bucket for bucket in series.buckets if bucket.total]
    axis = [f"{top * share:,.0f}" for share in _shares(top)]
    lines = [HEIGHT * (1 - share) for share in _shares(top)]
    return _plot(series, boxes, (), lines, axis, telling, said=_outcomes_said(series, telling))


def _shares(top: float) -> Sequence[float]:
    """Of the height, where a line tells a whole number."""
    return (1.0, 0.5, 0.0) if top % 2 == 0 else (1.0, 0.0)


def _stack(place: int, bucket: Bucket, top: float) -> Iterable[Box]:
    """What failed stands on the ground, where it is seen."""
    base = HEIGHT
    for number, fill in (
        (bucket.failed, "fill-bad"),
        (bucket.superseded, "fill-still"),
        (bucket.succeeded, "fill-good"),
    ):
        if number:
            height = HEIGHT * number / top
            base -= height
            yield Box(_rounded(place + _GAP), _rounded(base), _BAR, _rounded(height), fill)


def _outcomes_said(series: Series, telling: Sequence[Bucket]) -> str:
    span = SPAN_NAMES[series.name]
    if not telling:
        return f"No rotation has ended in the last {span}."
    succeeded, failed = sum(one.succeeded for one in telling), sum(one.failed for one in telling)
    superseded = sum(one.superseded for one in telling)
    return f"In the last {span} {succeeded:,} succeeded, {failed:,} failed, and {superseded:,} were superseded."


def served_plot(series: Series) -> Plot:
    """From renewal to served: for each bucket from the middle to nearly the slowest, on a scale of powers of ten."""
    telling = [bucket for bucket in series.buckets if bucket.median is not None]
    low, high = _decades(telling)
    boxes, strokes = [], []
    for place, bucket in enumerate(series.buckets):
        if bucket.median is not None:
            middle = _height(bucket.median, low, high)
            upper = _height(max(bucket.p95 or 0.0, bucket.median), low, high)
            boxes.append(Box(_rounded(place + _GAP), upper, _BAR, _rounded(max(middle - upper, 0.5)), "spread"))
            strokes.append(Stroke(_rounded(place + _GAP), middle, _BAR))
    decades = range(high, low - 1, -1)
    lines = [_height(10.0**decade, low, high) for decade in decades]
    axis = [_scale(decade) for decade in decades]
    return _plot(series, boxes, strokes, lines, axis, telling, said=_served_said(series, telling))


def _decades(telling: Sequence[Bucket]) -> tuple[int, int]:
    """The powers of ten, in seconds, between which everything is."""
    fastest = min((one.median for one in telling if one.median), default=1.0)
    slowest = max((max(one.p95 or 0.0, one.median or 0.0) for one in telling), default=10.0)
    low = min(max(floor(log10(max(fastest, 0.1))), -1), 6)
    return low, max(ceil(log10(max(slowest, 0.1))), low + 1)


def _height(seconds: float, low: int, high: int) -> float:
    share = (log10(max(seconds, 10.0**low)) - low) / (high - low)
    return _rounded(HEIGHT * (1 - share))


def _scale(decade: int) -> str:
    return f"{10.0**decade:,.{max(-decade, 0)}f} s"


def _served_said(series: Series, telling: Sequence[Bucket]) -> str:
    span, served = SPAN_NAMES[series.name], sum(one.served for one in telling)
    if not served:
        return f"Nothing is known of the last {span}."
    middle = _weighted_median(telling)
    slowest = max(one.slowest or one.p95 or 0.0 for one in telling)
    return (
        f"In the last {span} {counted(served, 'renewal')} came to be served; "
        f"half of them within about {duration(middle)}, the slowest within {duration(slowest)}."
    )


def _weighted_median(telling: Sequence[Bucket]) -> float:
    """Of the buckets' medians, each counted as often as it has renewals."""
    half, seen = sum(one.served for one in telling) / 2, 0
    for one in sorted(telling, key=lambda one: one.median or 0.0):
        seen += one.served
        if seen >= half:
            return one.median or 0.0
    return 0.0


def _plot(
    series: Series,
    boxes: Sequence[Box],
    strokes: Sequence[Stroke],
    lines: Sequence[float],
    axis: Sequence[str],
    telling: Sequence[Bucket],
    *,
    said: str,
) -> Plot:
    at: Sequence[datetime | None] = [bucket.begins for bucket in series.buckets] or [None]
    begins, middle, ends = at[0], at[len(at) // 2], at[-1]
    return Plot(len(at), boxes, strokes, lines, axis, begins, middle, ends, said, telling[::-1])


def _nice(most: float) -> float:
    """A round number that nothing is above."""
    if most <= 1:
        return 1.0
    size = 10.0 ** floor(log10(most))
    return next(size * step for step in _NICE if size * step >= most)


def _rounded(number: float) -> float:
    return round(number, 2)
