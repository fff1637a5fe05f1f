"""What is lost with RabbitMQ, and noticed at once: links, queues, the hearing of a consumer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import aio_pika
import aiormq
import pytest
from aio_pika.abc import AbstractConnection
from yarl import URL

from tests.broker.places import Place, event, place_at, raw, renewal, retry, stands, until
from tests.broker.proxy import proxied
from tests.support.judging import kept_by_all
from tests.support.rabbit import broker_settings
from worker.broker import open_broker
from worker.broker import rabbitmq as module
from worker.broker.base import BrokerError, BrokerLostError
from worker.broker.connection import Connector
from worker.broker.consuming import Session, consuming
from worker.broker.rabbitmq import RabbitBroker, RabbitDeliveries
from worker.core.secret import Secret

T = TypeVar("T")

pytestmark = pytest.mark.rabbitmq


@pytest.fixture
async def place(rabbit: str) -> AsyncIterator[Place]:
    async with place_at(rabbit) as place:
        yield place


async def test_a_lost_connection_ends_deliveries_at_once(place: Place) -> None:
    async with proxied(place.url) as proxy:
        broker = open_broker(place.settings, Secret(proxy.url), place.retry, exposes=kept_by_all)
        async with broker.deliveries() as deliveries:
            waiting = asyncio.ensure_future(anext(deliveries))
            proxy.links[0].cut()
            with pytest.raises(BrokerLostError):
                await waiting
            assert not (await broker.state()).is_connected


async def test_what_is_in_hand_when_the_connection_is_lost_cannot_be_settled(place: Place) -> None:
    async with proxied(place.url) as proxy:
        broker = open_broker(place.settings, Secret(proxy.url), place.retry, exposes=kept_by_all)
        async with broker.deliveries() as deliveries:
            await place.broker().publish_renewal(renewal(b"news"))
            delivery = await anext(deliveries)
            proxy.links[0].cut()
            with pytest.raises(BrokerLostError):
                await anext(deliveries)
            with pytest.raises(BrokerLostError):
                await delivery.park(0, attempt=2)
        async with broker.deliveries() as deliveries:
            assert (await anext(deliveries)).message.attempt == 1


async def test_a_fence_is_the_first_to_notice_that_the_broker_does_not_answer_any_more(place: Place) -> None:
    url = str(URL(place.url).update_query(heartbeat=2))
    async with (
        proxied(url) as proxy,
        open_broker(place.settings, Secret(proxy.url), place.retry, exposes=kept_by_all).deliveries() as news,
    ):
        await place.broker().publish_renewal(renewal(b"news"))
        delivery = await anext(news)
        await delivery.fence()
        proxy.hold()
        await asyncio.sleep(1.1)  # as long as the broker's last answer counts
        fenced = asyncio.create_task(delivery.fence())
        with pytest.raises(BrokerLostError):
            await anext(news)
        assert not fenced.done()
        fenced.cancel()


async def test_a_lost_publishing_connection_is_opened_again_while_deliveries_go_on(place: Place) -> None:
    async with proxied(place.url) as proxy:
        broker = open_broker(place.settings, Secret(proxy.url), place.retry, exposes=kept_by_all)
        async with broker.deliveries() as deliveries:
            await broker.publish_event(event(id="1"))
            proxy.links[1].cut()
            async with AsyncExitStack() as stack:
                stack.push_async_callback(broker.close)
                await _insist_on(broker.publish_event, event(id="2"))
                await _insist_on(broker.publish_renewal, renewal(b"news"))
                assert (await anext(deliveries)).message.body == b"news"


async def test_a_publish_into_a_frozen_path_gives_up_and_the_next_one_succeeds(rabbit: str) -> None:
    async with place_at(rabbit) as place, proxied(rabbit) as proxy:
        hasty = place.settings.model_copy(update={"timeout_seconds": 0.5})
        broker = open_broker(hasty, Secret(proxy.url), place.retry, exposes=kept_by_all)
        await place.broker().declare()
        await broker.publish_event(event(id="1"))
        proxy.links[-1].freeze()
        with pytest.raises(BrokerError, match="TimeoutError"):
            await broker.publish_event(event(id="2"))
        await broker.publish_event(event(id="3"))
        await broker.close()


async def test_a_deleted_queue_ends_deliveries(place: Place) -> None:
    async with place.broker().deliveries() as deliveries, raw(place) as channel:
        waiting = asyncio.ensure_future(anext(deliveries))
        await channel.queue_delete(place.settings.queue)
        with pytest.raises(BrokerLostError, match="cancelled"):
            await waiting


async def test_a_consumer_that_gets_nothing_while_messages_are_ready_is_deaf(rabbit: str) -> None:
    async with _one_ready(rabbit) as (place, connection):
        deaf = Session(connection, place.settings, look_every=0.01, is_active=True)
        await deaf.watch()
        with pytest.raises(BrokerLostError, match="deaf"):
            await deaf.next()


async def test_a_standby_that_gets_nothing_is_not_deaf(rabbit: str) -> None:
    async with _one_ready(rabbit) as (place, connection):
        standby = Session(connection, place.settings, look_every=0.001)
        watching = asyncio.create_task(standby.watch())
        for _ in range(10):  # each of them takes longer than a look
            await place.opened[0].state()
        assert not standby.is_lost
        watching.cancel()


async def test_a_queue_that_lost_its_consumer_ends_deliveries(place: Place) -> None:
    await place.broker().declare()
    async with await aio_pika.connect(place.url) as connection:
        forgotten = Session(connection, place.settings, look_every=0.001)
        await forgotten.watch()
        with pytest.raises(BrokerLostError, match="no consumer"):
            await forgotten.next()


async def test_a_consumer_that_heard_nothing_for_long_gives_way_to_a_new_one_and_misses_nothing(place: Place) -> None:
    broker = RabbitBroker(place.settings, Secret(place.url), place.retry)
    await broker.declare()
    async with (
        await aio_pika.connect(place.url) as connection,
        consuming(connection, place.settings, 0.02, 5) as session,
    ):
        deliveries, first = RabbitDeliveries(broker, session), session.channel
        await place.broker().publish_renewal(renewal(b"in hand"))
        in_hand = await anext(deliveries)
        await asyncio.sleep(1)
        assert session.channel is first, "not while something is in hand"
        await in_hand.ack()
        await until(lambda: _is_another(session, first))
        for number in range(12):  # each comes about when the next consumer does
            await place.opened[-1].publish_renewal(renewal(str(number).encode()))
            delivery = await anext(deliveries)
            assert delivery.message.body == str(number).encode()
            await delivery.ack()
            await asyncio.sleep(0.02 * (14 + number % 4))
        assert session.is_active


async def test_a_watchdog_that_fails_ends_deliveries(place: Place) -> None:
    class Broken:
        def channel(self, **_options: object) -> object:
            raise KeyError("a bug")

    broken: Any = Broken()
    unwatched = Session(broken, place.settings, look_every=0.001)
    await unwatched.watch()
    with pytest.raises(BrokerLostError, match="KeyError"):
        await unwatched.next()


@pytest.mark.parametrize("bug", [KeyError("a bug"), Exception()])
async def test_a_fence_that_fails_takes_nobody_along(place: Place, bug: Exception) -> None:
    class Broken:
        def channel(self, **_options: object) -> object:
            raise bug

    broken: Any = Broken()
    session = Session(broken, place.settings, look_every=1)
    fenced = asyncio.create_task(session.fence())
    with pytest.raises(BrokerLostError):
        await session.next()
    await asyncio.sleep(0)
    assert not fenced.done()
    fenced.cancel()


async def test_a_dead_peer_is_noticed_within_a_minute(place: Place) -> None:
    async with Connector(place.settings, Secret(place.url)).connected() as connection:
        assert connection.transport is not None
        underlay = connection.transport.connection
        assert isinstance(underlay, aiormq.Connection)
        assert 0 < underlay.connection_tune.heartbeat <= 10


async def test_a_consumer_with_its_hands_full_is_not_deaf(rabbit: str) -> None:
    async with _one_ready(rabbit) as (place, connection):
        busy = Session(connection, place.settings, look_every=0.001, is_active=True, arrived=4)
        watching = asyncio.create_task(busy.watch())
        for _ in range(10):  # each of them takes longer than a look
            await place.opened[0].state()
        assert not busy.is_lost
        watching.cancel()


async def test_a_broker_that_is_not_there_is_lost() -> None:
    broker = open_broker(broker_settings(), Secret("amqp://guest:guest@127.0.0.1:1/"), retry(), exposes=kept_by_all)
    with pytest.raises(BrokerLostError):
        async with broker.deliveries():
            pass
    with pytest.raises(BrokerError):
        await broker.publish_renewal(renewal())
    assert not (await broker.state()).is_connected


async def test_what_cannot_be_counted_is_told_as_it_was_counted_last(
    rabbit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alert that waits for twelve hours of parked renewals would begin anew, and one of dead letters be over."""
    kept = {"dead": 1, "parked": 1, "buried": 1, "room": 0}
    there = {**kept, "ready": 2, "is_connected": True, "is_counted": True}
    # What was ready may be in hand by now: told again and again, it would show a worker that takes nothing.
    unknown = {**kept, "ready": 0, "is_counted": False}
    async with place_at(rabbit, prefetch=1) as place, proxied(place.url) as proxy:
        broker = open_broker(place.settings, Secret(proxy.url), place.retry, exposes=kept_by_all)
        async with broker.deliveries() as deliveries:
            for number in range(8):
                await place.broker().publish_renewal(renewal(b"%d" % number))
            await (await anext(deliveries)).bury("not_found", keep_body=True)
            await (await anext(deliveries)).park(3600, attempt=2)
            await until(lambda: stands(broker, **there))
            with monkeypatch.context() as patch:
                patch.setattr(module, "_COUNTING_SECONDS", 0.2)
                proxy.links[0].freeze()
                assert await stands(broker, **unknown, is_connected=True, is_active=True)
            proxy.links[0].thaw()
            await until(lambda: stands(broker, **there))
            proxy.links[0].cut()
            await until(lambda: stands(broker, **unknown, is_connected=False, is_active=False))
        assert await stands(broker, **unknown, is_connected=False, is_active=False)
        await broker.close()


