"""What later attempts need to know of the first: as values."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.values import bound, current, deployment, domain, listener, observed, stored
from worker.core.deployment import Binding
from worker.core.errors import Failure
from worker.core.outcome import Previous
from worker.core.planning import Create, Keep, Modify, Plan, Stored, Superseded, UploadEach
from worker.core.proof import Shortfall
from worker.core.snapshot import Snapshot, is_at_risk, is_with_client_ca
from worker.core.urgency import ORDINARY

FIRST = Plan(Modify(stored()), (domain(client_verification=True),), (), previous=Previous("1", None))
SECOND = Plan(Keep(current()), (), (domain(client_verification=True),), previous=Previous("4660", None))


def test_what_the_first_attempt_replaced_is_not_forgotten_by_the_second() -> None:
    snapshot = Snapshot().with_plan(FIRST).with_plan(SECOND)
    assert (snapshot.previous, snapshot.is_replaced) == (Previous("1", None), True)
    assert not Snapshot().with_plan(SECOND).is_replaced
    assert Snapshot().with_plan(replace(SECOND, waves=(1,))).is_replaced, "what moves there takes another's place"


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
        (Plan(WITH_CA, (), ()), {}, True),
        (Plan(WITH_CA, (UNVERIFIED,), ()), {"bindings": (UNVERIFIED,)}, True),
        (Plan(Create("shop"), (UNVERIFIED,), ()), {"trusted_root_ca": "PEM", "bindings": (UNVERIFIED,)}, True),
        (Plan(Modify(stored()), (UNVERIFIED,), ()), {"trusted_root_ca": "PEM", "bindings": (UNVERIFIED,)}, False),
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
def test_flags_and_client_cas_are_at_risk_where_something_is_replaced_and_nothing_else_tells_of_them(
    todo: Plan, overrides: dict[str, Any], is_so: bool
) -> None:
    there = deployment(**overrides)
    snapshot = Snapshot().with_plan(todo, has_client_ca=is_with_client_ca(there, todo))
    assert is_at_risk(snapshot, there, todo) is is_so


def test_a_client_ca_that_was_there_is_known_from_then_on() -> None:
    first = Snapshot().with_plan(Plan(WITH_CA, (), ()), has_client_ca=True)
    later = first.with_plan(Plan(Modify(stored()), (), ()), has_client_ca=False)
    assert (first.has_client_ca, later.has_client_ca) == (True, True)
    assert Snapshot().followed_by(first).has_client_ca
    assert first.followed_by(Snapshot()).has_client_ca


def test_of_two_snapshots_of_one_renewal_what_the_first_knows_stands() -> None:
    first = Snapshot({("a", None): True}, None, is_replaced=False)
    second = Snapshot({("a", None): False, ("b", None): True}, Previous("1", None), is_replaced=True)
    both = Snapshot({("a", None): True, ("b", None): True}, Previous("1", None), is_replaced=True)
    assert first.followed_by(second) == both
    assert Snapshot().followed_by(second) == second


BLUE, GREEN = stored(certificate_id="blue"), current(certificate_id="green")
A, B = domain(), domain("b.example.com")
MOVING = Plan(
    Create("shop"),
    (A, B),
    (),
    waves=(1, 1),
    back_to={A: bound(A, stored=BLUE, client_verification=True), B: bound(B, stored=None, client_verification=None)},
)


def test_what_was_moved_before_is_known_with_where_it_was() -> None:
    snapshot = Snapshot().with_plan(MOVING)
    left = Plan(Keep(GREEN), (), (A, B, domain("c.example.com")), retire=(BLUE,))
    told = snapshot.with_plan(left).told(left)
    assert isinstance(told, Plan)
    assert (told.moved, told.was_replaced) == ((A, B), True)
    went = {one.name: (place.stored, place.client_verification) for one, place in told.back_to.items()}
    assert went == {A.name: (BLUE, True), B.name: (None, None)}, "what was there already has nowhere to go"


def test_what_is_where_it_was_has_not_moved_and_what_somebody_else_moved_is_theirs() -> None:
    theirs = bound(B, stored=stored(certificate_id="theirs"))
    here = bound(A, stored=BLUE, client_verification=False)
    told = Snapshot().with_plan(MOVING).told(replace(MOVING, back_to={A: here, B: theirs}))
    assert isinstance(told, Plan)
    assert told.moved == ()
    assert (told.back_to[A].client_verification, told.back_to[B]) == (True, theirs), "a flag that moved is as it was"


THEIRS = stored(certificate_id="theirs")


def test_what_somebody_has_bound_elsewhere_before_it_moved_goes_back_there() -> None:
    first, by = (
        Snapshot().with_plan(MOVING),
        {A: bound(A, stored=THEIRS, client_verification=False), B: bound(B, stored=THEIRS)},
    )
    later = first.with_plan(replace(MOVING, back_to=by))
    there = {one.name: later.origins[one.place].certificate_id for one in (A, B)}
    assert there == {A.name: "theirs", B.name: "theirs"}
    assert first.followed_by(later).origins == later.origins
    left = Plan(Keep(GREEN), (), (A, B), retire=(THEIRS,))
    told = later.told(left)
    assert isinstance(told, Plan)
    assert {one.name: place.stored for one, place in told.back_to.items()} == {A.name: THEIRS, B.name: THEIRS}


@pytest.mark.parametrize("now", [None, replace(THEIRS, certificate_id="green2")])
def test_what_is_bound_to_nothing_now_or_shown_with_both_has_come_from_where_is_noted(now: Stored | None) -> None:
    first = Snapshot().with_plan(MOVING)
    shown = replace(bound(A, stored=now, client_verification=False), others=("blue",))
    assert first.with_plan(replace(MOVING, back_to={A: shown})).origins == first.origins
    lost = replace(first, origins={A.place: replace(first.origins[A.place], certificate_id=None)})
    assert first.followed_by(lost).origins == first.origins


def test_a_listed_domain_is_the_same_on_an_instance_and_bound_to_nothing() -> None:
    anywhere, here = domain(instance_id=None, client_verification=True), domain(instance_id="i9")
    plan = replace(MOVING, attach=(anywhere,), back_to={anywhere: bound(anywhere, stored=None)})
    first = Snapshot().with_plan(plan)
    bad = first.condemned([anywhere], [Shortfall(Failure("still_old", "", transient=True), anywhere, "")])
    assert flags_before(first, here) == [True]
    assert bad.condemned_in(observed(bound=[bound(here), bound(B)]), ORDINARY) == {here.place}
    exposed = replace(ORDINARY, is_key_exposed=True)
    assert bad.condemned_in(observed(bound=[bound(here)]), exposed) == frozenset()
    told = bad.told(Plan(Keep(GREEN), (), (here, B)))
    assert isinstance(told, Plan)
    assert (told.moved, told.back_to[here].stored, [one.binding for one in told.bad]) == ((here,), None, [here])
    moved = Snapshot().with_plan(MOVING).condemned([A], [])
    back = moved.told(replace(MOVING, attach=(anywhere,), back_to={anywhere: bound(anywhere, stored=None)}))
    assert isinstance(back, Plan)
    was = back.back_to[anywhere].stored
    assert (back.moved, was is not None and was.certificate_id) == ((anywhere,), "blue"), "somebody has detached it"


def test_a_plan_that_moves_bindings_or_replaces_what_is_kept_is_at_risk() -> None:
    assert is_at_risk(Snapshot(), deployment(), MOVING)
    assert is_at_risk(Snapshot(), deployment(), replace(MOVING, replacement=Keep(GREEN)))
    assert is_at_risk(Snapshot(), deployment(), FIRST, is_kept=True)
    assert not is_at_risk(Snapshot(), deployment(), FIRST)
    assert not is_at_risk(Snapshot(), deployment(), Plan(UploadEach(), (A,), ()), is_kept=True)
