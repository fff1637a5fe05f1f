"""Where a plan turns into another: one step to each side."""

from datetime import timedelta

import pytest

from tests.support.values import bound, current, day, deployment, domain, leaf, listener, observed, stored
from worker.core.deployment import Deployment
from worker.core.errors import RefusedError
from worker.core.outcome import Previous
from worker.core.planning import Bound, Create, Keep, Observed, Plan, Stored, Superseded, age_of
from worker.core.strategies import plan
from worker.core.uploads import base_name
from worker.core.urgency import Urgency

REPLACE, PER_DOMAIN = deployment(strategy="replace"), deployment(strategy="per_domain", name="shop")


def planned(target: Deployment, seen: Observed) -> Plan:
    step = plan(target, seen, leaf())
    assert isinstance(step, Plan)
    return step


def refusal(target: Deployment, seen: Observed) -> tuple[str, str]:
    with pytest.raises(RefusedError) as refused:
        plan(target, seen, leaf())
    return refused.value.reason, refused.value.message


def test_an_upload_takes_the_name_of_what_it_replaces_where_the_settings_have_none() -> None:
    upload = stored(name="shop-0123456789ab")
    todo = planned(REPLACE, observed(stored=upload, bound=(bound(listener()),)))
    assert todo.replacement == Create("shop-" + "ab" * 6)
    assert todo.previous == Previous("1", day(11))
    assert [one.name for one in todo.attach] == ["l1"]


def test_a_first_upload_needs_a_name_and_replaces_nothing() -> None:
    assert refusal(REPLACE, observed(stored=None))[0] == "not_found"
    todo = planned(deployment(strategy="replace", name="shop"), observed(stored=None, bound=(bound(stored=None),)))
    assert todo.replacement == Create("shop-" + "ab" * 6)
    assert [place.stored for place in todo.back_to.values()] == [None]


def test_an_upload_that_is_newer_supersedes_the_renewal() -> None:
    newer = stored(not_before=day(12))
    assert plan(REPLACE, observed(stored=newer), leaf()) == Superseded(newer)


def test_what_does_not_exist_cannot_be_bound_again() -> None:
    assert refusal(deployment(strategy="rebind"), observed(stored=None))[0] == "not_found"


@pytest.mark.parametrize(
    ("replacement", "attach", "retire", "is_nothing"),
    [
        (Keep(current()), (), (), True),
        (Keep(current()), (domain(),), (), False),
        (Keep(current()), (), (stored(),), False),
        (Create("shop"), (), (), False),
    ],
)
def test_a_plan_is_nothing_only_where_nothing_is_changed(
    replacement: Keep | Create, attach: tuple[()], retire: tuple[()], is_nothing: bool
) -> None:
    assert Plan(replacement, attach, (), retire=retire).is_nothing is is_nothing


@pytest.mark.parametrize(("hours", "is_undone"), [(-1, True), (0, True), (1, False)])
def test_what_was_issued_until_then_may_be_undone_and_nothing_later(hours: int, is_undone: bool) -> None:
    newer = stored(not_before=day(12) + timedelta(hours=hours))
    step = plan(deployment(), observed(stored=newer), leaf(), urgency=Urgency(day(12)))
    assert isinstance(step, Plan) == is_undone


@pytest.mark.parametrize(
    ("facts", "age"),
    [
        ({"not_after": day(20)}, "older"),
        ({"not_after": day(20) + timedelta(seconds=1)}, "newer"),
        ({"not_after": None}, "older"),
        ({"not_after": day(25), "issued_before": day(9)}, "older"),
        ({"not_after": day(25), "issued_before": day(10)}, "newer"),
    ],
)
def test_where_the_beginning_is_not_told_the_end_decides(facts: dict[str, None], age: str) -> None:
    other = stored(serial_number=None, not_before=None, fingerprint_prefix="cd" * 6, **facts)
    assert age_of(other, leaf()) == age


def test_only_names_that_are_known_have_to_be_covered() -> None:
    rows = (bound(listener("l1")), bound(domain("d1", domain_id="d1"), stored=None))
    assert len(planned(deployment(), observed(bound=rows)).attach) == 2
    assert refusal(deployment(), observed(bound=(bound(domain("d1", domain_id="d2")),)))[0] == "name_not_covered"


@pytest.mark.parametrize(
    ("number", "told"), [(1, "n0.org"), (5, "n4.org"), (6, "n4.org and 1 more"), (9, "n4.org and 4 more")]
)
def test_five_uncovered_names_are_told_and_how_many_more_there_are(number: int, told: str) -> None:
    rows = tuple(bound(domain(f"n{one}.org")) for one in range(number))
    assert refusal(deployment(), observed(bound=rows))[1].endswith(told)


def per_domain(*rows: Bound) -> Plan:
    return planned(PER_DOMAIN, observed(stored=None, bound=rows))


def test_a_domain_that_had_no_certificate_leaves_none_behind() -> None:
    todo = per_domain(bound(stored=None), bound(domain("b.example.com"), stored=stored(certificate_id="c2")))
    assert [one.certificate_id for one in todo.retire] == ["c2"]
    assert per_domain(bound(stored=None)).previous is None


def test_of_several_that_are_replaced_the_one_that_ends_first_is_told() -> None:
    def one(number: int, **facts: object) -> Stored:
        return stored(certificate_id=f"c{number}", serial_number=number, **facts)

    def row(name: str, what: Stored) -> Bound:
        return bound(domain(f"{name}.example.com"), stored=what)

    told = per_domain(row("a", one(2, not_after=day(9))), row("b", one(3, not_after=day(8)))).previous
    assert told == Previous("3", day(8))
    unknown = per_domain(row("a", one(2, not_after=day(9))), row("b", one(3, not_after=None))).previous
    assert unknown == Previous("3", None)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("shop-0123456789ab", "shop"),
        ("shop-eu-0123456789ab", "shop-eu"),
        ("-0123456789ab", "-0123456789ab"),
        ("0123456789ab", "0123456789ab"),
        ("shop-0123456789a", "shop-0123456789a"),
        ("shop-0123456789abc", "shop-0123456789abc"),
        ("shop-0123456789xy", "shop-0123456789xy"),
        ("shop-0123456789AB", "shop-0123456789AB"),
    ],
)
def test_only_a_fingerprint_of_ours_is_taken_off_a_name(name: str, base: str) -> None:
    assert base_name(name) == base


def test_per_domain_asks_too_that_every_name_is_covered() -> None:
    rows = (bound(domain("old.example.org", group_id="g1", domain_id="d1")),)
    assert refusal(PER_DOMAIN, observed(stored=None, bound=rows))[0] == "name_not_covered"


@pytest.mark.parametrize(("ca", "flag"), [("-----BEGIN…", True), (None, False)])
def test_a_first_certificate_asks_clients_for_theirs_where_it_has_a_client_ca(ca: str | None, flag: bool) -> None:
    target = deployment(certificate_id=None, name="shop", trusted_root_ca=ca)
    rows = (bound(stored=None, client_verification=None), bound(domain("b.example.com"), stored=None))
    todo = planned(target, observed(stored=None, bound=rows))
    assert todo.replacement == Create("shop")
    assert [one.client_verification for one in todo.attach] == [flag, False]
