"""What an outcome says of what is served, and of which deployment it says it."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from tests.fleet.told import event, told_deployment
from tests.support.values import certificate, day, deployment
from worker.core.deployment import Binding, Deployment
from worker.core.events import rfc3339
from worker.fleet.standing import CertificateStanding
from worker.fleet.standings import Standings
from worker.fleet.told import told_in
from worker.telemetry import Metrics


def after(
    *events: dict[str, Any], of: tuple[Deployment, ...] = (deployment(),)
) -> tuple[CertificateStanding, Standings]:
    standings = Standings({"shop": replace(certificate(), deployments=of)}, lambda _one: "served")
    for one in events:
        told = told_in(one)
        assert told is not None
        standings.take_in(told)
    standing = standings.of("shop")
    assert standing is not None
    return standing, standings


@pytest.mark.parametrize(
    ("outcome", "told", "serial"),
    [
        ("succeeded", {}, "2"),
        ("failed", {"outcome": "failed", "reason": "rolled_back", "replaced": True}, "1"),
        ("failed", {"outcome": "failed", "reason": "binding_failed"}, "2"),
        ("failed", {"outcome": "failed", "reason": "forbidden", "replaced": False}, "1"),
        ("failed", {"outcome": "failed", "reason": "forbidden", "replaced": False, "previous": None}, None),
    ],
)
def test_what_is_served_is_the_new_one_unless_it_went_back_or_never_came_there(
    outcome: str, told: dict[str, Any], serial: str | None
) -> None:
    standing, _ = after(event("r1", outcome, day(20), told_deployment(**told)))
    [place] = standing.deployments
    assert place.serial_number == serial
    assert place.not_after == {"2": day(29), "1": day(22), None: None}[serial]


def test_of_a_certificate_that_the_platform_renews_only_its_end_is_known() -> None:
    rebound = told_deployment(strategy="rebind", not_after="2026-01-30T00:00:00Z")
    standing, _ = after(event("r1", "succeeded", day(20), rebound), of=(deployment(strategy="rebind"),))
    assert (standing.serial_numbers, standing.not_after) == ((), day(30))


def test_what_moves_to_another_stored_certificate_each_time_is_known_by_its_gateway_and_strategy() -> None:
    places = (
        deployment(),
        deployment(strategy="blue_green", certificate_id=None, name="shop"),
        deployment(strategy="replace", certificate_id="u1"),
        deployment(certificate_id="c2"),
    )
    told = [
        told_deployment(certificate_id="c1", reason="first"),
        told_deployment(strategy="blue_green", certificate_id="new", reason="second"),
        told_deployment(strategy="replace", certificate_id="u7", reason="third"),
        told_deployment(certificate_id="gone", reason="of another one"),
    ]
    standing, _ = after(event("r1", "succeeded", day(20), *told), of=places)
    assert [one.reason for one in standing.deployments] == ["first", "second", "third", None]


def test_where_it_is_stored_is_what_the_last_outcome_told_that_had_looked() -> None:
    place = deployment(strategy="replace", certificate_id="u1")
    named = deployment(strategy="blue_green", certificate_id=None, name="blog")
    moved = event("r1", "succeeded", day(18), told_deployment(strategy="replace", certificate_id="u7"))
    unseen = {"outcome": "failed", "reason": "gateway_unavailable", "replaced": False, "previous": None}
    down = event("r2", "failed", day(19), told_deployment(strategy="replace", certificate_id="u1", **unseen))
    back = {"outcome": "failed", "reason": "rolled_back", "replaced": False, "strategy": "replace"}
    returned = event("r3", "failed", day(20), told_deployment(certificate_id="u1", **back))
    told = [after(*events, of=(place,))[0].deployments[0] for events in ((), (moved, down), (moved, down, returned))]
    assert [(one.certificate_id, one.stored_as, one.stored_id) for one in told] == [
        ("u1", None, "u1"),
        ("u1", "u7", "u7"),
        ("u1", "u1", "u1"),
    ]
    blue = told_deployment(strategy="blue_green", certificate_id="b2")
    [standing] = after(event("r1", "succeeded", day(18), blue), of=(named,))[0].deployments
    assert (standing.stored_as, standing.certificate_id) == ("b2", None)


def test_an_outcome_of_before_changes_nothing_and_a_refusal_leaves_what_is_served() -> None:
    served = event("r1", "succeeded", day(20), told_deployment())
    standing, _ = after(served, event("r0", "failed", day(18), told_deployment(outcome="failed", replaced=False)))
    assert (standing.last and standing.last.renewal_id, standing.serial_numbers) == ("r1", ("2",))
    standing, _ = after(served, event("r2", "failed", day(21), leaf=None))
    assert (standing.last and standing.last.outcome, standing.serial_numbers) == ("failed", ("2",))


def test_every_binding_that_failed_is_named_and_of_the_others_what_the_settings_list() -> None:
    failure = {"kind": "domain", "name": "b", "instance_id": None, "reason": "not_found", "status": 404, "attempts": 2}
    counts = {"total": 2, "attached": 0, "unchanged": 1, "failed": 1, "rolled_back": 0}
    told = event("r1", "failed", day(20), told_deployment(outcome="failed", failures=[failure], bindings=counts))
    _, asked = after(told)
    _, listed = after(told, of=(deployment(bindings=(Binding("domain", "a"), Binding("domain", "b"))),))
    [seen], [known] = asked.listings.of("shop").values(), listed.listings.of("shop").values()
    assert [(one.name, one.state, one.reason, one.status) for one in seen.listed] == [("b", "failed", "not_found", 404)]
    assert not seen.is_complete
    assert [(one.name, one.state) for one in known.listed] == [("b", "failed"), ("a", "unchanged")]
    assert known.is_complete


def test_what_was_not_looked_at_stays_as_it_was_known() -> None:
    nothing = {"bindings": {}, "failures": [], "outcome": "superseded", "reason": "downgrade", "replaced": False}
    newer = event("r2", "superseded", day(21), told_deployment(**nothing, previous=None))
    listed = (deployment(bindings=(Binding("domain", "a"), Binding("domain", "b"))),)
    standing, standings = after(event("r1", "succeeded", day(20), told_deployment()), newer, of=listed)
    assert (standing.bindings.attached, standing.deployments[0].reason) == (2, "downgrade")
    [known] = standings.listings.of("shop").values()
    assert [(one.name, one.state) for one in known.listed] == [("a", "attached"), ("b", "attached")]


def test_what_failed_before_it_came_to_bindings_is_told_beside_them_and_what_went_back_as_such() -> None:
    listed = (deployment(bindings=(Binding("domain", "a"), Binding("domain", "b"))),)
    served = event("r1", "succeeded", day(20), told_deployment())
    whole = {"kind": "deployment", "name": "apig/c1", "reason": "forbidden", "attempts": 1}
    nothing = told_deployment(bindings={}, failures=[whole], outcome="failed", reason="forbidden", replaced=False)
    refused = [event(f"r{turn}", "failed", day(20 + turn), nothing) for turn in (2, 3)]
    _, standings = after(served, *refused, of=listed)
    [known] = standings.listings.of("shop").values()
    assert [(one.kind, one.state) for one in known.listed] == [
        ("deployment", "failed"),
        ("domain", "attached"),
        ("domain", "attached"),
    ]
    bad = {"kind": "domain", "name": "b", "instance_id": None, "reason": "still_old", "attempts": 1}
    counts = {"total": 2, "attached": 0, "unchanged": 0, "failed": 0, "rolled_back": 2}
    back = told_deployment(bindings=counts, failures=[bad], outcome="failed", reason="rolled_back", replaced=False)
    _, standings = after(served, event("r2", "failed", day(21), back), of=listed)
    [known] = standings.listings.of("shop").values()
    assert [(one.name, one.state, one.reason) for one in known.listed] == [
        ("b", "rolled_back", "still_old"),
        ("a", "rolled_back", None),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"data": None},
        {"data": {"outcome": "succeeded"}},
        {"data": {"outcome": "lost"}, "time": "2026-01-01T00:00:00Z"},
    ],
)
def test_what_is_no_outcome_is_passed_over(entry: dict[str, Any]) -> None:
    assert told_in(entry) is None


def test_an_event_of_a_strange_form_is_read_as_far_as_it_makes_sense() -> None:
    strange = event("r1", "succeeded", day(20), attempt="many", duration_seconds=None, warnings={"a": 1}, leaf=7)
    told = told_in({**strange, "data": {**strange["data"], "deployments": [3, {"bindings": "all", "failures": 4}]}})
    assert told is not None
    assert (told.ended.attempt, told.ended.duration, told.ended.bindings.total) == (1, 0.0, 0)


BAD = {"total": 1, "attached": 0, "unchanged": 0, "failed": 1, "rolled_back": 0}
MIXED = {**BAD, "total": 2, "attached": 1}


def bad(reason: str) -> list[dict[str, Any]]:
    return [{"kind": "domain", "name": "b", "instance_id": None, "reason": reason, "attempts": 1}]


@pytest.mark.parametrize(
    ("told", "whole", "serial", "ends"),
    [
        ({"reason": "still_old", "bindings": BAD}, {}, "1", day(22)),
        ({"reason": "still_old", "bindings": BAD, "replaced": False, "previous": None}, {}, None, None),
        ({"reason": "binding_failed", "bindings": MIXED, "failures": bad("other_certificate")}, {}, None, day(22)),
        ({"reason": "chain_incomplete", "bindings": BAD}, {}, None, day(22)),
        ({"reason": "not_reachable", "bindings": MIXED}, {}, None, day(22)),
        ({"reason": "not_reachable", "bindings": MIXED, "previous": None}, {}, None, None),
        ({"reason": "not_found", "bindings": MIXED, "strategy": "blue_green"}, {}, None, day(22)),
        ({"outcome": "succeeded"}, {"reason": "still_old", "message": "an endpoint of no binding"}, "1", day(22)),
        ({"outcome": "succeeded"}, {"reason": "still_old", "message": None}, "2", day(29)),
    ],
)
def test_the_page_and_the_metric_show_what_is_served_and_not_what_was_not_proven(
    told: dict[str, Any], whole: dict[str, Any], serial: str | None, ends: datetime | None
) -> None:
    """What may be one of two ends with the first of them; the metric says so after a restart, too."""
    to = deployment(strategy=told.get("strategy", "in_place"))
    failed = event("r1", "failed", day(20), told_deployment(**{"outcome": "failed", **told}), **whole)
    [place] = after(failed, of=(to,))[0].deployments
    assert (place.serial_number, place.not_after) == (serial, ends)
    metrics = Metrics()
    metrics.remember(failed, {"shop": certificate(to)})
    labels = {"certificate": "shop", "gateway": to.gateway}
    shown = metrics.registry.get_sample_value("rotation_certificate_expiry_timestamp_seconds", labels)
    assert shown == (None if ends is None else ends.timestamp())


def test_what_was_served_before_is_no_longer_named_where_nobody_knows_and_its_end_is_feared_still() -> None:
    served = event("r1", "succeeded", day(20), told_deployment())
    lost = told_deployment(outcome="failed", reason="not_reachable", previous=None)
    [place] = after(served, event("r2", "failed", day(21), lost))[0].deployments
    assert (place.serial_number, place.not_after) == (None, day(29))


def test_what_was_refused_because_something_newer_is_stored_is_not_what_is_served_although_it_was_before() -> None:
    """Somebody rotated by hand since then."""
    leaf = {"serial_number": "3", "not_before": rfc3339(day(20)), "not_after": rfc3339(day(30))}
    first = event("r1", "succeeded", day(20), told_deployment(), leaf=leaf)
    newer = {"outcome": "superseded", "reason": "downgrade", "replaced": False, "previous": None, "bindings": {}}
    standing, _ = after(first, event("r2", "superseded", day(21), told_deployment(**newer), leaf=leaf))
    assert (standing.serial_numbers, standing.serials_unknown, standing.not_after) == ((), 1, day(30))


def test_where_something_newer_is_stored_the_whole_does_not_show_only_what_the_others_serve() -> None:
    places = (deployment(), deployment(certificate_id="c2"))
    first = event("r1", "succeeded", day(18), told_deployment(), told_deployment(certificate_id="c2"))
    newer = {"outcome": "superseded", "reason": "downgrade", "replaced": False, "previous": None, "bindings": {}}
    beside = told_deployment(certificate_id="c2", **newer)
    leaf = {"serial_number": "3", "not_before": rfc3339(day(20)), "not_after": rfc3339(day(30))}
    second = event("r2", "superseded", day(20), told_deployment(), beside, leaf=leaf)
    standing, _ = after(first, second, of=places)
    assert (standing.serial_numbers, standing.serials_unknown, standing.not_after) == (("3",), 1, day(29))
