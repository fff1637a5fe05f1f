"""ByCloud's waits, conflicts and lost answers, in virtual time against a cloud in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from tests.support.bycloud_cloud import (
    BUSY,
    LOST,
    NAME,
    PATIENCE,
    Change,
    Cloud,
    attach,
    create,
    modify,
    opened,
    raised,
    reasons,
)
from tests.support.values import bundle, day, deployment, leaf, listener, stored
from tests.support.virtual_time import run_virtual
from worker.core.errors import PermanentError, TransientError
from worker.core.outcome import BindingResult
from worker.core.planning import Create, Modify, Stored
from worker.gateways.transport import AmbiguousError

QUOTED = "this key does not fit: MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"
"""Without the label by which a PEM is known."""

# Binding


def test_a_binding_that_is_not_active_yet_is_looked_at_until_it_is() -> None:
    cloud = Cloud(binding_statuses={"l1": "pending"})
    cloud.add()

    async def scenario() -> Sequence[BindingResult]:
        cloud.settle(10, "active")
        return await attach(cloud)

    assert [result.state for result in run_virtual(scenario())] == ["attached"]
    assert cloud.count("show_certificate") == 4  # after 1, 3, 7 and 15 seconds


def test_a_binding_that_ends_in_error_is_told_without_the_clouds_words_which_may_quote_a_key() -> None:
    cloud = Cloud(binding_statuses={"l1": "pending"})
    cloud.add()

    async def scenario() -> Sequence[BindingResult]:
        cloud.settle(2, "error", error_message=QUOTED)
        return await attach(cloud)

    [result] = run_virtual(scenario())
    assert result.failure is not None
    assert (result.failure.reason, result.failure.transient) == ("binding_failed", False)
    assert result.failure.message == "the binding is in error: the cloud's console says why"


def test_a_binding_that_stays_pending_is_worth_another_try_later() -> None:
    cloud = Cloud(binding_statuses={"l1": "pending"})
    cloud.add()
    [result] = run_virtual(attach(cloud))
    assert result.failure is not None
    assert (result.failure.reason, result.failure.transient) == ("binding_failed", True)


def test_a_binding_in_error_from_an_earlier_try_is_reported_when_the_cloud_says_it_exists() -> None:
    cloud = Cloud(refusals=[Change(PermanentError("conflict", "binding already exists", status=409))])
    cloud.add(bindings=[{"resource_id": "l1", "options": {"sni": False}, "status": "error", "error_message": "sick"}])
    assert reasons(run_virtual(attach(cloud))) == ["binding_failed"]


def test_a_binding_that_is_active_counts_more_than_one_left_in_error() -> None:
    row = {"resource_id": "l1", "options": {"sni": False}}
    cloud = Cloud(refusals=[Change(BUSY)])
    cloud.add(bindings=[{**row, "status": "error"}, {**row, "status": "active"}])
    assert [result.state for result in run_virtual(attach(cloud))] == ["unchanged"]


def test_a_conflict_over_a_certificate_that_is_not_active_is_told_as_that() -> None:
    cloud = Cloud(refusals=[Change(BUSY)])
    cloud.add(status="pending_dns")
    [result] = run_virtual(attach(cloud))
    assert result.failure is not None
    assert (result.failure.reason, result.failure.transient) == ("certificate_not_active", True)
    assert cloud.count("create_binding") == 1


def test_the_same_listener_bound_for_another_sni_is_not_bound_already() -> None:
    cloud = Cloud(refusals=[Change(BUSY)])
    cloud.add(bindings=[{"resource_id": "l1", "options": {"sni": True}, "status": "active"}])
    assert [result.state for result in run_virtual(attach(cloud))] == ["attached"]
    assert cloud.count("create_binding") == 2


def test_a_busy_load_balancer_is_tried_again_until_it_is_free() -> None:
    cloud = Cloud(refusals=[Change(BUSY)] * 3)
    cloud.add()
    assert [result.state for result in run_virtual(attach(cloud))] == ["attached"]
    assert cloud.count("create_binding") == 4


def test_a_load_balancer_that_stays_busy_is_given_up_after_a_while() -> None:
    cloud = Cloud(refusals=[Change(BUSY)] * 1000)
    cloud.add()
    [result] = run_virtual(attach(cloud))
    assert result.failure is not None
    assert (result.failure.reason, result.failure.transient, result.failure.status) == ("busy", True, 409)
    assert result.failure.attempts == cloud.count("create_binding") < 12


def test_a_lost_answer_is_looked_for_before_the_call_is_repeated() -> None:
    cloud = Cloud(refusals=[Change(LOST, after_effect=True)])
    cloud.add()
    assert [result.state for result in run_virtual(attach(cloud))] == ["attached"]
    assert cloud.calls_made == ["create_binding", "show_certificate"]


def test_a_lost_call_is_repeated_when_it_had_no_effect() -> None:
    cloud = Cloud(refusals=[Change(LOST)])
    cloud.add()
    assert [result.state for result in run_virtual(attach(cloud))] == ["attached"]
    assert cloud.calls_made == ["create_binding", "show_certificate", "create_binding"]


def test_a_lost_call_that_asks_to_wait_is_not_repeated_before() -> None:
    cloud = Cloud(refusals=[Change(AmbiguousError("gateway_unavailable", hold=PATIENCE + 1, status=503))])
    cloud.add()
    [result] = run_virtual(attach(cloud))
    assert result.failure is not None
    assert (result.failure.reason, result.failure.hold) == ("gateway_unavailable", PATIENCE + 1)
    assert cloud.count("create_binding") == 1


def test_one_sick_listener_does_not_stop_the_others() -> None:
    cloud = Cloud(binding_statuses={"l2": "error"})
    cloud.add()
    results = run_virtual(attach(cloud, listener("l1"), listener("l2"), listener("l3")))
    assert reasons(results) == [None, "binding_failed", None]
    assert [result.binding.name for result in results] == ["l1", "l2", "l3"]


def test_a_load_balancer_gets_one_change_at_a_time_and_two_get_theirs_together() -> None:
    same = [listener(f"l{number}", load_balancer="lb1") for number in range(3)]
    cloud = Cloud(seconds_per_change=1.0)
    cloud.add()
    run_virtual(attach(cloud, *same))
    assert cloud.most_under_way == 1
    run_virtual(attach(cloud, *same, listener("l9", load_balancer="lb2")))
    assert cloud.most_under_way == 2


def test_listeners_that_wait_at_the_same_time_share_their_looks() -> None:
    names = [f"l{number}" for number in range(20)]
    cloud = Cloud(binding_statuses=dict.fromkeys(names, "pending"))
    cloud.add()

    async def scenario() -> Sequence[BindingResult]:
        cloud.settle(10, "active")
        return await attach(cloud, *map(listener, names))

    assert {result.state for result in run_virtual(scenario())} == {"attached"}
    assert cloud.count("show_certificate") == 4


def test_ids_are_the_same_in_whatever_case() -> None:
    cloud = Cloud(refusals=[Change(BUSY)])
    cloud.add(id="C1", bindings=[{"resource_id": "AB-CD", "options": {"sni": False}, "status": "ACTIVE"}])
    cloud.certificates["c1"] = cloud.certificates["C1"]
    assert [result.state for result in run_virtual(attach(cloud, listener("ab-CD")))] == ["unchanged"]


# Replacing


def test_an_upload_is_waited_for_until_it_is_active() -> None:
    cloud = Cloud(activation=20)
    made = run_virtual(create(cloud))
    assert (made.name, made.fingerprint_prefix) == (NAME, leaf().fingerprint_sha256[:12])
    assert made.not_after == leaf().not_after


def test_an_upload_that_stays_pending_is_worth_another_try() -> None:
    error = raised(create(Cloud(activation=10 * PATIENCE)))
    assert isinstance(error, TransientError)
    assert error.reason == "certificate_not_active"


def test_an_upload_that_exists_already_is_used() -> None:
    cloud = Cloud()
    cloud.add(id="earlier", name=NAME, expires_at="2026-01-20T00:00:00Z")
    assert run_virtual(create(cloud)).certificate_id == "earlier"
    assert len(cloud.certificates) == 1


def test_an_upload_whose_answer_was_lost_is_found_by_its_name() -> None:
    cloud = Cloud(refusals=[Change(LOST, after_effect=True)])
    assert run_virtual(create(cloud)).name == NAME
    assert cloud.count("create_certificate") == 1


def test_an_upload_that_was_lost_is_sent_again() -> None:
    cloud = Cloud(refusals=[Change(LOST)] * 2)
    assert run_virtual(create(cloud)).name == NAME
    assert len(cloud.certificates) == 1


def test_an_upload_that_is_lost_again_and_again_is_given_up() -> None:
    cloud = Cloud(refusals=[Change(LOST)] * 100)
    assert raised(create(cloud)).reason == "gateway_unavailable"
    assert cloud.count("create_certificate") < 10


def test_another_certificate_of_the_same_name_is_not_taken_for_the_upload() -> None:
    cloud = Cloud()
    cloud.add(name="shop")
    replacing = opened(cloud).replace(deployment(), Create("shop"), bundle())
    error = raised(replacing)
    assert (error.reason, error.status) == ("conflict", 409)


def test_an_earlier_upload_in_error_is_told_with_its_status() -> None:
    cloud = Cloud()
    cloud.add(id="earlier", name=NAME, status="error", error_message=QUOTED)
    error = raised(create(cloud))
    assert isinstance(error, PermanentError)
    assert error.message == "the certificate's status is error: the cloud's console says why"


def test_a_status_that_is_none_of_the_clouds_words_is_not_shown() -> None:
    cloud = Cloud(refusals=[Change(BUSY)])
    cloud.add(status=QUOTED)
    [result] = run_virtual(attach(cloud))
    assert result.failure is not None
    assert result.failure.message == "the certificate's status is unknown: the cloud's console says why"


def test_a_modified_certificate_is_waited_for_until_it_shows_the_new_date() -> None:
    cloud = Cloud(activation=5)
    cloud.add()
    assert run_virtual(modify(cloud)).not_after == leaf().not_after


def test_an_expired_certificate_can_be_modified() -> None:
    cloud = Cloud(activation=5)
    cloud.add(status="expired")
    assert run_virtual(modify(cloud)).not_after == leaf().not_after


def test_a_modified_certificate_that_keeps_its_old_date_is_not_called_done() -> None:
    cloud = Cloud(activation=10 * PATIENCE)
    cloud.add()
    error = raised(modify(cloud))
    assert (error.reason, isinstance(error, TransientError)) == ("still_old", True)


LONG_AGO, SINCE = "2026-01-05T00:00:00Z", "2026-01-12T00:00:00Z"
"""Before the leaf begins, and after."""


def reissued(cloud: Cloud, written_at: str) -> Stored:
    """What is put there ends when that does which is there."""
    cloud.add(expires_at="2026-01-20T00:00:00Z", updated_at=written_at)
    there = stored(serial_number=None, not_before=None, not_after=leaf().not_after)
    before = replace(there, issued_before=datetime.fromisoformat(written_at))
    return run_virtual(opened(cloud).replace(deployment(), Modify(before), bundle()))


@pytest.mark.parametrize("written_at", [LONG_AGO, SINCE])
@pytest.mark.parametrize(("after_effect", "puts"), [(False, 2), (True, 1)])
def test_a_lost_put_of_what_ends_when_the_stored_one_does_is_sent_again(
    written_at: str, after_effect: bool, puts: int
) -> None:
    cloud = Cloud(refusals=[Change(LOST, after_effect=after_effect)])
    assert reissued(cloud, written_at).issued_before == day(15)
    assert cloud.count("modify_certificate") == puts


@pytest.mark.parametrize("written_at", [LONG_AGO, SINCE])
def test_what_ends_when_the_stored_one_did_is_waited_for_until_it_was_written(written_at: str) -> None:
    cloud = Cloud(activation=5)
    assert reissued(cloud, written_at).issued_before == day(15)
    assert cloud.count("show_certificate") == 4  # after 0, 1, 3 and 7 seconds


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_cloud_without_a_call_to_modify_says_which_strategies_it_has(status: int) -> None:
    cloud = Cloud(refusals=[Change(PermanentError("unsupported", "no such route", status=status))])
    cloud.add()
    error = raised(modify(cloud))
    assert (error.reason, error.status) == ("unsupported", status)
    assert "rebind or replace" in error.message


def test_a_refused_certificate_is_not_uploaded_twice() -> None:
    cloud = Cloud(refusals=[Change(PermanentError("bad_request", "key does not match", status=422))])
    assert raised(create(cloud)).status == 422
    assert cloud.calls_made == ["create_certificate"]


def test_nothing_is_ever_deleted_because_no_call_for_it_is_documented() -> None:
    cloud = Cloud()
    assert run_virtual(opened(cloud).retire(replace(stored(), certificate_id="c1"))) is False
    assert not cloud.calls_made
