"""The crash sweep over rotations that turn out bad, or that the next life finds otherwise than the one before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Final

import pytest

from tests.reliability.crash_cloud import Trouble
from tests.reliability.crash_proof import Judgement, Look, Shelf, bad_with, never_bad
from tests.reliability.crash_stage import FIRST, NAMES, NEW, Stage, issued, staged, until_idle
from tests.reliability.crash_way import Way
from tests.support.gateways import checked
from tests.support.virtual_time import run_virtual
from worker.core.deployment import Binding, Strategy

OLD, RENEWED = FIRST.serial_number, NEW.serial_number


def bad(strategy: Strategy, is_bad: Judgement, **how: Any) -> Stage:
    made = staged(strategy, **how)
    made.is_bad = is_bad
    return made


def kept(is_bad: Judgement, *, verified: bool) -> Stage:
    """In its own place, and what was proven last is kept."""
    made = bad("in_place", is_bad, verified=verified)
    made.shelf = Shelf([checked(FIRST)])
    return made


def half_stored(is_bad: Judgement) -> Stage:
    """The quota is full of what an earlier attempt left."""
    made = bad("blue_green", is_bad, verified=True)
    made.world.add_certificate(FIRST, "shop_" + "0" * 12)
    made.world.certificate_quota = 2
    return made


def shown_with_both(is_bad: Judgement, *, is_listed: bool = True, name: str = "shop") -> Stage:
    """Of the old certificate and the new one. What is not listed is whatever is bound to the deployment's own."""
    made = bad("blue_green", is_bad, verified=True, name=name)
    made.world.attach_adds = True
    made.deployment = made.deployment if is_listed else replace(made.deployment, bindings=None)
    return made


def from_nothing(is_bad: Judgement) -> Stage:
    """Listed without their instance, and the first was bound to nothing."""
    made = bad("blue_green", is_bad, verified=True)
    first = next(one for one in made.world.domains.values() if one.name == NAMES[0])
    first.certificate_id = None
    made.deployment = replace(made.deployment, bindings=tuple(Binding("domain", one) for one in NAMES))
    return made


