"""A consumer whose broker refuses it, says nothing, or is lost."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.fake_gateway import FakeGateway
from tests.support.values import stored
from tests.support.virtual_time import run_virtual
from tests.worker.test_consumer import Inbox, consumer_of, good
from worker.broker.base import BrokerError, BrokerLostError, TopologyError


async def test_who_is_told_to_stop_does_not_wait_for_a_broker_that_says_nothing() -> None:
    class Silent(Inbox):
        @asynccontextmanager
        async def deliveries(self) -> AsyncGenerator[AsyncIterator[Inbox]]:
            self.stopping.set()
            await asyncio.Event().wait()
            yield self._one()

    inbox = Silent(good(), asyncio.Event())
    await consumer_of(inbox, FakeGateway(stored(), {})).run()
    assert inbox.log == []


@dataclass
class Moody(Inbox):
    """Answers one connection after the other: what it raises, or None for a session that is lost at once."""

    answers: list[BrokerError | None] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)

    @asynccontextmanager
    async def deliveries(self) -> AsyncGenerator[AsyncIterator[Inbox]]:
        self.asked_at.append(asyncio.get_running_loop().time())
        answer = self.answers.pop(0)
        if not self.answers:
            self.stopping.set()
        if answer is not None:
            raise answer
        yield self._nothing()

    async def _nothing(self) -> AsyncGenerator[Inbox]:
        """A session that ends is one that was lost."""
        none: list[Inbox] = []
        for one in none:
            yield one


def moody(*answers: BrokerError | None) -> Moody:
    inbox = Moody(good(), asyncio.Event(), answers=list(answers))
    run_virtual(consumer_of(inbox, FakeGateway(stored(), {})).run())
    return inbox


def test_a_broker_that_refuses_the_first_connection_ends_the_service() -> None:
    with pytest.raises(TopologyError):
        moody(TopologyError("queue: exists with other arguments"), None)
    with pytest.raises(BrokerError, match="ca_file"):
        moody(BrokerLostError("away"), BrokerError("ca_file"), None)


def test_a_broker_that_refuses_a_later_connection_is_tried_again_less_and_less_often() -> None:
    with capture_logs() as told:
        inbox = moody(None, TopologyError("queue: is missing"), BrokerError("ca_file"), BrokerLostError("away"), None)
    waits = [after - before for before, after in pairwise(inbox.asked_at)]
    assert waits == sorted(waits)
    assert waits[0] > 0
    assert waits[-1] > waits[0]
    kinds = [one["event"].removeprefix("consumer.") for one in told]
    assert kinds == ["connected", "disconnected", "refused", "refused", "disconnected", "connected"]


async def test_a_lost_broker_cancels_what_is_in_hand() -> None:
    reached, cancelled = asyncio.Event(), asyncio.Event()

    class Slow(FakeGateway):
        async def observe(self, *_what: object, **_how: object) -> Any:
            reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    class Losing(Inbox):
        async def _one(self) -> AsyncGenerator[Inbox]:
            yield self
            await reached.wait()
            self.stopping.set()
            raise BrokerLostError("gone")

    inbox = Losing(good(), asyncio.Event())
    await consumer_of(inbox, Slow(stored(), {})).run()
    assert cancelled.is_set()
    assert inbox.log == []
