"""What only RabbitMQ does: lost links, drifted objects, forged headers, users and their rights."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from tests.broker.places import Place, event, place_at, renewal, retry, until
from tests.broker.proxy import proxied
from tests.support.rabbit import SERVER, RabbitNode, broker_settings, running
from worker.broker import open_broker
from worker.broker.base import Broker, BrokerError, BrokerLostError, Delivery, TopologyError
from worker.broker.consuming import Session
from worker.broker.topology import definitions, parking_queue, topology
from worker.core.secret import Secret

T = TypeVar("T")

pytestmark = pytest.mark.rabbitmq


@pytest.fixture
async def place(rabbit: str) -> AsyncIterator[Place]:
    async with place_at(rabbit) as place:
        yield place


@pytest.fixture(scope="module")
def node(rabbit: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """One of our own, to be administered and killed."""
    if not SERVER.exists():
        pytest.skip(f"{rabbit.partition(':')[0]}: somebody else's broker is not killed, and none is installed here")
    with running(tmp_path_factory.mktemp("rabbitmq") / "node") as node:
        yield node


@asynccontextmanager
async def raw(place: Place) -> AsyncIterator[AbstractChannel]:
    """The broker without our code."""
    connection = await aio_pika.connect(place.url)
    async with connection, connection.channel() as channel:
        yield channel


async def test_a_queue_with_other_arguments_is_named_with_the_difference(place: Place) -> None:
    name = parking_queue(place.settings, 3600)
    wanted = topology(place.settings, place.retry.parking_seconds)
    [arguments] = [dict(queue.arguments) for queue in wanted.queues if queue.name == name]
    async with raw(place) as channel:
        await channel.declare_queue(name, durable=True, arguments={**arguments, "x-message-ttl": 5})
    with pytest.raises(TopologyError, match=rf"queue {name}: .*x-message-ttl.*'3600000'.*'5'"):
        await place.broker().declare()


async def test_an_exchange_of_another_kind_is_named(place: Place) -> None:
    async with raw(place) as channel:
        await channel.declare_exchange(place.settings.exchange, "fanout", durable=True)
    with pytest.raises(TopologyError, match=f"exchange {place.settings.exchange}: .*type"):
        async with place.broker().deliveries():
            pass


async def test_without_declaring_every_missing_object_is_named_and_none_is_made(rabbit: str) -> None:
    async with place_at(rabbit, declare=False) as place:
        for _ in range(2):
            with pytest.raises(TopologyError) as caught:
                await place.broker().declare()
            assert f"exchange {place.settings.exchange}: is missing" in str(caught.value)
            assert f"queue {place.settings.dead_queue}: is missing" in str(caught.value)


async def test_headers_count_only_in_what_the_worker_itself_has_published(place: Place) -> None:
    forged: Mapping[str, Any] = {
        "x-rotation-attempt": 7,
        "x-rotation-producer": "victim",
        "x-death": [{"reason": "delivery_limit", "count": 999, "queue": place.settings.queue}],
    }
    async with place.broker().deliveries() as deliveries:
        await _inject(place, b"news", forged)
        message = (await anext(deliveries)).message
    assert (message.attempt, message.user_id) == (1, None)


async def test_what_nobody_vouched_for_does_not_become_the_workers_own(place: Place) -> None:
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        await _inject(place, b"anonymous", {})
        await (await anext(deliveries)).park(0, attempt=2)
        parked = await anext(deliveries)
        await parked.bury("unauthorized_producer", certificate=None, renewal_id=None, keep_body=True)
        await broker.replay([one.id for one in await broker.dead()])
        replayed = await anext(deliveries)
    assert (parked.message.user_id, parked.message.attempt) == (None, 2)
    assert (replayed.message.user_id, replayed.message.attempt) == (None, 1)


async def test_a_forged_reason_is_not_told_of_what_the_broker_gave_up(rabbit: str) -> None:
    async with place_at(rabbit, delivery_limit=1) as place:
        broker = place.broker()
        await broker.declare()
        await _inject(place, b"poison", {"x-rotation-reason": "\x1b[2Jforged", "x-rotation-certificate": "victim"})
        for _ in range(2):
            async with broker.deliveries() as deliveries:
                await anext(deliveries)
        async with broker.deliveries():
            await until(lambda: _stands(broker, dead=1))
        [dead] = await broker.dead()
    assert (dead.reason, dead.certificate) == ("delivery_limit", None)


async def test_a_copy_is_persistent_and_says_who_published_it(place: Place) -> None:
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        await broker.publish_renewal(renewal())
        first = await anext(deliveries)
        await first.bury("expired", certificate="shop", renewal_id="r1", keep_body=True)
    async with raw(place) as channel:
        copy = await (await channel.get_queue(place.settings.dead_queue)).get()
    assert copy.user_id == "guest"
    assert copy.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert copy.message_id not in (None, first.message.message_id)
    told = {f"x-rotation-{name}" for name in ("reason", "certificate", "renewal", "producer", "since")}
    assert set(copy.headers) - {"x-delivery-count"} == told


async def test_an_event_is_a_cloud_event_under_its_type(place: Place) -> None:
    broker = place.broker()
    await broker.declare()
    async with raw(place) as channel:
        listener = await channel.declare_queue(exclusive=True)
        await listener.bind(place.settings.events_exchange, "certificate.rotation.failed")
        await broker.publish_event(event(type="certificate.rotation.succeeded"))
        await broker.publish_event(event(type="certificate.rotation.failed", traceparent="00-aa-bb-01"))
        heard = await _heard(listener)
    assert json.loads(heard.body)["type"] == "certificate.rotation.failed"
    assert (heard.content_type, heard.user_id) == ("application/cloudevents+json", "guest")
    assert heard.headers == {"traceparent": "00-aa-bb-01"}


async def test_a_renewal_that_no_queue_takes_is_an_error_and_holds_up_no_other(rabbit: str) -> None:
    async with place_at(rabbit, binding_keys=("another.key",)) as place:
        broker = place.broker()
        await broker.declare()
        with pytest.raises(BrokerError, match=f"{place.settings.exchange}: no queue took the message"):
            await broker.publish_renewal(renewal())
        await broker.publish_event(event())
        assert len(await broker.history()) == 1


async def test_a_missing_exchange_is_named_and_publishing_goes_on_when_it_is_there(place: Place) -> None:
    broker = place.broker()
    with pytest.raises(BrokerError, match=f"no exchange '{place.settings.events_exchange}'"):
        await broker.publish_event(event())
    await broker.declare()
    await broker.publish_event(event())
    assert len(await broker.history()) == 1


async def test_a_lost_connection_ends_deliveries_at_once(place: Place) -> None:
    async with proxied(place.url) as proxy:
        broker = open_broker(place.settings, Secret(proxy.url), place.retry)
        async with broker.deliveries() as deliveries:
            waiting = asyncio.ensure_future(anext(deliveries))
            proxy.links[0].cut()
            with pytest.raises(BrokerLostError):
                await waiting
            assert not (await broker.state()).is_connected


async def test_what_is_in_hand_when_the_connection_is_lost_cannot_be_settled(place: Place) -> None:
    async with proxied(place.url) as proxy:
        broker = open_broker(place.settings, Secret(proxy.url), place.retry)
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


async def test_a_lost_publishing_connection_is_opened_again_while_deliveries_go_on(place: Place) -> None:
    async with proxied(place.url) as proxy:
        broker = open_broker(place.settings, Secret(proxy.url), place.retry)
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
        broker = open_broker(hasty, Secret(proxy.url), place.retry)
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


async def test_a_consumer_with_its_hands_full_is_not_deaf(rabbit: str) -> None:
    async with _one_ready(rabbit) as (place, connection):
        busy = Session(connection, place.settings, look_every=0.001, is_active=True, arrived=1)
        watching = asyncio.create_task(busy.watch())
        for _ in range(10):  # each of them takes longer than a look
            await place.opened[0].state()
        assert not busy.is_lost
        watching.cancel()


async def test_a_bad_password_is_not_told(place: Place) -> None:
    url = place.url.replace("guest@", "wrong-secret@")
    with pytest.raises(BrokerLostError, match="refuses these credentials") as caught:
        await open_broker(place.settings, Secret(url), place.retry).declare()
    assert "wrong-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_broker_that_is_not_there_is_lost() -> None:
    broker = open_broker(broker_settings(), Secret("amqp://guest:guest@127.0.0.1:1/"), retry())
    with pytest.raises(BrokerLostError):
        async with broker.deliveries():
            pass
    with pytest.raises(BrokerError):
        await broker.publish_renewal(renewal())
    assert not (await broker.state()).is_connected


async def test_a_missing_ca_file_is_an_error_of_the_settings_and_no_lost_broker(tmp_path: Path) -> None:
    settings = broker_settings(ca_file=tmp_path / "missing.pem")
    broker = open_broker(settings, Secret("amqps://guest:guest@127.0.0.1:1/"), retry())
    with pytest.raises(BrokerError, match="ca_file") as caught:
        await broker.declare()
    assert not isinstance(caught.value, BrokerLostError)


async def test_the_exported_rights_are_enough_and_the_producer_stays_known(node: RabbitNode) -> None:
    async with place_at(node.url, declare=False) as place:
        await asyncio.to_thread(_administer, node, place)
        await until(lambda: _is_back(place.broker()))
        worker = open_broker(place.settings, Secret(_as_user(node, "rotation-worker")), place.retry)
        producer = open_broker(place.settings, Secret(_as_user(node, "rotation-producer")), place.retry)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(worker.close)
            stack.push_async_callback(producer.close)
            await producer.publish_renewal(renewal(b"news"))
            async with worker.deliveries() as deliveries:
                await (await anext(deliveries)).park(0, attempt=2)
                parked = await anext(deliveries)
                await parked.bury("expired", certificate=None, renewal_id=None, keep_body=True)
                [dead] = await worker.dead()
                await worker.replay([dead.id])
                replayed = await anext(deliveries)
                await worker.publish_event(event())
                assert (await worker.state()).parked == 0
                with pytest.raises(BrokerError, match="access to exchange"):
                    await worker.publish_renewal(renewal())
            assert len(await worker.history()) == 1
    assert {one.message.user_id for one in (parked, replayed)} == {"rotation-producer"}
    assert dead.message.user_id == "rotation-producer"


async def test_nothing_is_lost_when_the_broker_is_killed(node: RabbitNode) -> None:
    async with place_at(node.url) as place:
        broker = place.broker()
        await broker.declare()
        # RabbitMQ 3.10 loses what it confirmed in a queue that is killed right after its declaration.
        await asyncio.sleep(2)
        async with broker.deliveries() as deliveries:
            for body in (b"1", b"2"):
                await broker.publish_renewal(renewal(body))
            await (await anext(deliveries)).park(3000, attempt=2)
            await asyncio.to_thread(node.kill9)
            with pytest.raises(BrokerLostError):
                await _exhausted(deliveries)
        await asyncio.to_thread(node.start)
        await until(lambda: _is_back(broker))
        async with broker.deliveries() as deliveries:
            assert (await anext(deliveries)).message.body == b"2"
            await until(lambda: _stands(broker, parked=1))


async def _inject(place: Place, body: bytes, headers: Mapping[str, Any]) -> None:
    """As a stranger would: without a user."""
    async with raw(place) as channel:
        exchange = await channel.get_exchange(place.settings.exchange)
        message = aio_pika.Message(body, headers=dict(headers), content_type="application/cloudevents+json")
        await exchange.publish(message, "certificate.renewed")


async def _heard(queue: Any) -> AbstractIncomingMessage:
    heard: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    await queue.consume(heard.put, no_ack=True)
    return await heard.get()


@asynccontextmanager
async def _one_ready(url: str) -> AsyncIterator[tuple[Place, AbstractConnection]]:
    """A queue with one message ready, for its consumer has its hands full; and another connection."""
    async with place_at(url, prefetch=1) as place:
        broker = place.broker()
        async with broker.deliveries() as deliveries, await aio_pika.connect(url) as connection:
            for body in (b"1", b"2"):
                await broker.publish_renewal(renewal(body))
            await anext(deliveries)
            await until(lambda: _stands(broker, ready=1))
            yield place, connection


async def _stands(broker: Broker, **wanted: int) -> bool:
    state = await broker.state()
    return all(getattr(state, name) == value for name, value in wanted.items())


async def _is_back(broker: Broker) -> bool:
    """A queue's leader comes after the node."""
    try:
        await broker.declare()
    except BrokerLostError:
        return False
    return True


async def _insist_on(step: Callable[[T], Awaitable[None]], what: T) -> None:
    """As the consumer does: what was refused is tried again."""
    while True:
        try:
            return await step(what)
        except BrokerLostError:
            raise
        except BrokerError:
            await asyncio.sleep(0)


async def _exhausted(deliveries: AsyncIterator[Delivery]) -> None:
    async for _ in deliveries:
        pass


def _as_user(node: RabbitNode, user: str) -> str:
    return node.url.replace("guest:guest", f"{user}:pw")


def _administer(node: RabbitNode, place: Place) -> None:
    """As an administrator does with the exported definitions."""
    path = node.home / "definitions.json"
    path.write_text(json.dumps(definitions(place.settings, place.retry.parking_seconds)), encoding="ascii")
    node.ctl("await_startup")
    node.ctl("import_definitions", str(path))
    for user in ("rotation-worker", "rotation-producer"):
        node.ctl("change_password", user, "pw")
