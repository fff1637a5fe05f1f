"""One rotation, end to end, against a cloud in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, current, day, deployment, domain, leaf, listener, stored
from tests.support.virtual_time import run_virtual
from worker.core.deployment import Binding
from worker.core.errors import Failure, NotAskedError, PermanentError, RefusedError, TransientError
from worker.core.outcome import BindingResult, Report
from worker.core.proof import Served, Shortfall
from worker.core.urgency import Urgency
from worker.rotation import Rotator

DOWN = TransientError("gateway_unavailable")


def gateway(**overrides: Any) -> FakeGateway:
    fields: dict[str, Any] = {"stored": stored(), "rows": {"a.example.com": False, "b.example.com": True}}
    return FakeGateway(**{**fields, **overrides})


def rotated(*clouds: FakeGateway, undo_until: datetime | None = None, **overrides: Any) -> Report:
    rotator = Rotator({cloud.name: cloud for cloud in clouds})
    deployments = [deployment(gateway=cloud.name, **overrides) for cloud in clouds]
    return run_virtual(rotator.rotate(certificate(*deployments), bundle(), urgency=Urgency(undo_until)))


def shortfall(reason: str, binding: Binding | None = None) -> Shortfall:
    return Shortfall(Failure(reason, "at 127.0.0.1", transient=True), binding, "a.example.com:443")


def test_a_renewed_certificate_is_stored_attached_and_read_back_in_this_order() -> None:
    cloud = gateway()
    report = rotated(cloud)
    assert cloud.journal == ["observe", "replace", "attach", "observe"]
    assert (report.outcome, report.reason) == ("succeeded", "rotated")
    assert {one.state for one in report.deployments[0].bindings} == {"attached"}


def test_flags_are_kept_as_they_were() -> None:
    cloud = gateway()
    rotated(cloud)
    assert cloud.rows == {"a.example.com": False, "b.example.com": True}


def test_running_a_finished_rotation_again_only_reads() -> None:
    cloud = gateway()
    rotated(cloud)
    cloud.journal.clear()
    report = rotated(cloud)
    assert cloud.journal == ["observe"]
    assert (report.outcome, report.reason) == ("succeeded", "already_current")
    assert {one.state for one in report.deployments[0].bindings} == {"unchanged"}


def test_an_older_renewal_is_superseded_without_any_change() -> None:
    cloud = gateway(stored=current(serial_number=9, not_before=bundle().leaf.not_after))
    report = rotated(cloud)
    assert cloud.journal == ["observe"]
    assert report.outcome == "superseded"


def test_a_sick_binding_never_stops_its_siblings() -> None:
    sick = Failure("not_found", "no such domain", transient=False, status=404, code="APIG.3020")
    cloud = gateway(sick={"a.example.com": sick})
    report = rotated(cloud)
    states = {one.binding.name: one.state for one in report.deployments[0].bindings}
    assert states == {"a.example.com": "failed", "b.example.com": "attached"}
    assert (report.outcome, report.reason, report.failures) == ("failed", "binding_failed", (sick,))


def test_a_gateway_that_is_down_never_stops_the_others() -> None:
    down, healthy = gateway(name="down", errors={"observe": [DOWN]}), gateway(name="healthy")
    report = rotated(down, healthy)
    assert [one.outcome for one in report.deployments] == ["failed", "succeeded"]
    assert report.failures[0].transient


def test_a_name_that_is_not_covered_anywhere_leaves_every_gateway_as_it_was() -> None:
    sound, uncovered = gateway(name="sound"), gateway(name="uncovered", rows={"old.example.org": False})
    report = rotated(sound, uncovered)
    assert (report.outcome, report.reason) == ("failed", "name_not_covered")
    assert sound.journal == uncovered.journal == ["observe"]


def test_a_listed_name_that_is_not_covered_is_refused_without_any_call() -> None:
    cloud = gateway()
    report = rotated(cloud, bindings=(domain("old.example.org"),))
    assert (report.reason, cloud.journal) == ("name_not_covered", [])


def test_a_name_that_the_settings_ask_for_is_covered_where_only_listeners_are_bound() -> None:
    cloud = gateway(rows={"l1": None})
    target = deployment(gateway=cloud.name, strategy="replace", bindings=(listener("l1"),))
    for names, reason in [
        (("old.example.org",), "name_not_covered"),
        (("a.example.com", "*.example.com"), "name_not_covered"),
        (("A.example.com",), "rotated"),
    ]:
        asked = replace(certificate(target), names=names)
        report = run_virtual(Rotator({cloud.name: cloud}).rotate(asked, bundle()))
        assert report.reason == reason
        assert bool(cloud.journal) == (reason == "rotated"), "no call before"


def test_a_replacement_that_fails_attaches_nothing_and_names_every_binding() -> None:
    refusal = PermanentError("certificate_rejected", "key does not match", status=400, code="APIG.2101")
    cloud = gateway(errors={"replace": [refusal]})
    report = rotated(cloud)
    assert "attach" not in cloud.journal
    assert [one.reason for one in report.failures] == ["certificate_rejected"] * 2
    assert not report.deployments[0].replaced


def test_an_accepted_replacement_without_effect_is_never_a_success() -> None:
    report = rotated(gateway(lies=True))
    assert report.outcome == "failed"
    assert {one.reason for one in report.failures} == {"still_old"}
    assert all(one.transient for one in report.failures)


def test_a_flag_that_moves_is_told_and_put_right() -> None:
    cloud = gateway(moves_flags=1)
    report = rotated(cloud)
    assert report.reason == "client_verification_changed"
    assert cloud.journal[-2:] == ["attach", "observe"]
    assert cloud.rows["b.example.com"]
    assert [one.binding.name for one in report.deployments[0].bindings if one.failure] == ["b.example.com"]
    assert [(one.transient, "put right" in one.message) for one in report.failures] == [(False, True)]


def test_a_flag_that_cannot_be_put_right_is_worth_another_try() -> None:
    report = rotated(gateway(moves_flags=9))
    assert report.reason == "client_verification_changed"
    assert [one.transient for one in report.failures] == [True]


def test_a_flag_that_moved_in_one_attempt_is_put_back_in_the_next() -> None:
    throttled = Failure("throttled", "", transient=True)
    cloud = gateway(put_moves_flags=True, sick={"b.example.com": throttled})
    rotator = Rotator({"apig": cloud})
    assert run_virtual(rotator.rotate(certificate(), bundle())).outcome == "failed"
    assert cloud.rows["b.example.com"] is False
    cloud.sick.clear()
    assert run_virtual(rotator.rotate(certificate(), bundle())).outcome == "succeeded"
    assert cloud.rows == {"a.example.com": False, "b.example.com": True}


def test_each_deployment_remembers_its_own_flags() -> None:
    throttled = {"b.example.com": Failure("throttled", "", transient=True)}
    one = gateway(name="one", put_moves_flags=True, sick=dict(throttled))
    other = gateway(name="other", put_moves_flags=True, sick=dict(throttled), rows={"b.example.com": False})
    rotator = Rotator({"one": one, "other": other})
    both = certificate(deployment(gateway="one"), deployment(gateway="other"))
    run_virtual(rotator.rotate(both, bundle()))
    one.sick.clear()
    other.sick.clear()
    assert run_virtual(rotator.rotate(both, bundle())).outcome == "succeeded"
    assert (one.rows["b.example.com"], other.rows["b.example.com"]) == (True, False)


def test_what_happened_to_a_flag_after_a_finished_rotation_is_not_our_business() -> None:
    cloud = gateway()
    rotator = Rotator({"apig": cloud})
    run_virtual(rotator.rotate(certificate(), bundle()))
    cloud.rows["b.example.com"] = False
    assert run_virtual(rotator.rotate(certificate(), bundle())).reason == "already_current"


def test_a_flag_that_somebody_changed_between_two_renewals_stays_changed() -> None:
    """The first renewal was given up in the middle: what it remembers is its own."""
    cloud = gateway(sick={"b.example.com": Failure("throttled", "", transient=True)})
    rotator = Rotator({"apig": cloud})
    assert run_virtual(rotator.rotate(certificate(), bundle())).outcome == "failed"
    cloud.sick.clear()
    cloud.rows["b.example.com"] = False
    later = bundle(leaf=leaf(serial_number=5000, not_before=day(15), not_after=day(25), fingerprint_sha256="cd" * 32))
    assert run_virtual(rotator.rotate(certificate(), later)).outcome == "succeeded"
    assert cloud.rows["b.example.com"] is False


def test_the_flags_of_an_attempt_long_ago_are_forgotten() -> None:
    cloud = gateway(sick={"b.example.com": Failure("throttled", "", transient=True)})
    rotator = Rotator({"apig": cloud})

    async def scenario() -> Report:
        await rotator.rotate(certificate(), bundle())
        cloud.sick.clear()
        cloud.rows["b.example.com"] = False
        await asyncio.sleep(10_000)
        return await rotator.rotate(certificate(), bundle())

    assert run_virtual(scenario()).outcome == "succeeded"
    assert cloud.rows["b.example.com"] is False


def test_what_was_replaced_is_told_also_by_a_later_attempt() -> None:
    cloud = gateway(sick={"b.example.com": Failure("throttled", "", transient=True)})
    rotator = Rotator({"apig": cloud})
    run_virtual(rotator.rotate(certificate(), bundle()))
    cloud.sick.clear()
    [report] = run_virtual(rotator.rotate(certificate(), bundle())).deployments
    assert report.previous is not None
    assert report.previous.serial_number == "1"


def test_what_fails_after_the_gateway_was_observed_is_an_attempt() -> None:
    not_asked = Failure("gateway_unavailable", "", transient=True, is_attempt=False)
    cloud = gateway(sick={"b.example.com": not_asked})
    assert [one.is_attempt for one in rotated(cloud).failures] == [True]
    away = gateway(errors={"observe": [NotAskedError("gateway_unavailable")]})
    assert [one.is_attempt for one in rotated(away).failures] == [False]


def test_a_renewal_that_needed_a_second_attempt_for_its_proof_still_says_what_it_replaced() -> None:
    verdicts = [(shortfall("still_old"),), ()]

    async def verify(_served: Served, /) -> Sequence[Shortfall]:
        return verdicts.pop(0)

    rotator = replace(Rotator({"apig": gateway()}), verify=verify)
    assert run_virtual(rotator.rotate(certificate(), bundle())).outcome == "failed"
    report = run_virtual(rotator.rotate(certificate(), bundle()))
    [one] = report.deployments
    assert (report.outcome, one.replaced, one.reason) == ("succeeded", True, "rotated")
    assert one.previous is not None


def test_what_is_current_already_has_replaced_nothing() -> None:
    [report] = rotated(gateway(stored=current())).deployments
    assert report.previous is None


def test_an_urgent_retry_does_not_undo_a_renewal_that_came_later() -> None:
    cloud = gateway(sick={"b.example.com": Failure("throttled", "", transient=True)})
    rotator = Rotator({"apig": cloud})
    later = bundle(leaf=leaf(serial_number=5000, not_before=day(15), not_after=day(25), fingerprint_sha256="cd" * 32))
    run_virtual(rotator.rotate(certificate(), bundle(), urgency=Urgency(day(12))))
    run_virtual(rotator.rotate(certificate(), later))
    assert run_virtual(rotator.rotate(certificate(), bundle(), urgency=Urgency(day(12)))).outcome == "superseded"
    assert cloud.stored == current(serial_number=5000, not_before=day(15), not_after=day(25))


def test_what_came_after_an_urgent_renewal_stays_where_no_beginnings_are_told_too() -> None:
    later = stored(serial_number=5000, not_before=day(15), not_after=day(25))
    tells = gateway(stored=later, name="tells")
    tells_not = gateway(stored=replace(later, serial_number=None, not_before=None, stored_at=day(15)), name="tells_not")
    undone = rotated(tells_not, undo_until=day(15))
    assert undone.outcome == "succeeded"
    report = rotated(
        tells, replace(tells_not, stored=replace(later, serial_number=None, not_before=None)), undo_until=day(14)
    )
    assert [one.outcome for one in report.deployments] == ["superseded", "superseded"]


def test_a_bug_at_one_deployment_is_told_and_stops_no_other() -> None:
    class Broken(FakeGateway):
        async def attach(self, *_args: object) -> Sequence[BindingResult]:
            raise KeyError("a bug")

    broken, sound = Broken(stored(), {"a.example.com": False}, name="broken"), gateway(name="sound")
    report = rotated(broken, sound)
    assert [(one.outcome, one.reason) for one in report.deployments] == [
        ("failed", "internal_error"),
        ("succeeded", "rotated"),
    ]


def test_what_the_platform_holds_is_proved_too() -> None:
    asked = []

    async def verify(served: Served, /) -> Sequence[Shortfall]:
        asked.append((served.bundle, served.expiries))
        return ()

    rotator = replace(Rotator({"apig": gateway()}), verify=verify)
    run_virtual(rotator.rotate(certificate(deployment(strategy="rebind", bindings=(listener("a.example.com"),))), None))
    assert asked == [(None, frozenset({day(11)}))]


def test_what_another_deployment_claims_is_never_retired() -> None:
    claimed = stored(certificate_id="C7"), stored(certificate_id="c9", name="Claimed")
    free = stored(certificate_id="c8", name="free")
    cloud = gateway(stored=None, rows={}, leftovers=(*claimed, free))
    rotator = replace(Rotator({"apig": cloud}), claimed=frozenset({("apig", "c7"), ("apig", "claimed")}))
    target = deployment(strategy="per_domain", certificate_id=None, name="shop", bindings=())
    run_virtual(rotator.rotate(certificate(target), bundle()))
    assert cloud.retired == ["c8"]


def test_a_rotation_counts_as_replaced_only_when_it_was() -> None:
    report = rotated(
        gateway(stored=current(), rows={"a.example.com": False}), bindings=(domain(), domain("b.example.com"))
    )
    assert not report.deployments[0].replaced
    assert report.deployments[0].reason == "rotated"


def test_a_deployment_that_cannot_be_planned_fails_alone() -> None:
    with_ca, plain = gateway(name="ca", stored=stored(has_trusted_root_ca=True)), gateway(name="plain")
    report = rotated(with_ca, plain)
    assert [one.outcome for one in report.deployments] == ["failed", "succeeded"]
    assert report.reason == "trusted_root_ca_missing"


def test_a_proof_that_fails_makes_the_rotation_fail() -> None:
    cloud = gateway()

    async def verify(_served: Served, /) -> Sequence[Shortfall]:
        return (shortfall("still_old"),)

    rotator = replace(Rotator({"apig": cloud}), verify=verify)
    report = run_virtual(rotator.rotate(certificate(), bundle()))
    [told] = report.failures
    assert (report.outcome, report.reason, told.reason, told.transient) == ("failed", "still_old", "still_old", True)
    assert "nothing could be put back" in told.message


def test_refusals_are_values_of_the_report() -> None:
    cloud = gateway(errors={"observe": [RefusedError("not_found", "gone")]})
    assert rotated(cloud).failures[0].reason == "not_found"
