"""What both engines promise whoever follows what workers tell: one suite over both."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from tests.broker.places import Place, event
from worker.broker.base import Broker
from worker.core.note import Note
from worker.core.snapshot import Snapshot


@pytest.fixture
async def broker(place: Place) -> Broker:
    broker = place.broker()
    await broker.declare()
    return broker


def told(number: int, **overrides: Any) -> dict[str, Any]:
    return event(id=str(number), data={"outcome": "succeeded"}, **overrides)


async def followed(broker: Broker, most: int, after: int | None = None) -> tuple[Sequence[str], int | None]:
    """The ids of so many, and where that is; or of fewer, once there are no more for now."""
    found: list[Mapping[str, object]] = []
    async with aclosing(broker.following(after)) as batches:
        async for batch in batches:
            found += batch.events
            after = batch.position
            if len(found) >= most or (found and not batch.events):
                break
    return [str(one["id"]) for one in found], after


async def test_whoever_follows_hears_of_all_that_was_told_and_then_of_what_is_told(
    place: Place, broker: Broker
) -> None:
    for number in range(25):
        await broker.publish_event(told(number))
    await broker.keep("shop", Note("ab", "apig/c1", Snapshot()))
    heard: list[str] = []
    was_quiet = asyncio.Event()

    async def follow() -> None:
        async with aclosing(place.broker().following()) as batches:
            async for batch in batches:
                heard.extend(str(one["id"]) for one in batch.events)
                if heard and not batch.events:
                    was_quiet.set()
                if len(heard) >= 27:
                    return

    following = asyncio.create_task(follow())
    await was_quiet.wait()
    assert heard == [str(number) for number in range(25)]
    await broker.publish_event(told(25))
    await broker.publish_event(told(26))
    await following
    assert heard == [str(number) for number in range(27)]


async def test_whoever_follows_again_goes_on_where_it_was(broker: Broker) -> None:
    for number in range(5):
        await broker.publish_event(told(number))
    ids, position = await followed(broker, 5)
    await broker.publish_event(told(5))
    more, position = await followed(broker, 1, position)
    async with aclosing(broker.following(position)) as batches:
        assert not (await anext(batches)).events
        await broker.publish_event(told(6))
        while not (last := await anext(batches)).events:
            pass
    assert (ids, more, [one["id"] for one in last.events]) == (["0", "1", "2", "3", "4"], ["5"], ["6"])
