"""Messages whose AMQP properties the library cannot read: they cost nobody but themselves."""

import struct
from collections.abc import AsyncIterator

import pytest
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from tests.broker.places import Place, event, place_at, raw, renewal, stands, until
from worker.broker.properties import tolerate_bad_properties

pytestmark = pytest.mark.rabbitmq

CONTENT_TYPE, HEADERS, TIMESTAMP, USER_ID, CONTINUED = 1 << 15, 1 << 13, 1 << 6, 1 << 4, 1


class Raw(Basic.Properties):
    """Properties that nothing checks before they are sent."""

    def __init__(self, flags: int, *values: bytes) -> None:
        super().__init__(message_id="known to the library alone")
        self.raw = struct.pack(">H", flags) + b"".join(values)

    def marshal(self) -> bytes:
        return self.raw


def short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def nested(depth: int) -> bytes:
    """A table of one array in another."""
    array = b""
    for _ in range(depth):
        array = b"A" + struct.pack(">I", len(array)) + array
    table = short(b"deep") + array
    return struct.pack(">I", len(table)) + table


NANOSECONDS = struct.pack(">Q", 1_700_000_000_000_000_000)
POISONS = {
    "nanoseconds": Raw(CONTENT_TYPE | TIMESTAMP, short(b"application/cloudevents+json"), NANOSECONDS),
    "not UTF-8": Raw(CONTENT_TYPE, short(b"\xff\xfe")),
    "too deep": Raw(HEADERS, nested(5000)),
}
poisons = pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)


@pytest.fixture
async def place(rabbit: str) -> AsyncIterator[Place]:
    async with place_at(rabbit) as place:
        yield place


@poisons
async def test_a_poison_is_a_message_without_properties_and_its_neighbours_are_delivered(
    place: Place, poison: Raw
) -> None:
    broker = place.broker()
    await broker.declare()
    await broker.publish_renewal(renewal(b"before"))
    await _inject(place, place.settings.exchange, "certificate.renewed", poison)
    await broker.publish_renewal(renewal(b"after"))
    async with broker.deliveries() as deliveries:
        for body in (b"before", b"poison", b"after"):
            delivery = await anext(deliveries)
            message = delivery.message
            assert message.body == body
            if body == b"poison":
                assert (message.content_type, message.user_id, message.attempt) == ("", None, 1)
                await delivery.bury("malformed", certificate=None, renewal_id=None, keep_body=True)
            else:
                assert message.user_id
                await delivery.ack()
    assert [(one.message.body, one.reason) for one in await broker.dead()] == [(b"poison", "malformed")]


@poisons
async def test_a_poison_that_the_broker_gave_up_is_listed_and_can_be_put_back(rabbit: str, poison: Raw) -> None:
    async with place_at(rabbit, delivery_limit=1) as place:
        broker = place.broker()
        await broker.declare()
        await _inject(place, place.settings.exchange, "certificate.renewed", poison)
        for is_last in (False, True):
            async with broker.deliveries() as deliveries:
                # What the broker adds itself cannot be read where the headers cannot.
                message = (await anext(deliveries)).message
                assert message.is_last_delivery == (is_last and poison is POISONS["nanoseconds"])
        async with broker.deliveries() as deliveries:
            await until(lambda: stands(broker, dead=1))
            [dead] = await broker.dead()
            assert await broker.replay([dead.id]) == [dead.id]
            assert (await anext(deliveries)).message.body == b"poison"


@poisons
async def test_a_poison_among_the_events_hides_none_of_the_others(place: Place, poison: Raw) -> None:
    broker = place.broker()
    await broker.declare()
    await broker.publish_event(event(id="1"))
    await _inject(place, place.settings.events_exchange, "certificate.rotation.failed", poison)
    await broker.publish_event(event(id="2"))
    assert [one["id"] for one in await broker.history()] == ["2", "1"]


def test_flags_that_the_broker_reads_otherwise_name_no_user() -> None:
    """The broker takes all of the first text for the content type, and has verified `mallory`."""
    tolerate_bad_properties()
    disguise = b"\x04" + short(b"application/cloudevents+json") + short(b"acme")
    forged = Raw(CONTENT_TYPE | USER_ID | CONTINUED, short(disguise), short(b"mallory"))
    header = ContentHeader()
    header.unmarshal(struct.pack(">HHQ", Basic.frame_id, 0, 2) + forged.marshal())
    assert (header.body_size, header.properties) == (2, Basic.Properties())


async def _inject(place: Place, exchange: str, routing_key: str, properties: Raw) -> None:
    async with raw(place) as channel:
        underlay = await channel.get_underlay_channel()
        await underlay.basic_publish(b"poison", exchange=exchange, routing_key=routing_key, properties=properties)
