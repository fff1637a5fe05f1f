"""From what is observed to what is to be done."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.values import (
    bound,
    current,
    day,
    deployment,
    domain,
    leaf,
    listener,
    observed,
    stored,
)
from worker.core.deployment import Binding
from worker.core.errors import RefusedError
from worker.core.planning import Create, Keep, Modify, Plan, Superseded, UploadEach, age_of
from worker.core.strategies import plan
from worker.core.uploads import base_name, uploaded_name
from worker.core.urgency import Urgency


def planned(step: Plan | Superseded) -> Plan:
    assert isinstance(step, Plan)
    return step


def test_an_older_stored_certificate_is_modified_and_every_bound_domain_attached_again() -> None:
    rows = (bound(), bound(domain("b.example.com"), client_verification=True))
    todo = planned(plan(deployment(), observed(bound=rows), leaf()))
    assert todo.replacement == Modify(stored())
    assert [(one.name, one.client_verification) for one in todo.attach] == [
        ("a.example.com", False),
        ("b.example.com", True),
    ]
    assert todo.previous is not None
    assert todo.previous.serial_number == "1"


def test_a_finished_rotation_has_nothing_left_to_be_done() -> None:
    rows = (bound(stored=current()),)
    todo = planned(plan(deployment(), observed(stored=current(), bound=rows), leaf()))
    assert todo.is_nothing
    assert todo.unchanged


def test_only_what_is_missing_is_attached_when_the_stored_certificate_is_current() -> None:
    rows = (bound(stored=current()), bound(domain("b.example.com"), stored=None, client_verification=None))
    todo = planned(plan(deployment(), observed(stored=current(), bound=rows), leaf()))
    assert todo.replacement == Keep(current())
    assert [one.name for one in todo.attach] == ["b.example.com"]


def test_a_flag_that_drifted_from_the_settings_is_attached_again() -> None:
    rows = (bound(domain(client_verification=True), stored=current(), client_verification=False),)
    todo = planned(plan(deployment(), observed(stored=current(), bound=rows), leaf()))
    assert [one.client_verification for one in todo.attach] == [True]


def test_a_domain_that_was_never_bound_gets_the_flag_that_the_gateway_would_choose() -> None:
    holder = stored(has_trusted_root_ca=True)
    rows = (bound(stored=None, client_verification=None),)
    todo = planned(plan(deployment(trusted_root_ca="PEM"), observed(stored=holder, bound=rows), leaf()))
    assert [one.client_verification for one in todo.attach] == [True]


def test_a_newer_stored_certificate_supersedes_the_renewal() -> None:
    newer = stored(not_before=day(11), not_after=day(15))
    assert plan(deployment(), observed(stored=newer), leaf()) == Superseded(newer)


def test_an_urgent_renewal_that_says_so_goes_back() -> None:
    newer = stored(not_before=day(11))
    todo = planned(plan(deployment(), observed(stored=newer), leaf(), urgency=Urgency(day(12))))
    assert todo.replacement == Modify(newer)
    step = plan(deployment(), observed(stored=newer), leaf(), urgency=Urgency(day(10)))
    assert step == Superseded(newer), "a later one"


ENDS_ALIKE = {"serial_number": None, "not_before": None, "not_after": day(20)}
"""All that some gateways tell: of a certificate that was issued again with the same end too."""


@pytest.mark.parametrize(
    ("facts", "age"),
    [
        ({"not_before": day(10), "not_after": day(21)}, "newer"),
        ({"not_before": day(10), "not_after": day(20)}, "older"),
        ({"not_before": day(9), "not_after": day(30)}, "older"),
        ({"not_before": None, "not_after": day(21)}, "newer"),
        ({"not_before": None, "not_after": day(21), "issued_before": day(9)}, "older"),
        ({"not_before": None, "not_after": day(21), "issued_before": day(10)}, "newer"),
        ({"serial_number": 4660, "not_before": day(10), "not_after": day(20)}, "same"),
        ({"serial_number": None, "not_before": day(10), "not_after": day(20)}, "same"),
        ({"serial_number": None, "not_before": day(9), "not_after": day(20)}, "older"),
        ({**ENDS_ALIKE, "issued_before": None}, "same"),
        ({**ENDS_ALIKE, "issued_before": day(10)}, "same"),
        ({**ENDS_ALIKE, "issued_before": day(9, 23)}, "older"),
        ({"serial_number": None, "fingerprint_prefix": "abab", "not_after": day(1)}, "same"),
        ({"serial_number": None, "fingerprint_prefix": "cdcd", "not_after": day(20)}, "older"),
        ({"not_after": None}, "older"),
    ],
)
def test_newer_means_a_later_beginning_then_a_later_end(facts: dict[str, object], age: str) -> None:
    assert age_of(stored(**facts), leaf()) == age


@pytest.mark.parametrize("strategy", ["in_place", "replace"])
@pytest.mark.parametrize(
    ("written_at", "is_kept"), [(None, False), (day(12), False), (day(12, 1), True), (day(13), True)]
)
def test_what_only_ends_alike_is_replaced_for_an_urgent_renewal_unless_it_was_written_since(
    strategy: str, written_at: object, is_kept: bool
) -> None:
    there = stored(**ENDS_ALIKE, issued_before=written_at)
    seen, target = observed(stored=there, bound=(bound(stored=there),)), deployment(strategy=strategy)
    assert isinstance(planned(plan(target, seen, leaf())).replacement, Keep), "no urgent renewal asks"
    todo = planned(plan(target, seen, leaf(), urgency=Urgency(stored_after=day(12))))
    assert isinstance(todo.replacement, Keep) == is_kept


@pytest.mark.parametrize("facts", [{"serial_number": 4660}, {"serial_number": None, "fingerprint_prefix": "abab"}])
def test_what_tells_more_of_itself_than_its_end_is_kept_whenever_it_was_written(facts: dict[str, object]) -> None:
    there = stored(**{**ENDS_ALIKE, **facts, "issued_before": day(9)})
    seen = observed(stored=there, bound=(bound(stored=there),))
    assert planned(plan(deployment(), seen, leaf(), urgency=Urgency(stored_after=day(12)))).is_nothing


def test_a_bound_domain_that_the_certificate_does_not_cover_is_refused_and_named() -> None:
    with pytest.raises(RefusedError, match=r"old\.example\.com") as refused:
        plan(deployment(), observed(bound=(bound(domain("old.example.com")),)), leaf())
    assert refused.value.reason == "name_not_covered"


def test_a_client_ca_that_a_modification_would_drop_is_refused() -> None:
    with pytest.raises(RefusedError) as refused:
        plan(deployment(), observed(stored=stored(has_trusted_root_ca=True)), leaf())
    assert refused.value.reason == "trusted_root_ca_missing"


def test_a_missing_stored_certificate_is_created_where_the_deployment_has_a_name() -> None:
    rows = (bound(stored=None, client_verification=None),)
    todo = planned(plan(deployment(name="shop"), observed(stored=None, bound=rows), leaf()))
    assert todo.replacement == Create("shop")
    assert len(todo.attach) == 1


def test_a_missing_stored_certificate_without_a_name_is_refused() -> None:
    with pytest.raises(RefusedError) as refused:
        plan(deployment(), observed(stored=None), leaf())
    assert refused.value.reason == "not_found"


def test_per_domain_uploads_where_the_certificate_is_not_current_and_retires_what_it_replaces() -> None:
    rows = (
        bound(domain_id_row("d1"), stored=stored(certificate_id="old")),
        bound(domain_id_row("d2"), stored=current()),
    )
    leftover = stored(certificate_id="left")
    todo = planned(
        plan(deployment(strategy="per_domain"), observed(stored=None, bound=rows, leftovers=(leftover,)), leaf())
    )
    assert todo.replacement == UploadEach()
    assert [one.domain_id for one in todo.attach] == ["d1"]
    assert [one.domain_id for one in todo.unchanged] == ["d2"]
    assert [one.certificate_id for one in todo.retire] == ["old", "left"]


def domain_id_row(domain_id: str) -> Binding:
    return domain(group_id="g1", domain_id=domain_id)


def test_per_domain_is_superseded_when_every_domain_has_a_newer_certificate() -> None:
    rows = (bound(stored=stored(not_before=day(12))),)
    assert isinstance(plan(deployment(strategy="per_domain"), observed(stored=None, bound=rows), leaf()), Superseded)


def test_per_domain_leaves_a_newer_certificate_alone_and_renews_the_older_ones() -> None:
    newer = stored(certificate_id="c2", not_before=day(12))
    rows = (bound(), bound(domain("b.example.com"), stored=newer))
    todo = planned(plan(deployment(strategy="per_domain"), observed(stored=None, bound=rows), leaf()))
    assert [one.name for one in (*todo.attach, *todo.unchanged)] == ["a.example.com"]
    assert (todo.retire, todo.superseded_by) == ((stored(),), newer)


def test_rebind_binds_only_what_is_not_bound() -> None:
    rows = (bound(listener("l1")), bound(listener("l2"), stored=None))
    todo = planned(plan(deployment(strategy="rebind"), observed(bound=rows), None))
    assert [one.name for one in todo.attach] == ["l2"]


def test_replace_creates_under_a_name_that_tells_the_leaf() -> None:
    todo = planned(plan(deployment(strategy="replace", name="shop"), observed(bound=(bound(listener()),)), leaf()))
    assert todo.replacement == Create("shop-" + "ab" * 6)


def test_replace_keeps_an_upload_of_the_same_leaf() -> None:
    mine = stored(name="shop-" + "ab" * 6, serial_number=None, fingerprint_prefix="ab" * 6)
    todo = planned(plan(deployment(strategy="replace", name="shop"), observed(stored=mine, bound=()), leaf()))
    assert todo.replacement == Keep(mine)


def test_an_uploaded_name_gives_its_base_back() -> None:
    assert base_name(uploaded_name("shop-eu", leaf())) == "shop-eu"
    assert base_name("shop-eu") == "shop-eu"


def test_a_renewal_without_a_certificate_cannot_be_put_in_place() -> None:
    with pytest.raises(RefusedError) as refused:
        plan(deployment(), observed(), None)
    assert refused.value.reason == "material_missing"


def test_a_plan_is_not_nothing_while_something_is_to_be_retired() -> None:
    todo = planned(plan(deployment(), observed(stored=current(), bound=(bound(stored=current()),)), leaf()))
    assert not replace(todo, retire=(stored(),)).is_nothing


@pytest.mark.parametrize(
    ("undo_until", "stored_at", "is_kept"),
    [
        (datetime.max.replace(tzinfo=UTC), day(12), False),
        (day(12), datetime.min.replace(tzinfo=UTC), False),
        (day(12), day(12) + timedelta(minutes=30), False),
        (day(12), day(12) + timedelta(hours=2), True),
        (day(12), None, False),
    ],
)
def test_where_only_the_day_of_storing_is_told_it_limits_going_back(
    undo_until: datetime, stored_at: datetime | None, *, is_kept: bool
) -> None:
    """A queue may have been long: what was stored within an hour of the message may have been sent before it."""
    newer = stored(serial_number=None, not_before=None, not_after=day(25), stored_at=stored_at)
    todo = plan(deployment(), observed(stored=newer), leaf(), urgency=Urgency(undo_until))
    assert isinstance(todo, Superseded) == is_kept


def test_the_same_number_with_another_end_is_another_certificate() -> None:
    """Another issuer's: numbers are only an issuer's own."""
    assert age_of(current(), leaf()) == "same"
    assert age_of(current(not_after=None), leaf()) == "same"
    assert age_of(current(not_after=day(19)), leaf()) == "older"
