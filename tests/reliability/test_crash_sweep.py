"""The crash sweep: a worker killed at each effect of a rotation, and another one that gets the message again.

Each way of rotating has its number of effects written down here: one more is one more place to die.
"""

import asyncio
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest

from tests.reliability.books import Heard
from tests.reliability.crash_broker import Watched, sqlite
from tests.reliability.crash_life import Life
from tests.reliability.crash_stage import NAMES, Stage, issued, staged, worker
from tests.reliability.crash_way import Way
from tests.reliability.oracle import broken_promises, told_twice
from tests.support.virtual_time import run_virtual
from worker.core.deployment import Binding


def moved() -> Stage:
    """In place, where the PUT switches client verification off."""
    made = staged("in_place", verified=True)
    made.world.put_moves_flags = True
    return made


def down() -> Stage:
    """In place, at a gateway that is away when the renewal comes: it is parked once."""
    made = staged("in_place", verified=True)
    made.cloud.down_until = 20.0
    return made


def kept_for_a_while() -> Stage:
    """For less than it takes to die once: counted from when the new one was stored, it would be over by then."""
    made = staged("blue_green", verified=True)
    made.deployment = replace(made.deployment, retire_after_seconds=1e-6)
    return made


def gone() -> Stage:
    """Its certificate does not exist: no attempt can help."""
    made = staged("replace")
    made.world.uploads.clear()
    made.world.listeners.clear()
    return made


