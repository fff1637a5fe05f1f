"""What moves first is what an endpoint proves, where there is any."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from tests.support.values import certificate, deployment, domain, stored
from tests.support.virtual_time import run_virtual
from worker.canary import arranged
from worker.core.deployment import Binding
from worker.core.planning import Keep, Plan
from worker.core.waiting import Step
from worker.verification import Probing
from worker.verification.looking import Probe
from worker.verification.places import Places

A, B, C = domain("a.example.com"), domain("b.example.com"), domain("c.example.com")
ELSEWHERE = domain("c.example.com", instance_id="i2")
WILD = domain("*.example.com")
GREEN = deployment(strategy="blue_green", waves=(1, 0.5, 1.0))


def endpoints(*names: str) -> Places:
    return Places(tuple(Probe("127.0.0.1", 443, name) for name in names))


def begun(places: Places, *attach: Binding, moved: Sequence[Binding] = (), beside: Sequence[Step] = ()) -> Plan:
    """The plan as it is arranged; `beside`: the steps of other deployments."""
    todo = Plan(Keep(stored()), attach, moved, waves=(1, len(attach) - 1), moved=moved)
    others = [deployment(gateway=f"other-{at}") for at, _ in enumerate(beside)]
    probing = Probing({"shop": places}, lambda: datetime.now(UTC))
    [found, *_] = run_virtual(arranged(certificate(GREEN, *others), [todo, *beside], probing.behind))
    assert isinstance(found, Plan)
    return found


def test_bindings_that_are_asked_for_move_first_and_the_others_in_their_order() -> None:
    todo = begun(endpoints("b.example.com", "c.example.com"), A, B, C)
    assert (todo.attach, todo.waves, todo.is_canary_asked) == ((B, C, A), (1, 1, 1), True)
    assert todo.provable == 2, "who takes a place is drawn from these first"


def test_where_all_are_asked_for_the_order_is_that_of_the_settings() -> None:
    todo = begun(Places(domains=True), C, A, B)
    assert (todo.attach, todo.provable, todo.is_canary_asked) == ((C, A, B), 0, True), "none of them goes before others"


def test_where_the_first_one_is_asked_for_others_that_are_follow_it() -> None:
    todo = begun(endpoints("c.example.com", "a.example.com"), A, B, C)
    assert (todo.attach, todo.waves, todo.is_canary_asked) == ((A, C, B), (1, 1, 1), True)
    assert todo.provable == 2, "who takes the place of the first one is drawn from these"


def test_a_name_on_two_instances_is_a_first_wave_of_two() -> None:
    todo = begun(endpoints("c.example.com"), A, B, C, ELSEWHERE)
    assert (todo.rounds[0], todo.is_canary_asked) == ((C, ELSEWHERE), True)


@pytest.mark.parametrize("places", [Places(), endpoints("x.example.org")])
def test_where_nothing_is_asked_for_the_plan_says_so_and_stays_as_it_is(places: Places) -> None:
    todo = begun(places, A, B, C)
    assert (todo.attach, todo.waves, todo.is_canary_asked) == ((A, B, C), (1, 2), False)


def test_a_wildcard_whose_host_is_a_domain_that_waits_is_no_canary() -> None:
    """It is asked for only once that one has moved."""
    places = Places(domains=True, hosts={"*.example.com": "c.example.com"}, listed=frozenset({"c.example.com"}))
    assert begun(places, WILD, C).attach == (C, WILD)


def test_a_name_that_another_deployment_serves_is_no_canary() -> None:
    beside = Plan(Keep(stored()), (B,), ())
    todo = begun(endpoints("b.example.com", "c.example.com"), A, B, C, beside=[beside])
    assert (todo.attach[0], todo.is_canary_asked) == (C, True)


def test_what_has_a_canary_from_an_earlier_attempt_is_left_as_it_is() -> None:
    todo = begun(endpoints("b.example.com"), A, B, moved=(C,))
    assert (todo.attach, todo.is_canary_asked) == ((A, B), None)
