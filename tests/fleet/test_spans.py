"""Outcomes counted by time."""

from datetime import timedelta

import pytest

from tests.support.values import day
from worker.fleet.spans import DurationHistogram, SeriesWindow, spans
from worker.fleet.standing import Ended, Outcome

NOW = day(20)


def ended(seconds_ago: float, outcome: Outcome = "succeeded", served_after: float | None = None) -> Ended:
    at = NOW - timedelta(seconds=seconds_ago)
    return Ended("shop", "r1", outcome, "rotated", at, served_after=served_after)


def test_every_outcome_is_counted_once_in_the_bucket_of_its_time() -> None:
    span = SeriesWindow("hour", 60.0, 60)
    for one in (ended(0), ended(59), ended(61, "failed"), ended(3540, "superseded"), ended(3541), ended(-61)):
        span.add(one, NOW)
    buckets = span.series(NOW).buckets
    assert len(buckets) == 60
    assert [buckets[-1].total, buckets[-2].succeeded, buckets[-3].failed] == [1, 1, 1]
    assert buckets[0].superseded == 1
    assert sum(one.total for one in buckets) == 4
    assert buckets[-1].begins == NOW


def test_what_is_older_than_the_span_goes_and_what_is_kept_has_a_size() -> None:
    span = SeriesWindow("hour", 60.0, 60)
    for minute in range(1000):
        span.add(ended(-60.0 * minute), NOW + timedelta(minutes=minute))
    later = NOW + timedelta(minutes=999)
    assert [one.total for one in span.series(later).buckets] == [1] * 60
    assert len(span._filling) <= 120
    assert sum(one.total for one in span.series(later + timedelta(days=1)).buckets) == 0


def test_a_bucket_that_has_not_changed_is_the_same_value() -> None:
    for span in spans():
        span.add(ended(0, served_after=3.0), NOW)
        [before, after] = [span.series(NOW).buckets[-1] for _ in range(2)]
        assert before is after
        assert (after.served, after.slowest) == (1, 3.0)


@pytest.mark.parametrize("many", [1, 2, 100, 5000])
def test_half_and_nearly_all_are_told_to_a_twentieth(many: int) -> None:
    laps = DurationHistogram()
    for number in range(many):
        laps.add(1.0 + number)
    for part in (0.5, 0.95):
        exact = 1.0 + max(-(-many * part // 1) - 1, 0)
        told = laps.share(part)
        assert told is not None
        assert exact <= told <= exact * 1.05
    assert laps.slowest == many


def test_of_nothing_nothing_is_told() -> None:
    assert (DurationHistogram().share(0.5), DurationHistogram().slowest, DurationHistogram().count) == (None, None, 0)
