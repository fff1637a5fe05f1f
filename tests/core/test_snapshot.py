"""What later attempts need to know of the first: as values."""

from typing import Any

import pytest

from tests.support.values import bound, current, deployment, domain, listener, observed, stored
from worker.core.deployment import Binding
from worker.core.outcome import Previous
from worker.core.planning import Create, Keep, Modify, Plan, Superseded, UploadEach
from worker.core.snapshot import Snapshot, is_at_risk

FIRST = Plan(Modify(stored()), (domain(client_verification=True),), (), previous=Previous("1", None))
SECOND = Plan(Keep(current()), (), (domain(client_verification=True),), previous=Previous("4660", None))


def test_what_the_first_attempt_replaced_is_not_forgotten_by_the_second() -> None:
    snapshot = Snapshot().with_plan(FIRST).with_plan(SECOND)
    assert (snapshot.previous, snapshot.is_replaced) == (Previous("1", None), True)
    assert not Snapshot().with_plan(SECOND).is_replaced


def test_a_later_plan_is_told_of_it_and_keeps_what_it_knows_itself() -> None:
    snapshot = Snapshot().with_plan(FIRST)
    told = snapshot.told(Plan(Keep(current()), (), ()))
    assert isinstance(told, Plan)
    assert (told.previous, told.was_replaced) == (Previous("1", None), True)
    assert snapshot.told(SECOND) == Plan(
        SECOND.replacement, (), SECOND.unchanged, previous=SECOND.previous, was_replaced=True
    )
    assert snapshot.told(Superseded(stored())) == Superseded(stored())


def flags_before(snapshot: Snapshot, *bindings: Binding) -> list[bool | None]:
    rows = tuple(bound(one, client_verification=False) for one in bindings)
    return [row.binding.client_verification for row in snapshot.before(observed(bound=rows)).bound]


def test_a_flag_is_that_of_its_own_place() -> None:
    plan = Plan(
        Modify(stored()),
        (domain(client_verification=True), domain(instance_id="i2", client_verification=False)),
        (domain("b.example.com", client_verification=True),),
    )
    snapshot = Snapshot().with_plan(plan)
    places = (domain(), domain(instance_id="i2"), domain("b.example.com"), domain("c.example.com"))
    assert flags_before(snapshot, *places) == [True, False, True, None]
    assert flags_before(snapshot, domain(client_verification=False)) == [False], "what the settings say stands"
    assert flags_before(Snapshot(), domain()) == [None]


def test_a_domain_with_an_id_is_known_by_it_whatever_it_is_called_now() -> None:
    snapshot = Snapshot().with_plan(
        Plan(Modify(stored()), (domain("d1", domain_id="d1", client_verification=True),), ())
    )
    assert flags_before(snapshot, domain("a.example.com", domain_id="d1")) == [True]
    assert flags_before(snapshot, domain("d1", domain_id="d2")) == [None]


VERIFIED, UNVERIFIED = domain(client_verification=True), domain("b.example.com", client_verification=False)
WITH_CA = Modify(stored(has_trusted_root_ca=True))


@pytest.mark.parametrize(
    ("todo", "overrides", "is_so"),
    [
        (Plan(Modify(stored()), (VERIFIED, UNVERIFIED), ()), {}, True),
        (Plan(Modify(stored()), (UNVERIFIED,), ()), {}, False),
        (Plan(WITH_CA, (UNVERIFIED,), ()), {}, True),
        (Plan(WITH_CA, (), ()), {}, False),
        (Plan(Modify(stored()), (UNVERIFIED,), ()), {"trusted_root_ca": "PEM"}, True),
        (Plan(Create("shop"), (VERIFIED,), ()), {}, True),
        (Plan(UploadEach(), (VERIFIED,), ()), {}, True),
        (Plan(UploadEach(), (), (VERIFIED,)), {}, False),
        (Plan(Keep(current()), (VERIFIED,), ()), {}, False),
        (Plan(Modify(stored()), (VERIFIED,), ()), {"bindings": (VERIFIED,)}, False),
        (Plan(Modify(stored()), (VERIFIED, UNVERIFIED), ()), {"bindings": (VERIFIED, domain("b.example.com"))}, True),
        (Plan(Modify(stored()), (listener(),), ()), {}, False),
    ],
)
def test_flags_are_at_risk_where_something_is_replaced_and_nothing_else_tells_of_them(
    todo: Plan, overrides: dict[str, Any], is_so: bool
) -> None:
    assert is_at_risk(Snapshot().with_plan(todo), deployment(**overrides), todo) is is_so


def test_of_two_snapshots_of_one_renewal_what_the_first_knows_stands() -> None:
    first = Snapshot({("a", None): True}, None, is_replaced=False)
    second = Snapshot({("a", None): False, ("b", None): True}, Previous("1", None), is_replaced=True)
    both = Snapshot({("a", None): True, ("b", None): True}, Previous("1", None), is_replaced=True)
    assert first.followed_by(second) == both
    assert Snapshot().followed_by(second) == second