BOTH: Final = "blue green, shown with both"
ALL_BOTH: Final = "blue green, all that is attached, shown with both"
BOTH_NAMES: Final = "blue green, from a certificate of another name, shown with both"
END: Final = ["event", "copy", "ack"]
ATTACH: Final = "attach_domains"
BIND: Final = "create_binding"
GREEN: Final = ["note", "create_certificate"]
WAYS: Final = {
    "blue green, bad at wave 1": Way(
        lambda: bad("blue_green", bad_with(1), verified=True),
        [*GREEN, ATTACH, "note", ATTACH, "delete_certificate", *END],
    ),
    "blue green, bad at wave 2": Way(
        lambda: bad("blue_green", bad_with(2), verified=True),
        [*GREEN, *[ATTACH] * 2, "note", ATTACH, "delete_certificate", *END],
    ),
    "blue green, bad at wave 3": Way(
        lambda: bad("blue_green", bad_with(3), verified=True),
        [*GREEN, *[ATTACH] * 3, "note", *[ATTACH] * 2, "delete_certificate", *END],
    ),
    "blue green, with a client CA": Way(
        lambda: bad("blue_green", bad_with(3), verified=True, client_ca="CA"),
        [*GREEN, *[ATTACH] * 3, "note", *[ATTACH] * 2, "delete_certificate", *END],
    ),
    "blue green, from a certificate of another name": Way(
        lambda: bad("blue_green", bad_with(3), verified=True, name="by_hand"),
        [*GREEN, *[ATTACH] * 3, "note", *[ATTACH] * 2, "delete_certificate", *END],
    ),
    "blue green, with a full quota": Way(
        lambda: half_stored(bad_with(3)),
        [
            *GREEN,
            "delete_certificate",
            "create_certificate",
            *[ATTACH] * 3,
            "note",
            *[ATTACH] * 2,
            "delete_certificate",
            *END,
        ],
    ),
    BOTH: Way(
        lambda: shown_with_both(bad_with(3)),
        [*GREEN, *[ATTACH] * 3, "note", *[ATTACH] * 2, *["detach_domains"] * 2, "delete_certificate", *END],
    ),
    BOTH_NAMES: Way(
        lambda: shown_with_both(bad_with(3), name="by_hand"),
        [*GREEN, *[ATTACH] * 3, "note", *[ATTACH] * 2, *["detach_domains"] * 2, "delete_certificate", *END],
    ),
    ALL_BOTH: Way(
        lambda: shown_with_both(bad_with(3), is_listed=False),
        [*GREEN, *[ATTACH] * 3, "note", *[ATTACH] * 2, *["detach_domains"] * 2, "delete_certificate", *END],
    ),
    "replace, bad at wave 1": Way(
        lambda: bad("replace", bad_with(1)), ["note", "create_upload", "create_binding", "note", "create_binding", *END]
    ),
    "replace, bad at wave 2": Way(
        lambda: bad("replace", bad_with(2)), ["note", "create_upload", *[BIND] * 2, "note", *[BIND] * 2, *END]
    ),
    "in place, put back": Way(
        lambda: kept(bad_with(3), verified=False), [*["note", "modify_certificate", *[ATTACH] * 2] * 2, *END]
    ),
    "in place, put back with its flags": Way(
        lambda: kept(bad_with(3), verified=True), [*["note", "modify_certificate", *[ATTACH] * 2] * 2, *END]
    ),
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


def test_what_was_bound_to_nothing_is_so_again_whatever_effect_a_worker_dies_at() -> None:
    way = Way(lambda: from_nothing(bad_with(3)), ())
    for effect in range(len(way.died().lives[0].effects) + 1):
        stage = way.died(*[effect] * (effect > 0))
        [blue] = stage.own()
        where = {one.name: one.certificate_id for one in stage.world.domains.values()}
        assert where == dict.fromkeys(NAMES, blue) | {NAMES[0]: None}, stage.lives[0].effects
        assert {one.event["data"]["reason"] for one in stage.store.told} == {"rolled_back"}


@pytest.mark.parametrize("name", ["blue green, from a certificate of another name", "replace, bad at wave 2"])
def test_dying_twice_leaves_nothing_behind_either(name: str) -> None:
    way = WAYS[name]
    for first, second in product(way.steps(), way.steps()[::3]):
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
def test_what_is_bad_in_one_life_goes_back_in_the_next_as_soon_as_that_was_noted(way: Way) -> None:
    """Until then the next one looks for itself, and what it finds good is everywhere."""
    turned = where(way, lambda life: life == 1)
    for effect in range(1, way.both().index("event sent") + 1):
        stage = turned.died(effect)
        assert stage.broken_promises() == [], stage.lives[0].effects
        if stage.lives[0].effects.count("note confirmed") > 1:
            assert stage.served() == {OLD}
            assert {one.event["data"]["reason"] for one in stage.store.told} == {"rolled_back"}
        # What is shown with both is proven where it is, and may be at the old one.
        elif way not in (WAYS[BOTH], WAYS[ALL_BOTH], WAYS[BOTH_NAMES]):
            assert stage.served() == {RENEWED}
            assert {one.event["data"]["outcome"] for one in stage.store.told} == {"succeeded"}


WITH_WAVES: Final = [name for name in WAYS if name.startswith(("blue green", "replace"))]


@pytest.mark.parametrize("is_good", [True, False])
@pytest.mark.parametrize("name", WITH_WAVES)
def test_a_wave_at_whose_proof_a_worker_dies_is_proven_before_the_next_one_moves(name: str, *, is_good: bool) -> None:
    for number in (1, 2, 3):

        async def scenario(number: int = number) -> Stage:
            stage = WAYS[name].stage()
            stage.is_bad = never_bad if is_good else stage.is_bad
            stage.dies_looking = lambda look: look.life == 1 and look.bindings == number
            stage.send()
            return await until_idle(stage, 10_000)

        stage = run_virtual(scenario())
        assert stage.broken_promises() == [], [life.effects for life in stage.lives]
        assert stage.served() == {RENEWED if is_good else OLD}


@every_way
def test_what_is_good_in_one_life_and_bad_in_the_next_is_all_of_one(way: Way) -> None:
    turned = where(way, lambda life: life > 1)
    for effect in range(1, len(turned.died().lives[0].effects) + 1):
        stage = turned.died(effect)
        assert stage.broken_promises() == [], stage.lives[0].effects
        assert len(stage.served()) == 1
        assert len({one.event["id"] for one in stage.store.told}) == 1


def told(stage: Stage) -> Sequence[Mapping[str, Any]]:
    """The events' only deployment, of each."""
    return [one.event["data"]["deployments"][0] for one in stage.store.told]


def test_the_event_says_what_was_bad_and_what_is_served_now() -> None:
    stage = WAYS["blue green, bad at wave 2"].died()
    [event], [deployment] = stage.store.told, told(stage)
    assert (event.event["data"]["outcome"], event.event["data"]["reason"]) == ("failed", "rolled_back")
    assert (deployment["reason"], deployment["replaced"]) == ("rolled_back", False)
    assert stage.world.certificates[deployment["certificate_id"]].leaf.serial_number == OLD
    assert deployment["bindings"] == {"total": 3, "attached": 0, "unchanged": 1, "failed": 0, "rolled_back": 2}
    assert [(one["name"], one["reason"]) for one in deployment["failures"]] == [("b.example.com", "other_certificate")]


def test_what_may_have_moved_although_no_answer_came_goes_back_too_and_no_other_attempt_follows() -> None:
    async def scenario() -> Stage:
        stage = staged("blue_green", verified=True)
        stage.deployment = replace(stage.deployment, waves=(1.0,))
        stage.cloud.troubles.append(Trouble("attach_domains", "timeout after", 50, "a.example.com"))

        def is_bad(_look: Look) -> bool:
            stage.cloud.troubles.clear()
            return True

        stage.is_bad = is_bad
        stage.send()
        return await until_idle(stage)

    stage = run_virtual(scenario())
    assert stage.broken_promises() == []
    assert (stage.served(), len(stage.lives[0].effects)) == ({OLD}, stage.lives[0].effects.index("ack done") + 1)
    [deployment] = told(stage)
    assert (deployment["reason"], deployment["bindings"]["rolled_back"]) == ("rolled_back", 3)


def test_what_was_there_before_the_renewal_came_is_not_moved_anywhere_when_it_is_found_bad() -> None:
    async def scenario() -> Stage:
        stage = staged("blue_green")
        stage.send()
        await stage.live()
        stage.is_bad = bad_with(1)
        stage.send()
        return await until_idle(stage)

    stage = run_virtual(scenario())
    assert [one["reason"] for one in told(stage)] == ["rotated", "other_certificate"]
    assert stage.served() == {RENEWED}


def test_one_bad_upload_after_another_is_taken_back_although_none_is_ever_deleted() -> None:
    async def scenario() -> Stage:
        stage = staged("replace")
        stage.is_bad = bad_with(2)
        for one in (issued(20), NEW):
            stage.send(one)
            await stage.live()
        return stage

    stage = run_virtual(scenario())
    assert [one["reason"] for one in told(stage)] == ["rolled_back", "rolled_back"]
    assert (stage.served(), stage.broken_promises()) == ({OLD}, [])


def test_listeners_go_back_to_an_upload_of_any_name() -> None:
    async def scenario() -> Stage:
        stage = staged("replace")
        stage.deployment = replace(stage.deployment, certificate_id=None, name="front")
        stage.is_bad = bad_with(2)
        stage.send()
        return await until_idle(stage)

    stage = run_virtual(scenario())
    assert ([one["reason"] for one in told(stage)], stage.served()) == (["rolled_back"], {OLD})


def dim(*dies_at: int, name: str) -> Stage:
    """Nothing is bad, and the first binding was dead before."""

    async def scenario() -> Stage:
        stage = WAYS[name].stage()
        stage.is_bad, stage.dead = never_bad, stage.deployment.bindings[0].name if stage.deployment.bindings else ""
        stage.send()
        return await until_idle(stage, *dies_at)

    return run_virtual(scenario())


@pytest.mark.parametrize("name", ["blue green, bad at wave 3", "replace, bad at wave 2"])
def test_for_what_was_dead_before_nothing_goes_back_whatever_effect_a_worker_dies_at(name: str) -> None:
    effects = dim(name=name).lives[0].effects
    for effect in range(1, len(effects) + 1):
        stage = dim(effect, name=name)
        broken = [one for one in stage.broken_promises() if not one.startswith("left behind")]
        assert broken == [], stage.lives[0].effects  # the old one stays until all is proven
        assert stage.served() == {RENEWED}
        assert {one.event["data"]["reason"] for one in stage.store.told} == {"not_reachable"}
