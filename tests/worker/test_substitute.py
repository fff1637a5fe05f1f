"""Who stands in for a worker, in virtual time: what it takes, what it puts off, and when it goes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from tests.support.virtual_time import run_virtual
from worker.broker.base import Message
from worker.consumer import Sieve
from worker.substitute import Substitute

JUDGED = {b"theirs, a key in the open": True, b"theirs, and unreadable": False}


@dataclass
class Queue:
    """Deliveries by name, each at its time; and what became of them."""

    comes: list[tuple[float, str]]
    served: bool = False
    log: list[tuple[float, str]] = field(default_factory=list)

    def now(self, what: str) -> None:
        self.log.append((round(asyncio.get_running_loop().time()), what))

    async def is_served(self) -> bool:
        return self.served

    async def deliveries(self) -> AsyncIterator[Any]:
        while self.comes:
            at, name = self.comes.pop(0)
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            yield Lying(self, name)
        await asyncio.Event().wait()


@dataclass
class Lying:
    queue: Queue
    name: str

    @property
    def message(self) -> Message:
        return Message(self.name.encode(), "text/plain", attempt=3)

    async def park(self, delay: float, *, attempt: int, opened_at: datetime | None = None) -> None:
        self.queue.now(f"{self.name} put off {delay:g} as {attempt}")


@dataclass
class Working:
    """A consumer whose every rotation takes ten seconds."""

    queue: Queue
    stopping: asyncio.Event
    sieve: Sieve
    busy: int = 0

    @property
    def is_idle(self) -> bool:
        return not self.busy

    async def run(self) -> None:
        self.queue.now("begins")
        pump = asyncio.create_task(self._pump())
        await self.stopping.wait()
        pump.cancel()
        self.queue.now("leaves" if self.is_idle else "leaves in the middle")

    async def _pump(self) -> None:
        async for delivery in self.sieve(self.queue.deliveries()):
            self.queue.now(delivery.message.body.decode())
            self.busy += 1
            asyncio.get_running_loop().call_later(10, self._ended)

    def _ended(self) -> None:
        self.busy -= 1


def stood_in(queue: Any, seconds: float) -> list[tuple[float, str]]:
    def consumer(stopping: asyncio.Event, sieve: Sieve) -> Any:
        return Working(queue, stopping, sieve)

    async def scenario() -> None:
        substitute = Substitute(
            queue,
            consumer,
            lambda message: message.body.startswith(b"own"),
            30,
            lambda message: JUDGED.get(message.body),
        )
        async with substitute.at_hand():
            with substitute.needed():
                await asyncio.sleep(seconds)

    run_virtual(scenario())
    return list(queue.log)


def test_it_works_on_its_own_and_lets_others_in_when_what_it_has_in_hand_has_ended() -> None:
    queue = Queue([(0, "own 1"), (2, "theirs"), (2.5, "own 2"), (5, "own 3")])
    log = stood_in(queue, 13.5)
    assert log[:5] == [
        (0, "begins"),
        (0, "own 1"),
        (2, "theirs put off 30 as 3"),
        (2, "own 2"),
        (5, "own 3 put off 30 as 3"),
    ]
    assert log[5][1] == "leaves"


@pytest.mark.parametrize("what", JUDGED)
def test_what_must_not_be_kept_is_put_into_no_other_queue_but_given_to_who_refuses_it(what: bytes) -> None:
    assert stood_in(Queue([(0, "own 1"), (2, what.decode())]), 13.5)[:3] == [
        (0, "begins"),
        (0, "own 1"),
        (2, what.decode()),
    ]


def test_it_does_not_keep_others_out_for_long_while_nothing_of_its_own_comes() -> None:
    assert stood_in(Queue([(1, "theirs")]), 31.5) == [
        (0, "begins"),
        (1, "theirs put off 30 as 3"),
        (31, "leaves"),
    ]


def test_where_a_worker_serves_the_queue_it_takes_nothing() -> None:
    assert stood_in(Queue([(0, "own 1")], served=True), 60) == []


def test_it_leaves_with_the_last_of_its_own() -> None:
    assert stood_in(Queue([(0, "own 1")]), 60) == [(0, "begins"), (0, "own 1"), (60, "leaves")]
