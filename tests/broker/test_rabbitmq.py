"""What only RabbitMQ does: drifted objects, forged headers, returned messages."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from yarl import URL

from tests.broker.places import Place, event, place_at, raw, renewal, retry, stands, until
from tests.broker.test_contract_past import put
from tests.support.judging import kept_by_all
from tests.support.rabbit import broker_settings
from worker.broker import open_broker
from worker.broker.base import BrokerError, BrokerLostError, BrokerRefusedError, TopologyError
from worker.broker.topology import NOTE, parking_queue, topology
from worker.core.note import TYPE, Note, entry_of
from worker.core.secret import Secret
from worker.core.snapshot import Snapshot

T = TypeVar("T")

pytestmark = pytest.mark.rabbitmq


@pytest.fixture
async def place(rabbit: str) -> AsyncIterator[Place]:
    async with place_at(rabbit) as place:
        yield place


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
            await until(lambda: stands(broker, dead=1))
        [dead] = await broker.dead()
    assert (dead.reason, dead.certificate) == ("delivery_limit", None)


async def test_a_count_of_deliveries_is_the_brokers_alone(place: Place) -> None:
    limit = place.settings.delivery_limit
    async with place.broker().deliveries() as deliveries:
        await _inject(place, b"news", {"x-delivery-count": limit})
        assert not (await anext(deliveries)).message.is_last_delivery
    async with place.broker().deliveries() as deliveries:
        assert not (await anext(deliveries)).message.is_last_delivery


async def test_a_copy_is_persistent_and_says_who_published_it(place: Place) -> None:
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        await broker.publish_renewal(renewal())
        first = await anext(deliveries)
        await first.bury("expired", certificate="shop", renewal_id="r1", keep_body=True)
    async with raw(place) as channel:
        copy = await (await channel.get_queue(place.settings.dead_queue)).get()
    assert copy.user_id == URL(place.url).user
    assert copy.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert copy.message_id is not None
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
    assert (heard.content_type, heard.user_id) == ("application/cloudevents+json", URL(place.url).user)
    assert heard.headers == {"traceparent": "00-aa-bb-01"}


async def test_only_what_the_worker_itself_has_noted_is_believed_and_listeners_to_events_hear_no_note(
    place: Place,
) -> None:
    broker, note = place.broker(), Note("apig/c1", "ab" * 32, Snapshot({("a.example.com", "i1"): True}))
    forged = json.dumps(entry_of("shop", Note("apig/c2", "ab" * 32, Snapshot())))
    await broker.declare()
    async with raw(place) as channel:
        listener = await channel.declare_queue(exclusive=True)
        await listener.bind(place.settings.events_exchange, "#")
        for exchange, key in ((place.settings.events_exchange, TYPE), (place.settings.parking_exchange, NOTE)):
            await (await channel.get_exchange(exchange)).publish(aio_pika.Message(forged.encode()), key)
        await broker.keep("shop", note)
        await broker.publish_event(event())
        assert (await _heard(listener)).body == forged.encode()
        assert json.loads((await _heard(listener)).body)["type"] == "certificate.rotation.succeeded"
    assert await place.broker().kept("shop", "ab" * 32) == {"apig/c1": note.snapshot}
    assert len(await broker.history()) == 1


async def test_what_others_publish_as_events_is_shown_and_decides_nothing(place: Place) -> None:
    broker, forged = place.broker(), put("aa")
    await broker.declare()
    async with raw(place) as channel:
        exchange = await channel.get_exchange(place.settings.events_exchange)
        at = datetime.now(UTC).isoformat()
        await exchange.publish(aio_pika.Message(json.dumps(forged | {"time": at}).encode()), forged["type"])
    assert len(await broker.history("shop")) == 1
    assert await broker.past("shop") == ()
    assert await broker.told([forged["id"]], "shop", None, "ab" * 32) is None
    assert await broker.told_by_others_at() is None


async def test_a_history_begins_far_enough_back_whatever_lies_between(place: Place) -> None:
    broker = place.broker()
    await broker.declare()
    for number in range(3):
        await broker.publish_event(event(id=str(number)))
    async with raw(place) as channel:
        exchange = await channel.get_exchange(place.settings.events_exchange)
        for _ in range(20):
            await exchange.publish(aio_pika.Message(b"no event"), "any")
    assert [one["id"] for one in await broker.history(limit=2)] == ["2", "1"]


async def test_a_renewal_that_no_queue_takes_is_an_error_and_holds_up_no_other(rabbit: str) -> None:
    async with place_at(rabbit, binding_keys=("another.key",)) as place:
        broker = place.broker()
        await broker.declare()
        with pytest.raises(BrokerRefusedError, match=f"{place.settings.exchange}: no queue took the message"):
            await broker.publish_renewal(renewal())
        await broker.publish_event(event())
        assert len(await broker.history()) == 1


async def test_a_missing_exchange_is_named_and_publishing_goes_on_when_it_is_there(place: Place) -> None:
    broker = place.broker()
    with pytest.raises(BrokerRefusedError, match=f"no exchange '{place.settings.events_exchange}'"):
        await broker.publish_event(event())
    await broker.declare()
    await broker.publish_event(event())
    assert len(await broker.history()) == 1


async def test_a_missing_ca_file_is_an_error_of_the_settings_and_no_lost_broker(tmp_path: Path) -> None:
    settings = broker_settings(ca_file=tmp_path / "missing.pem")
    broker = open_broker(settings, Secret("amqps://guest:guest@127.0.0.1:1/"), retry(), exposes=kept_by_all)
    with pytest.raises(BrokerError, match="ca_file") as caught:
        await broker.declare()
    assert not isinstance(caught.value, BrokerLostError)


async def _inject(place: Place, body: bytes, headers: Mapping[str, Any]) -> None:
    """As a stranger would: without a user."""
    async with raw(place) as channel:
        exchange = await channel.get_exchange(place.settings.exchange)
        message = aio_pika.Message(body, headers=dict(headers), content_type="application/cloudevents+json")
        await exchange.publish(message, "certificate.renewed")


async def _heard(queue: Any) -> AbstractIncomingMessage:
    while (heard := await queue.get(no_ack=True, fail=False)) is None:
        await asyncio.sleep(0.02)
    return cast("AbstractIncomingMessage", heard)