async def test_a_bad_password_is_not_told(place: Place) -> None:
    url = str(URL(place.url).with_password("wrong-secret"))
    with pytest.raises(BrokerLostError, match="refuses these credentials") as caught:
        await open_broker(place.settings, Secret(url), place.retry, exposes=kept_by_all).declare()
    assert "wrong-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


async def _is_another(session: Session, channel: object) -> bool:
    return session.channel is not channel


@asynccontextmanager
async def _one_ready(url: str) -> AsyncIterator[tuple[Place, AbstractConnection]]:
    """A queue with one message ready, for its consumer has its hands full; and another connection."""
    async with place_at(url, prefetch=1) as place:
        broker = place.broker()
        async with broker.deliveries() as deliveries, await aio_pika.connect(url) as connection:
            for body in (b"1", b"2", b"3", b"4", b"5"):
                await broker.publish_renewal(renewal(body))
            for _ in range(4):  # as many as are taken where one is worked on
                await anext(deliveries)
            await until(lambda: stands(broker, ready=1))
            yield place, connection


async def _insist_on(step: Callable[[T], Awaitable[None]], what: T) -> None:
    """As the consumer does: what was refused is tried again."""
    while True:
        try:
            return await step(what)
        except BrokerLostError:
            raise
        except BrokerError:
            await asyncio.sleep(0)
