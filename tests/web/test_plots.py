"""The plots' strokes say the same as the numbers."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fleets import NOW
from worker.fleet.values import Bucket, Series
from worker.web.plots import HEIGHT, chosen, outcome_plot, served_plot


def series(*buckets: Bucket) -> Series:
    return Series("hour", 60.0, [replace(one, begins=NOW + timedelta(minutes=at)) for at, one in enumerate(buckets)])


counts = st.integers(0, 10**6)
seconds = st.floats(0.001, 10**7)


@given(st.lists(st.tuples(counts, counts, counts), min_size=1, max_size=90))
def test_each_stack_is_as_high_as_its_numbers_on_the_axis_and_never_higher_than_the_plot(
    numbers: list[tuple[int, int, int]],
) -> None:
    plot = outcome_plot(series(*(Bucket(NOW, *one) for one in numbers)))
    top = float(plot.axis[0].replace(",", ""))
    assert plot.width == len(numbers)
    for place, bucket in enumerate(plot.buckets[::-1]):
        assert bucket.total <= top
        assert place <= plot.width
    for place, one in enumerate(numbers):
        boxes = [box for box in plot.boxes if place < box.x < place + 1]
        told = {box.fill: box.height * top / HEIGHT for box in boxes}
        expected = {"fill-good": one[0], "fill-bad": one[1], "fill-still": one[2]}
        assert told == pytest.approx({fill: number for fill, number in expected.items() if number}, abs=top / 9000)
        assert all(box.y >= -0.05 for box in boxes)
        assert sum(box.height for box in boxes) <= HEIGHT + 0.05


@given(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=60))
def test_every_time_lies_between_the_ends_of_its_axis(times: list[tuple[float, float]]) -> None:
    plot = served_plot(series(*(Bucket(NOW, 1, served=1, median=min(one), p95=max(one)) for one in times)))
    assert len(plot.boxes) == len(plot.strokes) == len(times)
    assert all(box.y >= -0.05 and box.y + box.height <= HEIGHT + 0.6 for box in plot.boxes)
    assert all(0 <= stroke.y <= HEIGHT for stroke in plot.strokes)


def test_a_time_stands_at_its_power_of_ten() -> None:
    plot = served_plot(series(Bucket(NOW, 1, served=1, median=10.0, p95=100.0), Bucket(NOW, 1, served=1, median=1.0)))
    assert plot.axis == ["100 s", "10 s", "1 s"]
    assert [stroke.y for stroke in plot.strokes] == [50.0, 100.0]
    assert math.isclose(plot.boxes[0].y, 0.0)


def test_the_words_weigh_each_span_by_its_renewals() -> None:
    plot = served_plot(
        series(Bucket(NOW, 1, served=1, median=500.0, slowest=900.0), Bucket(NOW, 9, served=9, median=7.0, slowest=8.0))
    )
    assert plot.said.startswith("In the last 60 minutes 10 renewals came to be served;")
    assert plot.said.endswith("half of them within about 7 s, the slowest within 15 min.")


def test_nothing_is_said_in_words_too() -> None:
    empty = series(Bucket(NOW), Bucket(NOW))
    assert outcome_plot(empty).is_empty
    assert outcome_plot(empty).said == "No rotation has ended in the last 60 minutes."
    assert served_plot(empty).said == "Nothing is known of the last 60 minutes."
    assert served_plot(Series("hour", 60.0)).is_empty


def test_the_longest_span_that_shows_something_is_shown_unless_another_is_asked_for() -> None:
    full, bare = [Bucket(NOW, 1)] * 3, [Bucket(NOW)] * 3
    hour, days, months = Series("hour", 60.0, full), Series("days", 3600.0, full), Series("months", 86400.0, bare)
    assert chosen([hour, days, months], None) is days
    assert chosen([hour, days, months], "months") is months
    assert chosen([replace(hour, buckets=bare), months], None).name == "hour"
    assert chosen([], None).name == "hour"
