"""What may be what kills the process is worked on alone, and only what was tried is given up."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.clouds import renewal
from tests.support.fake_gateway import FakeGateway
from tests.support.values import stored
from tests.worker.test_consumer import AUTHORITY, NAMES, Inbox, consumer_of
from worker.broker.base import BrokerLostError, Message, redelivered
from worker.core.past import Placed
from worker.core.snapshot import Snapshot
from worker.in_hand import InHand


@dataclass
class Queue:
    """What it gives out in one session after the other; each but the last is lost as soon as all was taken."""

    sessions: list[Sequence[Message]]
    stopping: asyncio.Event
    log: list[str] = field(default_factory=list)
    left: int = 0
    others_told_at: datetime | None = None

    @asynccontextmanager
    async def deliveries(self) -> AsyncGenerator[AsyncIterator[Inbox]]:
        yield self._all(self.sessions.pop(0))

    async def _all(self, messages: Sequence[Message]) -> AsyncGenerator[Inbox]:
        self.left = len(messages)
        for message in messages:
            yield InQueue(message, self.stopping, log=self.log, queue=self)
        if self.sessions:
            raise BrokerLostError("the broker is gone")
        await asyncio.Event().wait()

    async def publish_event(self, _event: object) -> None:
        self.log.append("event")

    async def told(self, *_what: object) -> None:
        return None

    async def kept(self, *_what: object) -> Mapping[str, Snapshot]:
        return {}

    async def past(self, _certificate: str) -> Sequence[Placed]:
        return ()

    async def told_by_others_at(self) -> datetime | None:
        return self.others_told_at


@dataclass
class InQueue(Inbox):
    """One of them: the consumer is stopped when all are settled."""

    queue: Queue | None = None

    def _settled(self, how: str) -> None:
        assert self.queue is not None
        self.log.append(how)
        self.queue.left -= 1
        if not self.queue.left:
            self.stopping.set()


def delivered(times: int, *, last: bool = False) -> Message:
    sent = redelivered(renewal(AUTHORITY.issue(NAMES)), times, 4)
    return replace(sent, is_last_delivery=last)


class Silent(FakeGateway):
    """Never answers."""

    async def observe(self, *_what: object, **_how: object) -> Any:
        await asyncio.Event().wait()


async def settled(*sessions: Sequence[Message], at: type[FakeGateway] = FakeGateway) -> tuple[list[str], FakeGateway]:
    queue, gateway = Queue(list(sessions), asyncio.Event()), at(stored(), {"a.example.com": False})
    await consumer_of(queue, gateway).run()
    return queue.log, gateway


async def test_of_all_that_is_delivered_for_the_last_time_only_the_first_is_given_up() -> None:
    log, gateway = await settled([delivered(20, last=True) for _ in range(3)])
    assert sorted(log) == ["bury delivery_limit of shop kept", "event", "park 0 as 1", "park 0 as 1"]
    assert gateway.journal == []


@pytest.mark.parametrize(
    ("redeliveries", "minutes_ago", "inherited"), [(1, None, ["inherit 0"]), (0, 2, ["inherit 120"]), (0, None, [])]
)
async def test_the_limits_of_the_worker_before_are_inherited_as_far_as_it_was_at_work(
    redeliveries: int, minutes_ago: int | None, inherited: list[str]
) -> None:
    first, gateway = replace(delivered(redeliveries), is_inherited=True), FakeGateway(stored(), {})
    queue = Queue([[first, delivered(0)]], asyncio.Event())
    if minutes_ago is not None:
        queue.others_told_at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    await consumer_of(queue, gateway).run()
    assert [one for one in gateway.journal if one.startswith("inherit")] == inherited


async def test_what_a_living_process_had_in_hand_when_the_broker_went_is_never_given_up_for_it() -> None:
    before = delivered(19)
    log, _ = await settled([before], [replace(before, redeliveries=20, is_last_delivery=True)], at=Silent)
    assert log == ["park 0 as 1"]


async def test_a_suspect_waits_for_all_before_it_and_all_behind_it_wait_for_the_suspect() -> None:
    in_hand, ends = InHand(), [asyncio.Event() for _ in range(3)]
    sound, suspect, behind = delivered(1), delivered(2), delivered(0)
    tasks = [asyncio.create_task(_until(end)) for end in ends]
    assert in_hand.ahead_of(sound) == []
    in_hand.add(tasks[0], sound)
    assert in_hand.ahead_of(delivered(0)) == []
    assert in_hand.ahead_of(suspect) == [tasks[0]]
    in_hand.add(tasks[1], suspect)
    assert in_hand.ahead_of(behind) == [tasks[1]]
    assert in_hand.ahead_of(delivered(3)) == tasks[:2]
    ends[1].set()
    await tasks[1]
    assert in_hand.ahead_of(behind) == []
    for task in tasks:
        task.cancel()


async def test_whoever_survived_with_it_in_hand_does_not_suspect_it() -> None:
    in_hand, never = InHand(), asyncio.Event()
    suspect = delivered(5)
    task = asyncio.create_task(_until(never))
    in_hand.add(task, delivered(0))
    in_hand.add(cut_short := asyncio.create_task(_until(never)), suspect)
    cut_short.cancel()
    await asyncio.wait([cut_short])
    in_hand.session_ended()
    in_hand.add(task, delivered(0))
    assert in_hand.ahead_of(replace(suspect, redeliveries=6)) == []
    assert in_hand.ahead_of(delivered(6)) == [task]
    task.cancel()


async def test_in_each_session_only_the_first_last_delivery_is_given_up() -> None:
    in_hand = InHand()
    sound, last, other = delivered(0), delivered(20, last=True), delivered(20, last=True)
    assert [in_hand.is_given_up(one) for one in (sound, last, other)] == [False, True, False]
    in_hand.session_ended()
    assert [in_hand.is_given_up(one) for one in (sound, other, last)] == [False, True, False]


async def test_what_failed_or_was_cut_short_is_in_hand_until_the_session_ends_and_what_ended_is_not() -> None:
    async def fails() -> None:
        raise ValueError

    in_hand, never = InHand(), asyncio.Event()
    failing, cut, ending = (asyncio.create_task(one) for one in (fails(), _until(never), asyncio.sleep(0)))
    messages = [delivered(3) for _ in range(3)]
    for task, one in zip((failing, cut, ending), messages, strict=True):
        in_hand.add(task, one)
    assert set(in_hand.tasks) == {failing, cut, ending}
    cut.cancel()
    await asyncio.wait([failing, cut, ending])
    assert isinstance(failing.exception(), ValueError)
    assert in_hand.tasks == []
    in_hand.session_ended()
    later = [replace(one, redeliveries=20, is_last_delivery=True) for one in messages]
    assert [in_hand.is_given_up(one) for one in later] == [False, False, True]


async def _until(end: asyncio.Event) -> None:
    await end.wait()
