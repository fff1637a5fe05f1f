"""What is learned while the history is being read is not forgotten, and does not come twice; and when it is read."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.broker.test_contract_past import placed, put
from tests.support.virtual_time import run_virtual
from worker.broker.base import BrokerError, BrokerLostError, TopologyError
from worker.broker.facts import Facts
from worker.broker.recall import Recall
from worker.core.note import Note, entry_of
from worker.core.snapshot import Snapshot

LEAF = "aa" * 32
SNAPSHOT = Snapshot({("a.example.com", "i1"): True})
NOTE = entry_of("shop", Note("apig/c1", LEAF, SNAPSHOT))


@dataclass
class Slow:
    """A history that is read as it was when reading began; as often as there are failures it cannot be."""

    entries: list[Mapping[str, object]] = field(default_factory=list)
    failures: list[BrokerError] = field(default_factory=list)
    reads: int = 0
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, facts: Facts) -> None:
        entries = tuple(self.entries)
        self.reads += 1
        self.reading.set()
        await self.may_end.wait()
        if self.failures:
            raise self.failures.pop(0)
        for one in entries:
            facts.take_in(one)


def quick(*entries: Mapping[str, object]) -> Slow:
    slow = Slow(list(entries))
    slow.may_end.set()
    return slow


async def test_what_is_told_while_it_is_read_comes_once_and_after_what_is_read() -> None:
    slow = Slow([put("aa"), NOTE])
    recall = Recall(slow)
    recall.learn(put("00"))
    asking = [asyncio.create_task(recall.facts()) for _ in range(3)]
    await slow.reading.wait()
    for one in (put("bb"), put("aa")):
        recall.learn(one)
    slow.may_end.set()
    for facts in await asyncio.gather(*asking):
        assert facts.past("shop") == (placed("bb"), placed("aa"))
        assert facts.noted("shop", LEAF) == {}, "its outcome came after it"
    recall.learn(NOTE)
    facts = await recall.facts()
    assert (facts.noted("shop", LEAF), slow.reads) == ({"apig/c1": SNAPSHOT}, 1)


async def test_what_is_told_before_anybody_asks_takes_no_place() -> None:
    recall = Recall(quick())
    for _ in range(3):
        recall.learn(put("aa"))
    assert (await recall.facts()).past("shop") == ()


async def test_a_turn_that_begins_while_it_is_read_begins_with_another_look() -> None:
    slow = Slow([put("aa")])
    recall = Recall(slow)
    asking = asyncio.create_task(recall.facts())
    await slow.reading.wait()
    slow.entries.append(put("bb"))
    recall.forget()
    slow.may_end.set()
    assert (await asking).past("shop") == (placed("aa"), placed("bb"))


async def test_another_turn_begins_with_another_look() -> None:
    slow = quick(put("aa"))
    recall = Recall(slow)
    await recall.facts()
    slow.entries.append(put("bb"))
    assert (await recall.facts()).past("shop") == (placed("aa"),), "nobody else tells anything in our turn"
    recall.forget()
    assert (await recall.facts()).past("shop") == (placed("aa"), placed("bb"))


def test_without_a_turn_what_was_read_is_believed_for_a_while() -> None:
    async def scenario() -> None:
        slow = quick(put("aa"))
        recall = Recall(slow, lambda: 60.0)
        for seconds, reads in ((0.0, 1), (59.0, 1), (2.0, 2)):
            await asyncio.sleep(seconds)
            await asyncio.gather(*(recall.facts() for _ in range(3)))
            assert slow.reads == reads

    run_virtual(scenario())


@pytest.mark.parametrize("kind", [BrokerError, BrokerLostError, TopologyError])
def test_what_could_not_be_read_is_not_asked_for_by_each_who_waits_but_later(kind: type[BrokerError]) -> None:
    async def scenario() -> None:
        slow = quick(put("aa"))
        slow.failures = [kind("away"), kind("away")]
        recall = Recall(slow)
        for seconds in (0.0, 29.0, 2.0):
            await asyncio.sleep(seconds)
            refusals = await asyncio.gather(*(recall.facts() for _ in range(3)), return_exceptions=True)
            assert [(type(one), str(one)) for one in refusals] == [(kind, "away")] * 3
        assert (slow.reads, recall.is_barred) == (2, kind is TopologyError)
        recall.forget()
        assert not recall.is_barred
        assert (await recall.facts()).past("shop") == (placed("aa"),)

    run_virtual(scenario())


def test_what_was_barred_is_read_again_for_whoever_only_asks_whether_it_can_be() -> None:
    async def scenario() -> None:
        slow = quick(put("aa"))
        slow.failures = [TopologyError("no stream"), TopologyError("no stream")]
        recall = Recall(slow)
        assert await recall.is_readable(), "nobody has missed it yet"
        with pytest.raises(TopologyError):
            await recall.facts()
        for seconds, reads, is_readable in ((29.0, 1, False), (2.0, 2, False), (29.0, 2, False), (2.0, 3, True)):
            await asyncio.sleep(seconds)
            assert (await recall.is_readable(), slow.reads) == (is_readable, reads)

    run_virtual(scenario())
