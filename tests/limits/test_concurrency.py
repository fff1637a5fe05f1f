"""Fewer calls at once when the cloud is busy or slow; more again when it is well."""

from worker.limits.concurrency import Concurrency


def after(*latencies: float, most: int = 8, is_busy: bool = False) -> Concurrency:
    concurrency, now = Concurrency(most), 0.0
    for latency in latencies:
        concurrency.answered(now, now + latency, kind="attach", is_busy=is_busy)
        now += latency
    return concurrency


def test_it_begins_with_the_setting() -> None:
    assert Concurrency(8).allowed == 8


def test_a_busy_answer_halves_it_and_never_below_one() -> None:
    assert after(0.03, is_busy=True).allowed == 4
    assert after(*[0.03] * 20, is_busy=True).allowed == 1


def test_calls_that_were_under_way_together_count_as_one() -> None:
    concurrency = Concurrency(8)
    for _ in range(8):
        concurrency.answered(0, 1, kind=None, is_busy=True)
    assert concurrency.allowed == 4


def test_good_answers_bring_it_back_up_to_the_setting() -> None:
    concurrency = after(0.03, is_busy=True)
    for start in range(100):
        concurrency.answered(start, start + 0.03, kind="attach", is_busy=False)
    assert concurrency.allowed == 8


def test_answers_that_become_much_slower_mean_that_calls_queue_up_over_there() -> None:
    assert after(*[0.03] * 50, *[1.0] * 10).allowed < 8


def test_a_cloud_that_is_slow_always_is_not_busy() -> None:
    assert after(*[2.0] * 50).allowed == 8


def test_one_slow_answer_means_nothing() -> None:
    assert after(*[0.03] * 50, 0.2, *[0.03] * 5).allowed == 8


def test_changes_that_take_longer_than_reads_are_not_slow() -> None:
    concurrency, now = Concurrency(8), 0.0
    for number in range(200):
        kind, latency = ("show", 0.06) if number % 10 == 0 else ("attach", 2.0)
        concurrency.answered(now, now + latency, kind=kind, is_busy=False)
        now += latency
    assert concurrency.allowed == 8


def test_what_was_refused_quickly_makes_nothing_look_slow() -> None:
    concurrency, now = Concurrency(8), 0.0
    for number in range(200):
        kind, latency = (None, 0.01) if number % 10 == 0 else ("attach", 2.0)
        concurrency.answered(now, now + latency, kind=kind, is_busy=False)
        now += latency
    assert concurrency.allowed == 8


def test_a_cloud_that_has_become_slow_for_good_is_usual_after_a_while() -> None:
    slower = after(*[0.1] * 50, *[1.0] * 30)
    assert slower.allowed < 8
    assert after(*[0.1] * 50, *[1.0] * 600).allowed == 8
