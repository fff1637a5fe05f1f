"""Planning where bindings move to a new stored certificate, in waves."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.values import bound, current, day, deployment, domain, leaf, observed, stored
from worker.core.deployment import Deployment
from worker.core.errors import RefusedError
from worker.core.moving import Replaced, replaced_ones, waves
from worker.core.past import Placed
from worker.core.planning import Bound, Create, Keep, Observed, Plan, Stored, Superseded, previous_of
from worker.core.strategies import plan

BLUE = stored(certificate_id="blue", name="shop_" + "01" * 6, stored_at=day(2))
GREEN = current(certificate_id="green", name="shop_" + "ab" * 6, stored_at=day(12))
A, B = domain(), domain("b.example.com")


def target(**overrides: Any) -> Deployment:
    return deployment(**{"strategy": "blue_green", "certificate_id": None, "name": "shop", **overrides})


def succeeded(when: datetime | None, *, is_told: bool = True) -> Placed:
    serial = str(GREEN.serial_number)
    return Placed("r1", leaf().fingerprint_sha256, day(10), day(30), is_told, serial_number=serial, at=when)


def at(one: Any, holder: Any, *, flag: bool | None = False) -> Bound:
    return bound(one, stored=holder, client_verification=flag)


def planned(seen: Observed, **overrides: Any) -> Plan:
    found = plan(target(**overrides), seen, leaf())
    assert isinstance(found, Plan)
    return found


def test_a_renewed_certificate_is_stored_beside_the_old_one_and_the_old_one_goes_at_the_end() -> None:
    todo = planned(observed(stored=BLUE, bound=(at(A, BLUE), at(B, BLUE, flag=True))))
    assert todo.replacement == Create("shop_" + "ab" * 6)
    assert [(one.name, one.client_verification) for one in todo.attach] == [(A.name, False), (B.name, True)]
    assert (todo.retire, todo.previous is not None, todo.is_nothing) == ((BLUE,), True, False)


def test_each_binding_goes_back_to_what_it_had() -> None:
    foreign = stored(certificate_id="foreign", name="by_hand")
    todo = planned(observed(stored=BLUE, bound=(at(A, BLUE, flag=True), at(B, foreign))))
    went = {one.name: (place.stored, place.client_verification) for one, place in todo.back_to.items()}
    assert went == {A.name: (BLUE, True), B.name: (foreign, False)}
    assert todo.retire == (BLUE,), "what has a name of its own is not ours to delete"


def test_what_an_earlier_attempt_moved_is_left_where_it_is_and_could_still_go_back() -> None:
    todo = planned(observed(stored=GREEN, bound=(at(A, GREEN), at(B, BLUE)), leftovers=(BLUE,)))
    assert (todo.replacement, todo.unchanged, len(todo.attach)) == (Keep(GREEN), (A.with_flag(False),), 1)
    assert {place.stored for place in todo.back_to.values()} == {BLUE}


def test_when_all_have_moved_and_the_old_one_is_gone_there_is_nothing_to_do() -> None:
    assert planned(observed(stored=GREEN, bound=(at(A, GREEN), at(B, GREEN)))).is_nothing


def test_a_newer_certificate_of_its_own_supersedes_the_renewal() -> None:
    newer = stored(certificate_id="c9", name="shop_" + "cd" * 6, not_before=day(12))
    assert plan(target(), observed(stored=newer, bound=(at(A, newer),)), leaf()) == Superseded(newer)
    late = observed(stored=GREEN, bound=(at(A, newer),), leftovers=(newer,))
    assert plan(target(), late, leaf()) == Superseded(newer), "also where the renewal's own was stored before"


def test_what_was_found_bad_goes_back_before_anything_is_left_to_a_newer_one() -> None:
    newer = stored(certificate_id="c9", name="shop_" + "cd" * 6, not_before=day(12))
    seen = observed(stored=GREEN, bound=(at(A, GREEN), at(B, newer)), leftovers=(newer, BLUE))
    assert plan(target(), seen, leaf()) == Superseded(newer)
    todo = plan(target(), seen, leaf(), condemned=[A.place, B.place])
    assert isinstance(todo, Plan)
    assert ([one.name for one in todo.unchanged], todo.attach, todo.superseded_by) == ([A.name], (), newer)
    assert plan(target(), seen, leaf(), condemned=[B.place]) == Superseded(newer), "which it has no more"


def test_what_has_to_go_back_does_so_whatever_somebody_has_bound_the_others_to() -> None:
    """That one has a client CA keeps nothing new from being stored: nothing is."""
    theirs = stored(certificate_id="theirs", has_trusted_root_ca=True)
    seen = observed(stored=GREEN, bound=(at(A, GREEN), at(B, theirs)), leftovers=(BLUE,))
    assert isinstance(plan(target(), seen, leaf(), condemned=[A.place]), Plan)
    with pytest.raises(RefusedError) as caught:
        plan(target(), seen, leaf(), condemned=[B.place])
    assert caught.value.reason == "trusted_root_ca_missing"


def test_a_domain_that_serves_a_newer_certificate_of_somebody_is_left_alone() -> None:
    newer = stored(certificate_id="c9", name="by_hand", not_before=day(12), serial_number=99)
    todo = planned(observed(stored=BLUE, bound=(at(A, BLUE), at(B, newer))))
    assert ([one.name for one in todo.attach], todo.superseded_by) == ([A.name], newer)
    assert plan(target(), observed(stored=BLUE, bound=(at(A, newer),)), leaf()) == Superseded(newer)
    assert todo.previous == previous_of(BLUE), "and is not what was replaced"


def test_a_client_ca_that_would_be_lost_is_refused() -> None:
    with_ca = stored(certificate_id="blue", name="shop", has_trusted_root_ca=True)
    seen = observed(stored=with_ca, bound=(at(A, with_ca),))
    with pytest.raises(RefusedError, match="trusted_root_ca_file"):
        plan(target(), seen, leaf())
    assert planned(seen, trusted_root_ca="CA").attach


@pytest.mark.parametrize(("kept", "retired"), [(0, (BLUE,)), (7199, (BLUE,)), (7200, (BLUE,)), (7201, ())])
def test_the_old_one_is_kept_for_as_long_as_is_asked_after_the_new_one_has_succeeded(
    kept: int, retired: object
) -> None:
    seen = Observed(GREEN, (at(A, GREEN),), (BLUE,), at=day(14) + timedelta(seconds=7200))
    todo = plan(target(retire_after_seconds=kept), seen, leaf(), past=[succeeded(day(14))])
    assert isinstance(todo, Plan)
    assert todo.retire == retired


@pytest.mark.parametrize("to_move", [BLUE, GREEN])
@pytest.mark.parametrize("past", [(), (succeeded(None),), (succeeded(day(14), is_told=False),)])
def test_an_attempt_that_comes_late_leaves_the_old_one_until_so_long_after_its_own_success(
    to_move: Stored, past: Sequence[Placed]
) -> None:
    seen = Observed(GREEN, (at(A, GREEN), at(B, to_move)), (BLUE,), at=day(15))
    step = plan(target(retire_after_seconds=3600), seen, leaf(), past=past)
    assert isinstance(step, Plan)
    assert step.retire == ()


def test_what_serves_anybody_again_is_not_over_however_long_ago_it_was_replaced() -> None:
    seen = Observed(GREEN, (at(A, GREEN), at(B, BLUE)), (BLUE,), at=day(20))
    step = plan(target(retire_after_seconds=3600), seen, leaf(), past=[succeeded(day(14))])
    assert isinstance(step, Plan)
    assert ([one.name for one in step.attach], step.retire) == ([B.name], ())


def test_one_that_is_replaced_now_is_kept_first_where_it_shall_be_kept() -> None:
    left = stored(certificate_id="left", name="shop_" + "cd" * 6, stored_at=day(5))
    todo = planned(observed(stored=BLUE, bound=(at(A, BLUE),), leftovers=(left,)), retire_after_seconds=3600)
    assert todo.retire == (left,), "what an attempt that failed has left serves nobody"


def test_waves_say_how_many_have_moved_after_each() -> None:
    assert list(waves((1, 0.1, 1.0), different(200), 200)) == [1, 19, 180]
    assert list(waves((1, 0.1, 1.0), different(3), 3)) == [1, 2]
    assert list(waves((5,), different(7), 7)) == [5, 2], "what is left is one more"
    assert list(waves((1, 0.5), different(10), 20)) == [10], "ten have moved before"


def test_no_name_is_split_over_two_waves() -> None:
    """A handshake meets any of the instances: while one of them is as it was, the name cannot be proven."""
    two = [at(domain(f"{name}.example.com", instance_id=one), BLUE) for one in ("i1", "i2") for name in "abc"]
    todo = planned(observed(stored=BLUE, bound=tuple(two)))
    assert [[(one.name[0], one.instance_id) for one in wave] for wave in todo.rounds] == [
        [("a", "i1"), ("a", "i2")],
        [("b", "i1"), ("b", "i2"), ("c", "i1"), ("c", "i2")],
    ]
    assert list(waves((1, 2, 3), ["a", "a", "b", "c"], 5)) == [2, 2], "one of others has moved before"


def different(size: int) -> list[str]:
    return [f"d{number}" for number in range(size)]


@given(
    st.lists(st.one_of(st.integers(1, 50), st.floats(0.01, 1.0)), max_size=5), st.integers(0, 60), st.integers(0, 60)
)
def test_waves_move_each_binding_once(shares: list[float], size: int, before: int) -> None:
    found = list(waves(shares, different(size), size + before))
    assert sum(found) == size
    assert all(one > 0 for one in found)


def kept(seen: Observed, **overrides: Any) -> Replaced:
    found = replaced_ones(target(**{"retire_after_seconds": 3600, **overrides}), seen)
    assert found is not None
    return found


@pytest.mark.parametrize(("passed", "left"), [(0, 3600), (3599, 1), (3600, 0), (7200, -3600)])
@pytest.mark.parametrize("began", [day(11), day(14)])
def test_what_was_replaced_is_kept_for_a_while_counted_from_when_that_had_succeeded(
    passed: int, left: int, began: datetime
) -> None:
    """Or was stored, where the clocks differ, and where nobody tells."""
    seen = Observed(GREEN, (at(A, GREEN),), (BLUE,), at=max(began, day(12)) + timedelta(seconds=passed))
    found = replaced_ones(target(retire_after_seconds=3600), seen, [succeeded(began)])
    assert found is not None
    assert (found.present, found.moved, found.waiting) == (GREEN, [A], [(BLUE, left)])
    assert found.over == ([BLUE] if left <= 0 else [])


def test_what_any_binding_needs_is_not_among_what_was_replaced() -> None:
    seen = Observed(GREEN, (at(A, GREEN), at(B, BLUE)), (BLUE,), at=day(13))
    assert kept(seen).waiting == []
    assert kept(Observed(GREEN, (at(A, GREEN), at(A, BLUE)), (BLUE,), at=day(13))).over == [BLUE], "shown with both"


def test_what_an_attempt_left_is_not_among_what_was_replaced_and_is_no_present_one() -> None:
    assert kept(Observed(GREEN, (at(A, BLUE),), (BLUE,), at=day(13))).waiting == []
    assert replaced_ones(target(), Observed(GREEN, (bound(A, stored=None),), (BLUE,), at=day(13))) is None


def test_where_nobody_knows_since_when_nothing_is_over() -> None:
    assert kept(Observed(GREEN, (at(A, GREEN),), (stored(certificate_id="blue"),), at=day(13))).waiting == []
    assert kept(Observed(GREEN, (at(A, GREEN),), (BLUE,))).waiting == []
