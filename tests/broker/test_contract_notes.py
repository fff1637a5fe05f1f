"""What both engines promise of notes: one suite over RabbitMQ and the embedded one."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.broker.places import Place, event
from tests.support.values import day
from worker.broker.base import Broker
from worker.core.note import Note
from worker.core.outcome import Previous
from worker.core.snapshot import Condemned, Origin, Snapshot

LEAF, OTHER_LEAF = "ab" * 32, "cd" * 32
BEFORE = Snapshot({("a.example.com", "i1"): True, ("b.example.com", None): False}, Previous("1", day(11)))
LATER = Snapshot({("a.example.com", "i1"): False, ("c.example.com", "i1"): True}, None, is_replaced=True)


def note(snapshot: Snapshot = BEFORE, deployment: str = "apig/c1", leaf: str = LEAF) -> Note:
    return Note(deployment, leaf, snapshot)


def outcome(leaf: str | None = LEAF, **overrides: Any) -> dict[str, object]:
    facts = None if leaf is None else {"fingerprint_sha256": leaf}
    data = {"outcome": "failed", "reason": "forbidden", "leaf": facts}
    return event(data=data, time=datetime.now(UTC).isoformat(), **overrides)


@pytest.fixture
async def broker(place: Place) -> Broker:
    broker = place.broker()
    await broker.declare()
    return broker


async def test_what_a_worker_notes_is_known_to_the_next_one_and_to_itself(place: Place, broker: Broker) -> None:
    assert await broker.kept("shop", LEAF) == {}
    await broker.keep("shop", note())
    await broker.keep("shop", note(LATER, "apig/c2"))
    for one in (broker, place.broker()):
        assert await one.kept("shop", LEAF) == {"apig/c1": BEFORE, "apig/c2": LATER}
        assert await one.kept("shop", OTHER_LEAF) == {}
        assert await one.kept("blog", LEAF) == {}


async def test_of_several_notes_what_the_first_one_knows_stands(place: Place, broker: Broker) -> None:
    await broker.keep("shop", note())
    await broker.keep("shop", note(LATER))
    assert await place.broker().kept("shop", LEAF) == {"apig/c1": BEFORE.followed_by(LATER)}


async def test_a_note_ends_with_the_outcome_of_its_leaf_and_with_no_other(place: Place, broker: Broker) -> None:
    await broker.keep("shop", note())
    for told in (outcome(OTHER_LEAF), outcome(None), outcome(subject="blog")):
        await broker.publish_event(told)
        assert await place.broker().kept("shop", LEAF) == {"apig/c1": BEFORE}
    await broker.publish_event(outcome())
    assert await place.broker().kept("shop", LEAF) == {}
    await broker.keep("shop", note(LATER))
    assert await place.broker().kept("shop", LEAF) == {"apig/c1": LATER}


async def test_an_outcome_that_is_told_now_ends_the_notes_that_were_read_before(broker: Broker) -> None:
    await broker.keep("shop", note())
    assert await broker.kept("shop", LEAF) == {"apig/c1": BEFORE}
    await broker.publish_event(outcome())
    assert await broker.kept("shop", LEAF) == {}


BAD = Snapshot(origins={("a.example.com", "i1", False): Origin("blue", flag=True)}, bad=Condemned((), frozenset()))


def of_deployments(outcome: str, **told: tuple[str, str]) -> dict[str, object]:
    """By gateway: how it ended there, and why."""
    deployments = [{"gateway": name, "outcome": one, "reason": why} for name, (one, why) in told.items()]
    leaf = {"fingerprint_sha256": LEAF}
    return event(data={"outcome": outcome, "reason": "forbidden", "leaf": leaf, "deployments": deployments})


def succeeded() -> dict[str, object]:
    """With another leaf."""
    leaf = {"fingerprint_sha256": "ef" * 32, "not_before": "2026-01-01T00:00:00Z", "not_after": "2026-03-01T00:00:00Z"}
    return event(data={"outcome": "succeeded", "reason": "rotated", "leaf": leaf, "deployments": []})


LEFT, BACK, WELL = ("failed", "binding_failed"), ("failed", "rolled_back"), ("succeeded", "rotated")


@pytest.mark.parametrize(
    ("told", "left"),
    [
        (of_deployments("failed", apig=LEFT), {"apig/c1", "other/c2"}),
        (of_deployments("failed"), {"apig/c1", "other/c2"}),
        (of_deployments("failed", apig=LEFT, other=BACK), {"apig/c1"}),
        (of_deployments("superseded", apig=("superseded", "downgrade"), other=LEFT), {"other/c2"}),
        (of_deployments("failed", apig=BACK, other=BACK), set()),
        (of_deployments("succeeded", apig=WELL, other=WELL), set()),
    ],
)
async def test_what_was_found_bad_is_known_until_it_has_gone_back_whatever_is_told_of_it_before(
    place: Place, broker: Broker, told: dict[str, object], left: set[str]
) -> None:
    """Somebody may put its renewal back once there is a way."""
    for deployment in ("apig/c1", "other/c2", "apig/c3"):
        await broker.keep("shop", note(BAD if deployment != "apig/c3" else BEFORE, deployment))
    assert len(await broker.kept("shop", LEAF)) == 3
    await broker.publish_event(told)
    for one in (broker, place.broker()):
        assert await one.kept("shop", LEAF) == dict.fromkeys(left, BAD)
    await broker.keep("shop", note(LATER, "apig/c1"))
    later = (await place.broker().kept("shop", LEAF))["apig/c1"]
    assert later == (BAD.followed_by(LATER) if "apig/c1" in left else LATER)


@pytest.mark.parametrize(
    ("told", "is_known"),
    [
        ([], True),
        ([of_deployments("failed", apig=LEFT)], True),
        ([outcome(OTHER_LEAF)], True),
        ([of_deployments("superseded", apig=("superseded", "downgrade"))], True),
        ([of_deployments("failed", apig=WELL, other=LEFT)], False),
        ([of_deployments("failed", apig=BACK)], False),
        ([of_deployments("failed", apig=LEFT), succeeded()], False),
    ],
)
async def test_that_there_was_a_client_ca_is_known_of_whichever_leaf_until_one_has_succeeded(
    place: Place, broker: Broker, told: Sequence[dict[str, object]], *, is_known: bool
) -> None:
    """Alone: flags and places are another leaf's. It is sent again; who takes it away after a success means it."""
    await broker.keep("shop", note(replace(BEFORE, has_client_ca=True)))
    for event_of_it in told:
        await broker.publish_event(event_of_it)
    known = {"apig/c1": Snapshot(has_client_ca=True)} if is_known else {}
    for one in (broker, place.broker()):
        assert await one.kept("shop", OTHER_LEAF) == known
        assert await one.kept("blog", OTHER_LEAF) == {}
    await broker.keep("shop", note(BEFORE, leaf=OTHER_LEAF))
    assert await place.broker().kept("shop", OTHER_LEAF) == {"apig/c1": replace(BEFORE, has_client_ca=is_known)}


