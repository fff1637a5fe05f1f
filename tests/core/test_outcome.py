"""What came of a rotation, and what becomes of its message."""

from datetime import datetime, timedelta

import pytest

from tests.support.values import day, deployment, domain, leaf
from worker.core.backoff import RetryPolicy, jittered, step_for
from worker.core.errors import Failure
from worker.core.events import rfc3339
from worker.core.outcome import (
    BindingResult,
    DeploymentReport,
    Done,
    GiveUp,
    Outcome,
    ParkFor,
    Report,
    Timing,
    attempted,
    conclude,
    dispose,
)
from worker.fleet.told import told_in

TRANSIENT = Failure("gateway_unavailable", "", transient=True)
PERMANENT = Failure("not_found", "", transient=False)


def ended(outcome: Outcome, reason: str = "rotated", *failures: Failure) -> DeploymentReport:
    results = tuple(BindingResult(domain(), "failed", failure) for failure in failures)
    return DeploymentReport(deployment(), outcome, reason, bindings=results)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["succeeded", "succeeded"], "succeeded"),
        (["succeeded", "superseded"], "superseded"),
        (["superseded", "failed"], "failed"),
        ([], "succeeded"),
    ],
)
def test_a_rotation_succeeds_only_when_every_deployment_does(outcomes: list[Outcome], expected: Outcome) -> None:
    assert conclude(leaf(), [ended(one) for one in outcomes]).outcome == expected


def test_a_rotation_that_changed_anything_says_so() -> None:
    report = conclude(leaf(), [ended("succeeded", "already_current"), ended("succeeded", "rotated")])
    assert report.reason == "rotated"


def test_the_reason_is_of_a_deployment_that_ended_as_the_rotation_did() -> None:
    ends = [ended("succeeded", "rotated"), ended("failed", "still_old"), ended("failed", "not_found")]
    assert conclude(leaf(), ends).reason == "still_old"
    assert conclude(leaf(), [ended("succeeded", "already_current")]).reason == "already_current"
    assert conclude(leaf(), []).reason == "already_current"


def failed(*failures: Failure) -> Report:
    return conclude(leaf(), [ended("failed", "binding_failed", *failures)])


def test_success_is_done() -> None:
    assert dispose(conclude(leaf(), [ended("succeeded")]), attempt=1, policy=RetryPolicy()) == Done()


def test_a_transient_failure_is_parked_in_growing_steps() -> None:
    policy = RetryPolicy(parking=(30, 120), attempts=4)
    delays = [dispose(failed(PERMANENT, TRANSIENT), attempt=attempt, policy=policy) for attempt in (1, 2, 3)]
    assert delays == [ParkFor(30), ParkFor(120), ParkFor(120)]


def test_a_hold_that_the_gateway_asked_for_is_kept() -> None:
    asked = Failure("throttled", "", transient=True, hold=300)
    assert dispose(failed(asked, TRANSIENT), attempt=1, policy=RetryPolicy()) == ParkFor(300)


NOT_ASKED = Failure("gateway_unavailable", "", transient=True, hold=7, is_attempt=False)


@pytest.mark.parametrize("attempt", [1, 12, 99])
def test_what_was_not_asked_is_parked_shortly_and_never_given_up_for_it(attempt: int) -> None:
    policy = RetryPolicy(parking=(5, 120))
    assert dispose(failed(NOT_ASKED, PERMANENT), attempt=attempt, policy=policy) == ParkFor(7, counted=False)
    quick = Failure("gateway_unavailable", "", transient=True, is_attempt=False)
    assert dispose(failed(quick), attempt=attempt, policy=policy) == ParkFor(5, counted=False)


def test_what_fails_of_a_plan_that_was_begun_is_an_attempt() -> None:
    sound = BindingResult(domain("b.example.com"), "attached")
    results = (sound, BindingResult(domain(), "failed", NOT_ASKED))
    begun = attempted(DeploymentReport(deployment(), "failed", "binding_failed", bindings=results, failure=NOT_ASKED))
    assert [one.is_attempt for one in begun.failures] == [True, True]
    assert begun.bindings[0] == sound
    some = (BindingResult(domain(), "failed", TRANSIENT), BindingResult(domain(), "failed", NOT_ASKED))
    mixed = attempted(DeploymentReport(deployment(), "failed", "binding_failed", bindings=some))
    assert [one.is_attempt for one in mixed.failures] == [True, True]
    assert mixed.failure is None


def test_the_last_attempt_gives_up_with_the_reason() -> None:
    assert dispose(failed(TRANSIENT), attempt=12, policy=RetryPolicy()) == GiveUp("binding_failed")


def test_a_permanent_failure_gives_up_at_once() -> None:
    assert dispose(failed(PERMANENT), attempt=1, policy=RetryPolicy()) == GiveUp("binding_failed")
    assert dispose(Report.refused(PERMANENT), attempt=1, policy=RetryPolicy()) == GiveUp("not_found")


def test_a_parking_step_is_never_shorter_than_asked_where_there_is_one() -> None:
    assert [step_for(delay, (600, 30, 120)) for delay in (0, 30, 31, 9999)] == [30, 30, 120, 600]


def test_pauses_between_calls_grow_to_a_cap_and_chance_only_shortens_them() -> None:
    assert [jittered(attempt, 0.0) for attempt in (1, 2, 3, 100)] == [0.5, 1.0, 2.0, 20.0]
    assert jittered(1, 0.5) == pytest.approx(0.375)
    assert 0.25 < jittered(1, 0.999) < 0.2505


@pytest.mark.parametrize(
    ("renewed_at", "outcome", "reason", "seconds"),
    [
        (day(10), "succeeded", "rotated", 86400.0),
        (day(12), "succeeded", "rotated", 0.0),
        (day(11) - timedelta(days=4000), "succeeded", "rotated", 90 * 86400.0),
        (day(10), "succeeded", "already_current", None),
        (day(10), "failed", "binding_failed", None),
        (None, "succeeded", "rotated", None),
    ],
)
def test_metrics_and_page_agree_on_when_a_renewal_was_served(
    renewed_at: datetime | None, outcome: Outcome, reason: str, seconds: float | None
) -> None:
    timing = Timing(day(11), day(11), 1.0, renewed_at=renewed_at)
    assert timing.served_after(Report(outcome, reason)) == seconds
    said = {"renewed_at": None if renewed_at is None else rfc3339(renewed_at), "outcome": outcome, "reason": reason}
    told = told_in({"time": rfc3339(day(11)), "data": said})
    assert told is not None
    assert told.ended.served_after == seconds
