"""Where brokers of a test meet: one queue with everything around it, and any number of workers on it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from tests.support.judging import kept_by_all
from tests.support.rabbit import broker_settings, remove
from worker.broker import open_broker
from worker.broker.base import Broker, Message
from worker.core.secret import Secret
from worker.settings.model import Broker as Settings
from worker.settings.model import Retry

TRACEPARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"


@dataclass(frozen=True, slots=True)
class Place:
    """Settings that several brokers share."""

    url: str
    settings: Settings
    retry: Retry
    opened: list[Broker] = field(default_factory=list)

    def broker(self) -> Broker:
        """One more process, as far as the broker can tell."""
        self.opened.append(open_broker(self.settings, Secret(self.url), self.retry, exposes=kept_by_all))
        return self.opened[-1]


Places = Callable[..., AbstractAsyncContextManager[Place]]
"""Opens one, with settings that differ from the usual ones."""


def retry(**overrides: Any) -> Retry:
    return Retry.model_validate({"parking_seconds": (0.2, 3600), **overrides})


@asynccontextmanager
async def place_at(url: str, *, is_left: bool = False, **overrides: Any) -> AsyncIterator[Place]:
    """A place of a test's own, left as it was found.

    `is_left`: its objects stay, on a node that is thrown away. Of one that has just been started, RabbitMQ 3.10 takes
    no queues that dead-letter at least once any more after such a queue was deleted while it still chose its leader.
    """
    place = Place(url, broker_settings(url=url, timeout_seconds=10, **overrides), retry())
    try:
        yield place
    finally:
        for broker in place.opened:
            await broker.close()
        if url.startswith("amqp") and not is_left:
            await remove(url, place.settings, place.retry)


def renewal(body: bytes = b"{}", **overrides: Any) -> Message:
    return Message(**{"body": body, "content_type": "application/cloudevents+json", **overrides})


def event(**overrides: Any) -> dict[str, object]:
    return {"type": "certificate.rotation.succeeded", "subject": "shop", "id": "1", **overrides}


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """What the broker does in its own time can only be asked for, again and again; the test's timeout is the end."""
    while not await is_so():
        await asyncio.sleep(0.02)


@asynccontextmanager
async def raw(place: Place) -> AsyncIterator[AbstractChannel]:
    """The broker without our code."""
    connection = await aio_pika.connect(place.url)
    async with connection, connection.channel() as channel:
        yield channel


async def stands(broker: Broker, **wanted: object) -> bool:
    state = await broker.state()
    return all(getattr(state, name) == value for name, value in wanted.items())


async def delivered_too_often(broker: Broker, count: int = 1) -> None:
    """So many messages, in a queue that gives each up at the second delivery."""
    for _ in range(2):
        async with broker.deliveries() as deliveries:
            for _ in range(count):
                await anext(deliveries)
    async with broker.deliveries() as deliveries:
        with suppress(TimeoutError):
            await asyncio.wait_for(anext(deliveries), 0.5)