async def test_a_client_ca_is_not_known_to_the_leaf_that_lost_it_either_once_another_one_has_succeeded(
    place: Place, broker: Broker
) -> None:
    await broker.keep("shop", note(with_ca := Snapshot(has_client_ca=True)))
    await broker.publish_event(of_deployments("failed", apig=LEFT))
    assert await place.broker().kept("shop", LEAF) == {"apig/c1": with_ca}
    await broker.publish_event(succeeded())
    for one in (broker, place.broker()):
        assert await one.kept("shop", LEAF) == {}


async def test_where_it_ended_well_is_known_whatever_is_told_after_that(place: Place, broker: Broker) -> None:
    with_ca = Snapshot(has_client_ca=True)
    for deployment in ("apig/c1", "other/c2", "third/c3"):
        await broker.keep("shop", note(with_ca, deployment))
    for outcomes in ({"apig": WELL}, {"other": BACK}, {"apig": LEFT, "third": LEFT}):
        await broker.publish_event(of_deployments("failed", **outcomes))
    for one in (broker, place.broker()):
        assert await one.kept("shop", OTHER_LEAF) == {"third/c3": with_ca}
    await broker.keep("shop", note(with_ca))
    assert set(await place.broker().kept("shop", OTHER_LEAF)) == {"apig/c1", "third/c3"}


async def test_a_client_ca_that_was_noted_after_a_success_is_known(place: Place, broker: Broker) -> None:
    with_ca = Snapshot(has_client_ca=True)
    await broker.keep("shop", note(with_ca, "apig/before"))
    await broker.publish_event(succeeded())
    await broker.keep("shop", note(with_ca, "apig/after"))
    for one in (broker, place.broker()):
        assert await one.kept("shop", OTHER_LEAF) == {"apig/after": with_ca}


async def test_notes_are_in_no_history_and_tell_no_outcome(place: Place, broker: Broker) -> None:
    at = datetime.now(UTC)
    data = {"outcome": "succeeded", "reason": "rotated"}
    await broker.publish_event(event(id="old", subject="blog"))
    await broker.publish_event(event(id="mine", time=at.isoformat(), data=data))
    for number in range(7):
        await broker.keep("shop", note(deployment=f"apig/c{number}"))
    assert [one["id"] for one in await broker.history()] == ["mine", "old"]
    assert [one["id"] for one in await broker.history(limit=2)] == ["mine", "old"]
    assert [one["id"] for one in await broker.history(limit=1)] == ["mine"]
    assert [one["id"] for one in await broker.history("shop")] == ["mine"]
    assert await place.broker().told_by_others_at() == at
    assert await place.broker().told(["mine", "None"], "shop", None, LEAF) is not None
    assert await place.broker().told(["None"], "shop", None, LEAF) is None
