"""What both engines keep of a message that was given up, beside its body: nothing in which a key may stand."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aio_pika
import pytest

from tests.broker.places import Place, place_at, raw, renewal
from tests.broker.test_copies import read
from worker.broker.base import EXPOSED, Message
from worker.broker.sqlite import SqliteBroker
from worker.settings.model import Broker as Settings
from worker.settings.model import Retry

PEM: Final = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----"
DER: Final = f"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49/{'A' * 60}"


async def published(place: Place, *bodies: bytes, **fields: Any) -> None:
    broker = place.broker()
    await broker.declare()
    for body in bodies:
        await broker.publish_renewal(renewal(body, **fields))


async def test_of_a_body_that_held_a_key_in_the_open_the_note_says_so(place: Place) -> None:
    await published(place, b"a key", b"perhaps a key")
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        await (await anext(deliveries)).bury("unknown_certificate", keep_body=False, is_exposed=True)
        await (await anext(deliveries)).bury("unknown_certificate", keep_body=False, is_exposed=False)
    dead = await broker.dead()
    assert [(one.is_exposed, one.is_withheld) for one in dead] == [(True, True), (False, True)]
    assert EXPOSED.encode() in dead[0].message.body


@pytest.mark.parametrize("keep_body", [True, False])
async def test_what_is_no_content_type_or_encoding_is_not_copied_along(place: Place, *, keep_body: bool) -> None:
    await published(place, b"news", content_type=PEM, content_encoding=PEM)
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        first = await anext(deliveries)
        await first.park(0, attempt=2)
        second = await anext(deliveries)
        await second.bury("malformed", keep_body=keep_body)
    [dead] = await broker.dead()
    told = [(one.content_type, one.content_encoding) for one in (first.message, second.message, dead.message)]
    assert told == [("", "unknown")] * 2 + [("", "unknown") if keep_body else ("application/json", None)]


@pytest.mark.rabbitmq
async def test_the_header_of_a_dead_letter_says_that_its_key_is_exposed(rabbit: str) -> None:
    async with place_at(rabbit) as place, raw(place) as channel:
        async with place.broker().deliveries() as deliveries:
            exchange = await channel.get_exchange(place.settings.exchange, ensure=False)
            sent = aio_pika.Message(b"a key", message_id=PEM, content_type=PEM, content_encoding=PEM, app_id=PEM)
            await exchange.publish(sent, "certificate.renewed")
            await (await anext(deliveries)).bury("malformed", keep_body=False, is_exposed=True)
        dead = await channel.get_queue(place.settings.dead_queue, ensure=False)
        letter = await dead.get(no_ack=True)
    assert letter.headers["x-rotation-warning"] == EXPOSED
    assert "MIGH" not in repr((letter.properties, letter.headers, letter.body))


@pytest.mark.parametrize("unsound", [PEM, DER, "", "x/y\n", "a b", "x" * 300, b"x/y"])
def test_what_is_not_of_its_form_is_left_out_of_what_is_read(unsound: Any) -> None:
    message = read(content_type=unsound, message_id=unsound, content_encoding=unsound or "a b")
    assert (message.content_type, message.message_id, message.content_encoding) == ("", None, "unknown")


@pytest.mark.parametrize(
    "content_type", ["application/cloudevents+json; charset=utf-8", " application/jose ", "text/plain;a=b; c=d"]
)
def test_what_is_of_its_form_is_read_as_it_is(content_type: str) -> None:
    message = read(
        content_type=content_type, message_id="7f0c5d0e-8a54-4f1c-9b6a-1c7be0a9d26f", content_encoding="gzip"
    )
    assert (message.content_type, message.content_encoding) == (content_type.strip(), "gzip")
    assert message.message_id == "7f0c5d0e-8a54-4f1c-9b6a-1c7be0a9d26f"


@pytest.mark.rabbitmq
async def test_of_what_the_broker_itself_gave_up_a_note_is_kept_where_it_may_hold_a_key(rabbit: str) -> None:
    async with place_at(rabbit) as place, raw(place) as channel:
        broker = place.broker()
        await broker.declare()
        exchange = await channel.get_exchange(place.settings.exchange, ensure=False)
        for body in (b"a key", b"sealed", b"perhaps a key"):
            forged: Any = {"x-rotation-reason": "seen"}
            await exchange.publish(aio_pika.Message(body, expiration=0.01, headers=forged), "certificate.renewed")
        while len(await broker.dead()) < 3:
            await asyncio.sleep(0.05)
        judged = {b"a key": True, b"sealed": None, b"perhaps a key": False}
        asked: list[bytes] = []

        def exposes(message: Message) -> bool | None:
            asked.append(message.body)
            return judged[message.body]

        assert [await broker.shield(exposes) for _ in range(2)] == [2, 0]
        assert sorted(asked) == sorted([*judged, b"sealed"]), "a note is not asked for again"
        dead = {(one.reason, one.is_withheld, one.is_exposed) for one in await broker.dead()}
        assert dead == {("expired", True, True), ("expired", True, False), ("expired", False, False)}
        assert b"sealed" in [one.message.body for one in await broker.dead()]


async def test_of_what_was_delivered_too_often_a_note_is_kept_where_it_may_hold_a_key(tmp_path: Path) -> None:
    broker = SqliteBroker(tmp_path / "broker.sqlite", Settings(delivery_limit=1), Retry(), "acme")
    for body in (b"a key", b"sealed"):
        await broker.publish_renewal(renewal(body))
    for _ in range(2):
        async with broker.deliveries() as deliveries:
            for _ in range(2):
                await anext(deliveries)
    async with broker.deliveries() as deliveries:
        with suppress(TimeoutError):
            await asyncio.wait_for(anext(deliveries), 0.5)
    judged = {b"a key": True, b"sealed": None}
    assert [await broker.shield(lambda message: judged[message.body]) for _ in range(2)] == [1, 0]
    dead = {(one.reason, one.is_withheld, one.is_exposed) for one in await broker.dead()}
    assert dead == {("delivery_limit", True, True), ("delivery_limit", False, False)}
    assert not any(b"a key" in file.read_bytes() for file in tmp_path.iterdir())
    await broker.close()
