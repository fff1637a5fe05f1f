"""Which certificates come first."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.fleets import NOW, sample_fleet
from worker.fleet.standing import CertificateStanding, DeploymentStanding, State
from worker.web.asked import Group
from worker.web.grading import Grading, graded


def certificate(state: State, days: float | None) -> CertificateStanding:
    begins = NOW - timedelta(days=90 - (days or 0))
    ends = None if days is None else NOW + timedelta(days=days)
    place = DeploymentStanding("a/1", "a", "in_place", not_before=begins, not_after=ends)
    return CertificateStanding("shop", [place], state=state)


@pytest.mark.parametrize(
    ("state", "days", "group"),
    [
        ("served", 60, "well"),
        ("served", 20, "expiring"),
        ("served", -1, "expiring"),
        ("served", None, "well"),
        ("unknown", None, "unknown"),
        ("unknown", 3, "expiring"),
        ("parked", 60, "parked"),
        ("parked", 20, "parked"),
        ("parked", 3, "expiring"),
        ("rotating", -1, "rotating"),
        ("failed", 60, "failed"),
        ("dead", -1, "dead"),
    ],
)
def test_a_certificates_group_is_what_an_operator_wants_to_know_first(
    state: State, days: float | None, group: Group
) -> None:
    assert graded(certificate(state, days), NOW).group == group


def test_what_has_not_changed_is_not_worked_out_again_and_time_that_passes_is() -> None:
    grading, fleet = Grading(), sample_fleet(100)
    first = grading.ranked(fleet.certificates, NOW)
    assert grading.ranked(fleet.certificates, NOW + timedelta(seconds=20)) is first
    one = fleet.certificates[7]
    moved = [replace(one, state="failed") if other is one else other for other in fleet.certificates]
    second = grading.ranked(moved, NOW)
    before = {id(other) for other in first}
    assert [other.standing.name for other in second if id(other) not in before] == [one.name]
    later = grading.ranked(moved, NOW + timedelta(days=80))
    assert {other.group for other in later} <= {"expiring", "failed", "dead", "rotating", "unknown"}
