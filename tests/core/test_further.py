"""What a domain that is listed without its instance leaves to others on the instances beside."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.values import day, deployment, leaf
from worker.core.deployment import Binding, Deployment
from worker.core.further import Further
from worker.core.planning import Bound, Observed, Stored
from worker.core.snapshot import Condemned, Origin, Snapshot
from worker.core.urgency import ORDINARY, Urgency

LEAF = leaf()
A = Binding("domain", "a.example.com")
OWN = Stored("own", "shop", 1, day(1), day(9))
OTHER = Stored("other", "theirs", 2, day(2), day(8))
NEWER = replace(OTHER, not_before=LEAF.not_after, not_after=LEAF.not_after)
CLAIMS = frozenset({("apig", "staging"), ("elsewhere", "theirs")})


def listed(**overrides: Any) -> Deployment:
    return deployment(**{"bindings": (A,), **overrides})


def observed(there: Stored | None, *, moves: bool, at: str = "two") -> Observed:
    """Ours on one instance, and `there` on another: where nothing moves, it is shown by its id."""
    beside = Bound(A.at(at), there) if moves else Bound(A.at(at), None, None, ("other",))
    foreign = {} if there is None or moves else {"other": there}
    return Observed(OWN, (Bound(A.at("one"), OWN), beside), foreign=foreign)


def left(target: Deployment, seen: Observed, of: Any = LEAF) -> int:
    after = Further(target, of, ORDINARY, CLAIMS).left_out(seen)
    assert [one.binding.instance_id for one in after.bound] == ["one", "two"][: 2 - len(after.left_alone)]
    return len(after.left_alone)


@pytest.mark.parametrize("moves", [True, False])
@pytest.mark.parametrize(
    ("there", "is_left"),
    [
        (OTHER, False),
        (NEWER, True),
        (replace(OTHER, name="Staging"), True),
        (replace(OTHER, name="staging_0123456789ab"), True),
        (replace(OTHER, has_trusted_root_ca=True), True),
    ],
)
def test_only_what_is_older_and_nobodys_is_replaced_on_a_further_instance(
    there: Stored, *, moves: bool, is_left: bool
) -> None:
    target = listed(strategy="blue_green") if moves else listed()
    assert left(target, observed(there, moves=moves)) == is_left


@pytest.mark.parametrize(
    ("target", "own_has_ca", "is_left"),
    [
        (listed(trusted_root_ca="PEM"), True, False),
        (listed(trusted_root_ca="PEM"), False, True),
        (listed(), True, True),
        (listed(strategy="blue_green", trusted_root_ca="PEM"), False, False),
        (listed(strategy="blue_green"), True, True),
    ],
)
def test_what_asks_for_certificates_is_replaced_by_what_asks_for_them_too(
    target: Deployment, *, own_has_ca: bool, is_left: bool
) -> None:
    seen = observed(replace(OTHER, has_trusted_root_ca=True), moves=target.moves)
    assert left(target, replace(seen, stored=replace(OWN, has_trusted_root_ca=own_has_ca))) == is_left


@pytest.mark.parametrize("of", [LEAF, None])
@pytest.mark.parametrize(
    ("there", "is_left"),
    [
        (replace(OTHER, not_before=OWN.not_before), False),
        (OTHER, True),
        (replace(OTHER, not_before=None), True),
        (replace(OTHER, not_before=OWN.not_before, name="staging"), True),
        (replace(OTHER, not_before=OWN.not_before, has_trusted_root_ca=True), True),
    ],
)
def test_what_the_platform_holds_replaces_what_is_older_than_that(there: Stored, *, of: Any, is_left: bool) -> None:
    target = listed(strategy="rebind", trusted_root_ca="PEM") if of else listed()
    assert left(target, observed(there, moves=False), of) == is_left


@pytest.mark.parametrize(
    ("known", "urgency", "is_left"),
    [
        (Snapshot(origins={A.at("two").place: Origin("other")}), ORDINARY, False),
        (Snapshot(origins={A.at("two").place: Origin("another")}), ORDINARY, True),
        (Snapshot(origins={A.at("two").place: Origin(None)}), ORDINARY, True),
        (Snapshot({A.at("two").place[:2]: False}), ORDINARY, True),
        (Snapshot(bad=Condemned((), frozenset({A.at("two").place}))), ORDINARY, False),
        (Snapshot(bad=Condemned((), frozenset({A.at("two").place}))), Urgency(is_key_exposed=True), True),
    ],
)
def test_what_an_earlier_attempt_was_to_move_and_is_there_still_is_gone_on_with(
    known: Snapshot, urgency: Urgency, *, is_left: bool
) -> None:
    """To an exposed key nothing goes back: so it goes forth, and that is no reason to take it from others."""
    seen = observed(NEWER, moves=True)
    further = Further(listed(strategy="blue_green"), LEAF, urgency, CLAIMS, known.planned_in(seen, urgency))
    assert bool(further.left_out(seen).left_alone) == is_left


@pytest.mark.parametrize("there", [NEWER, None])
def test_what_is_listed_with_its_instance_too_is_nothing_further(there: Stored | None) -> None:
    assert not left(listed(bindings=(A, A.at("two"))), observed(there, moves=False))


def test_what_nobody_can_tell_the_age_of_is_left_alone() -> None:
    assert left(listed(), observed(None, moves=False))


@pytest.mark.parametrize("bindings", [(A.at("one"), A.at("two")), None])
def test_what_is_listed_with_its_instance_or_attached_is_as_it_was(bindings: Any) -> None:
    assert not left(listed(bindings=bindings), observed(NEWER, moves=True))


def test_what_is_nowhere_on_the_deployments_own_is_looked_at_by_the_plan_alone() -> None:
    seen = Observed(OWN, (Bound(A.at("one"), None, None, ("other",)), Bound(A.at("two"), NEWER)))
    assert not left(listed(), seen)
