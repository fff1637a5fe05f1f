"""The crash sweep over rotations that turn out bad, or that the next life finds otherwise than the one before."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any, Final

import pytest

from tests.reliability.crash_proof import Judgement, Shelf, bad_with
from tests.reliability.crash_stage import FIRST, NEW, Stage, staged
from tests.reliability.crash_way import Way
from tests.support.gateways import checked
from worker.core.deployment import Strategy

OLD, RENEWED = FIRST.serial_number, NEW.serial_number


def bad(strategy: Strategy, is_bad: Judgement, **how: Any) -> Stage:
    made = staged(strategy, **how)
    made.is_bad = is_bad
    return made


def kept(is_bad: Judgement) -> Stage:
    """In its own place, and what was proven last is kept."""
    made = bad("in_place", is_bad, verified=True)
    made.shelf = Shelf([checked(FIRST)])
    return made


def half_stored(is_bad: Judgement) -> Stage:
    """The quota is full of what an earlier attempt left."""
    made = bad("blue_green", is_bad, verified=True)
    made.world.add_certificate(FIRST, "shop_" + "0" * 12)
    made.world.certificate_quota = 2
    return made


def shown_with_both(is_bad: Judgement) -> Stage:
    made = bad("blue_green", is_bad, verified=True)
    made.world.attach_adds = True
    return made


BOTH: Final = "blue green, shown with both"
END: Final = ["event", "copy", "ack"]
ATTACH: Final = "attach_domains"
GREEN: Final = ["note", "create_certificate"]
WAYS: Final = {
    "blue green, bad at wave 1": Way(
        lambda: bad("blue_green", bad_with(1), verified=True), [*GREEN, *[ATTACH] * 2, "delete_certificate", *END]
    ),
    "blue green, bad at wave 2": Way(
        lambda: bad("blue_green", bad_with(2), verified=True), [*GREEN, *[ATTACH] * 3, "delete_certificate", *END]
    ),
    "blue green, bad at wave 3": Way(
        lambda: bad("blue_green", bad_with(3), verified=True), [*GREEN, *[ATTACH] * 5, "delete_certificate", *END]
    ),
    "blue green, with a client CA": Way(
        lambda: bad("blue_green", bad_with(3), verified=True, client_ca="CA"),
        [*GREEN, *[ATTACH] * 5, "delete_certificate", *END],
    ),
    "blue green, from a certificate of another name": Way(
        lambda: bad("blue_green", bad_with(3), verified=True, name="by_hand"),
        [*GREEN, *[ATTACH] * 5, "delete_certificate", *END],
    ),
    "blue green, with a full quota": Way(
        lambda: half_stored(bad_with(3)),
        [*GREEN, "delete_certificate", "create_certificate", *[ATTACH] * 5, "delete_certificate", *END],
    ),
    BOTH: Way(
        lambda: shown_with_both(bad_with(3)),
        [*GREEN, *[ATTACH] * 5, *["detach_domains"] * 2, "delete_certificate", *END],
    ),
    "replace, bad at wave 1": Way(
        lambda: bad("replace", bad_with(1)), ["note", "create_upload", *["create_binding"] * 2, *END]
    ),
    "replace, bad at wave 2": Way(
        lambda: bad("replace", bad_with(2)), ["note", "create_upload", *["create_binding"] * 4, *END]
    ),
    "in place, put back": Way(lambda: kept(bad_with(3)), ["note", *["modify_certificate", *[ATTACH] * 2] * 2, *END]),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@every_way
def test_an_undisturbed_roll_back_has_these_effects_and_no_others(way: Way) -> None:
    stage = way.died()
    assert sorted(stage.lives[0].effects) == sorted(way.both())
    assert stage.broken_promises() == []
    assert [one.event["data"]["reason"] for one in stage.store.told] == ["rolled_back"]


@every_way
def test_whatever_effect_of_it_a_worker_dies_at_everything_is_back_in_the_end(way: Way) -> None:
    for effect in way.steps():
        stage = way.died(effect)
        assert stage.broken_promises() == [], stage.lives[0].effects
        assert stage.served() == {OLD}
        assert {one.event["data"]["reason"] for one in stage.store.told} == {"rolled_back"}
        assert len({one.event["id"] for one in stage.store.told}) == 1


@pytest.mark.parametrize("name", ["blue green, from a certificate of another name", "replace, bad at wave 2"])
def test_dying_twice_leaves_nothing_behind_either(name: str) -> None:
    way = WAYS[name]
    for first, second in product(way.steps(), way.steps()):
        stage = way.died(first, second)
        assert stage.broken_promises() == [], [life.effects for life in stage.lives]
        assert stage.served() == {OLD}


def where(way: Way, is_bad_in: Callable[[int], bool]) -> Way:
    """The same, bad in some lives only; with as many effects as its first life then has."""

    def stage() -> Stage:
        made = way.stage()
        judgement = made.is_bad
        made.is_bad = lambda look: is_bad_in(look.life) and judgement(look)
        return made

    return replace(way, stage=stage)


@every_way
def test_what_is_bad_in_one_life_and_good_in_the_next_is_everywhere(way: Way) -> None:
    turned = where(way, lambda life: life == 1)
    for effect in range(1, way.both().index("event sent") + 1):
        stage = turned.died(effect)
        assert stage.broken_promises() == [], stage.lives[0].effects
        if way is not WAYS[BOTH]:  # what is shown with both is proven where it is, and may be at the old one
            assert stage.served() == {RENEWED}
            assert {one.event["data"]["outcome"] for one in stage.store.told} == {"succeeded"}


@every_way
def test_what_is_good_in_one_life_and_bad_in_the_next_is_all_of_one(way: Way) -> None:
    turned = where(way, lambda life: life > 1)
    for effect in range(1, len(turned.died().lives[0].effects) + 1):
        stage = turned.died(effect)
        assert stage.broken_promises() == [], stage.lives[0].effects
        assert len(stage.served()) == 1
        assert len({one.event["id"] for one in stage.store.told}) == 1
