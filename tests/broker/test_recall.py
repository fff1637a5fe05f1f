"""What is learned while the history is being read is not forgotten, and does not come twice."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from worker.broker.recall import Recall, Told
from worker.core.note import TYPE, Note, entry_of
from worker.core.snapshot import Snapshot

LEAF = "ab" * 32
SNAPSHOT = Snapshot({("a.example.com", "i1"): True})
NOTE = entry_of("shop", Note("apig/c1", LEAF, SNAPSHOT))
OUTCOME: Mapping[str, object] = {
    "id": "mine",
    "subject": "shop",
    "time": "2026-01-01T00:00:00Z",
    "data": {"outcome": "failed", "reason": "forbidden", "leaf": {"fingerprint_sha256": LEAF}},
}


@dataclass
class Slow:
    """A history that is read as it was when reading began; `failures` times it cannot be."""

    entries: list[Mapping[str, object]] = field(default_factory=list)
    failures: int = 0
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> Sequence[Mapping[str, object]]:
        entries = tuple(self.entries)
        self.reading.set()
        await self.may_end.wait()
        self.failures -= 1
        if self.failures >= 0:
            raise OSError
        return entries


async def learned_while_reading(slow: Slow, *news: Mapping[str, object]) -> Recall:
    recall = Recall(slow)
    asking = asyncio.create_task(recall.noted("shop", LEAF))
    await slow.reading.wait()
    for one in news:
        slow.entries.append(one)
        recall.learn(one)
    slow.may_end.set()
    await asyncio.gather(asking, return_exceptions=True)
    return recall


async def test_an_outcome_that_is_told_while_the_history_is_read_ends_its_note() -> None:
    recall = await learned_while_reading(Slow([NOTE]), OUTCOME)
    assert await recall.noted("shop", LEAF) == {}
    assert await recall.find(["mine"], "shop", None) == Told("failed", "forbidden", "2026-01-01T00:00:00Z")


async def test_a_note_that_is_left_while_the_history_is_read_is_known() -> None:
    recall = await learned_while_reading(Slow([NOTE, OUTCOME]), NOTE)
    assert await recall.noted("shop", LEAF) == {"apig/c1": SNAPSHOT}


async def test_what_was_learned_while_reading_failed_is_read_in_its_order() -> None:
    slow = Slow(failures=1)
    recall = await learned_while_reading(slow, NOTE)
    slow.entries.append(OUTCOME)
    assert await recall.noted("shop", LEAF) == {}


@pytest.mark.parametrize(
    "garbage",
    [
        {"type": TYPE},
        {**NOTE, "flags": "all of them"},
        {**NOTE, "deployment": {}},
        {**OUTCOME, "data": {"leaf": ["ab"]}},
        {**OUTCOME, "data": {"leaf": {"fingerprint_sha256": {}}}},
        {**OUTCOME, "data": None, "subject": []},
        {"type": [TYPE]},
    ],
)
async def test_what_is_no_note_and_no_event_is_passed_over(garbage: Mapping[str, object]) -> None:
    slow = Slow([garbage, NOTE, garbage])
    slow.may_end.set()
    assert await Recall(slow).noted("shop", LEAF) == {"apig/c1": SNAPSHOT}


async def test_another_turn_begins_with_another_look() -> None:
    slow = Slow([NOTE])
    slow.may_end.set()
    recall = Recall(slow)
    assert await recall.noted("shop", LEAF) == {"apig/c1": SNAPSHOT}
    slow.entries.append(OUTCOME)
    assert await recall.noted("shop", LEAF) == {"apig/c1": SNAPSHOT}, "nobody else tells anything in our turn"
    recall.forget()
    assert await recall.noted("shop", LEAF) == {}