KEPT: Final = "blue green, kept for a while"
WAYS: Final[dict[str, Way]] = {
    "in place": Way(
        lambda: staged("in_place"),
        ["modify_certificate", "attach_domains", "attach_domains", "event", "ack"],
        {"modify_certificate": 2, "attach_domains": 3},
    ),
    "in place, with a flag": Way(
        lambda: staged("in_place", verified=True),
        ["note", "modify_certificate", "attach_domains", "attach_domains", "event", "ack"],
        {"modify_certificate": 2, "attach_domains": 3},
    ),
    "flags moved by the PUT": Way(
        moved,
        ["note", "modify_certificate", "attach_domains", "attach_domains", "event", "ack"],
        {"modify_certificate": 2, "attach_domains": 3},
    ),
    "per domain": Way(
        lambda: staged("per_domain"),
        ["add_certificate", "add_certificate", "add_certificate", "delete_certificate", "event", "ack"],
        {"add_certificate": 4, "delete_certificate": 2},
    ),
    "rebind": Way(
        lambda: staged("rebind"),
        ["create_binding", "create_binding", "event", "ack"],
        {"create_binding": 3},
    ),
    "replace": Way(
        lambda: staged("replace"),
        ["note", "create_upload", "create_binding", "create_binding", "event", "ack"],
        {"create_upload": 2, "create_binding": 3},
    ),
    "blue green": Way(
        lambda: staged("blue_green", verified=True),
        ["note", "create_certificate", *["attach_domains"] * 3, "delete_certificate", "event", "ack"],
        {"create_certificate": 2, "attach_domains": 4, "delete_certificate": 2},
    ),
    KEPT: Way(
        kept_for_a_while,
        ["note", "create_certificate", *["attach_domains"] * 3, "event", "ack"],
        {"create_certificate": 2, "attach_domains": 4, "delete_certificate": 0},
    ),
    "parked first": Way(
        down,
        ["copy", "ack", "note", "modify_certificate", "attach_domains", "attach_domains", "event", "ack"],
        {"modify_certificate": 2, "attach_domains": 3},
    ),
    "given up": Way(gone, ["event", "copy", "ack"], outcome="failed"),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@every_way
def test_an_undisturbed_rotation_has_these_effects_and_no_others(way: Way) -> None:
    stage = way.died()
    assert sorted(stage.lives[0].effects) == sorted(way.both())
    assert [one.event["data"]["outcome"] for one in stage.store.told] == [way.outcome]
    assert stage.broken_promises() == []


@every_way
def test_whatever_effect_a_worker_dies_at_the_next_one_keeps_every_promise(way: Way) -> None:
    for effect in way.steps():
        stage = way.died(effect)
        assert stage.lives[0].over.is_set()
        assert stage.broken_promises() == [], stage.lives[0].effects
        assert {one.event["data"]["outcome"] for one in stage.store.told} == {way.outcome}
        assert len({one.event["id"] for one in stage.store.told}) == 1


@pytest.mark.parametrize("name", [name for name in WAYS if name != KEPT])
def test_dying_twice_at_any_two_effects_keeps_every_promise(name: str) -> None:
    way = WAYS[name]
    for first, second in product(way.steps(), way.steps()):
        stage = way.died(first, second)
        assert stage.broken_promises() == [], [life.effects for life in stage.lives]
        assert {one.event["data"]["outcome"] for one in stage.store.told} == {way.outcome}


@every_way
def test_what_was_done_before_the_crash_is_not_done_again(way: Way) -> None:
    """The twin: a change that took effect is never sent a second time; one that may have been lost is, once."""
    for effect in way.steps():
        stage = way.died(effect)
        died_at, _, half = stage.lives[0].effects[-1].rpartition(" ")
        for operation, most in way.most.items():
            undisturbed = way.effects.count(operation)
            was_lost = half == "sent" and died_at == operation
            assert stage.count(operation) <= min(most, undisturbed + was_lost), effect
        assert stage.cloud.in_vain == []


def test_what_is_kept_for_a_while_is_deleted_by_no_attempt() -> None:
    way = WAYS[KEPT]
    for effect in way.steps():
        assert len(way.died(effect).own()) == 2, "the old one and the new one"


@every_way
def test_once_all_is_bound_a_crash_costs_reads_only(way: Way) -> None:
    """Killed before or after the event, or before the ack: the world is right already."""
    for effect in range(way.both().index("event sent") + 1, len(way.both())):
        stage = way.died(effect)
        assert [one for one in stage.lives[1].effects if one.split()[0] in way.most] == []


@pytest.mark.parametrize(
    ("strategy", "stores", "binds"),
    [
        ("in_place", "modify_certificate", "attach_domains"),
        ("per_domain", "create_certificate", "add_certificate"),
        ("replace", "create_upload", "create_binding"),
    ],
)
def test_a_replayed_dead_letter_drives_only_what_failed(strategy: Any, stores: str, binds: str) -> None:
    """One binding was not there: once it is, nothing else is touched."""

    async def scenario() -> tuple[Stage, int]:
        stage = staged(strategy)
        if strategy == "in_place":
            listed = tuple(Binding("domain", name) for name in NAMES)
            stage.deployment = replace(stage.deployment, bindings=listed)
        bindings: Any = stage.world.listeners if strategy == "replace" else stage.world.domains
        lost = {key: bindings.pop(key) for key in list(bindings)[-1:]}
        stage.send()
        await stage.live()
        assert [one.event["data"]["outcome"] for one in stage.store.told] == ["failed"]
        before = stage.count(stores), stage.count(binds)
        for one in lost.values():
            if strategy == "in_place":
                one.certificate_id = None
        bindings.update(lost)
        stage.replay()
        await stage.live()
        assert stage.count(stores) == before[0]
        return stage, stage.count(binds) - before[1]

    stage, bound = run_virtual(scenario())
    assert bound == 1
    assert stage.store.told[-1].event["data"]["outcome"] == "succeeded"
    assert stage.broken_promises() == []


def test_per_domain_keeps_client_verification_whatever_effect_a_worker_dies_at() -> None:
    way = replace(WAYS["per domain"], stage=lambda: staged("per_domain", verified=True))
    for effect in range(1, len(way.died().lives[0].effects) + 1):
        assert way.died(effect).broken_promises() == [], effect


@pytest.mark.parametrize(
    ("way", "effect"),
    [
        ("in place", "event confirmed"),
        ("in place", "ack sent"),
        ("parked first", "copy confirmed"),
        ("parked first", "event confirmed"),
    ],
)
def test_a_renewal_that_comes_again_has_no_other_outcome_for_a_newer_one_in_between(way: str, effect: str) -> None:
    async def scenario() -> Stage:
        stage = WAYS[way].stage()
        stage.send(issued(20))
        await stage.live(dies_at=WAYS[way].both().index(effect) + 1)
        stage.send(issued(10), reason="key_compromise")
        await stage.live()
        return stage

    stage = run_virtual(scenario())
    assert list(told_twice(stage.books())) == []


def test_two_copies_of_a_renewal_have_one_outcome_whatever_comes_between_them() -> None:
    """A worker that dies between copy and ack leaves two, and the second may wait behind a newer renewal."""

    async def scenario() -> Stage:
        stage = staged("in_place")
        stage.cloud.latency = 4.0
        stage.send(issued(20))
        [first] = stage.store.kept.values()
        stage.send(issued(10))
        stage.store.put(first.message, is_copy=True)
        await stage.live()
        return stage

    stage = run_virtual(scenario())
    assert [told.event["data"]["outcome"] for told in stage.store.told] == ["succeeded", "succeeded"]
    assert stage.broken_promises() == []


async def lived(stage: Stage, path: Path, *, dies_at: int | None = None) -> Life:
    """As `Stage.live`, over the embedded broker."""
    life, broker, door = Life(dies_at), sqlite(path), sqlite(path)
    consumer = asyncio.create_task(worker(stage, life, Watched(broker, life)).run())
    while not life.over.is_set() and (await door.state()).ready:
        await asyncio.sleep(0.01)
    life.over.set()
    consumer.cancel()
    await asyncio.gather(consumer, return_exceptions=True)
    await asyncio.gather(broker.close(), door.close())
    return life


@pytest.mark.parametrize("way", [WAYS["in place"], WAYS["flags moved by the PUT"]], ids=["in place", "flags moved"])
async def test_the_sweep_over_the_embedded_broker_counts_and_keeps_the_same(tmp_path: Path, way: Way) -> None:
    effects = way.both()
    for effect in range(1, len(effects) + 1):
        stage, path = way.stage(), tmp_path / f"{effect}.sqlite"
        stage.send()
        door = sqlite(path)
        await door.publish_renewal(stage.messages[0])
        first = await lived(stage, path, dies_at=effect)
        second = await lived(stage, path)
        told = await door.history()
        heard = [Heard(event) for event in told]
        assert list(broken_promises(replace(stage.books(), heard=heard, waiting=()))) == []
        assert (len(first.effects), len({event["id"] for event in told})) == (effect, 1)
        assert (await door.state()).ready + len(await door.dead()) == 0
        assert (effect == len(effects)) == (second.effects == [])
        await door.close()
