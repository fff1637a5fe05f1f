"""What both engines keep of a message that was given up, beside its body: nothing in which a key may stand."""

import asyncio
import gc
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import aio_pika
import pytest
from aio_pika.message import IncomingMessage

from tests.broker.places import Place, Places, delivered_too_often, place_at, raw, renewal, stands, until
from tests.broker.test_copies import read
from tests.support.judging import kept_by_all
from worker.broker import letters as module
from worker.broker.base import EXPOSED, Broker, BrokerError, Message, sound_message_id
from worker.broker.letters import held
from worker.broker.sqlite import SqliteBroker
from worker.settings.model import Broker as Settings
from worker.settings.model import Retry

PEM: Final = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----"
DER: Final = f"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49/{'A' * 60}"


IN_GROUPS: Final = "~".join(f"Mi{number}Gx{number}" for number in range(12))
"""Of a key, no group of which is long."""


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


async def test_what_is_dropped_is_gone_and_nothing_else_is(place: Place) -> None:
    await published(place, b"1", b"2", b"3")
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        for _ in range(2):
            await (await anext(deliveries)).bury("not_found", keep_body=True)
        [first, second] = await broker.dead()
        assert await broker.drop(["unknown", first.id]) == [first.id]
        assert [one.id for one in await broker.dead()] == [second.id]
        waiting = await anext(deliveries)
        assert waiting.message.body == b"3", "only what was given up is dropped"
        await waiting.ack()


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


@pytest.mark.parametrize("unsound", [PEM, DER, IN_GROUPS, "", "x/y\n", "a b", "x" * 300, b"x/y"])
def test_what_is_not_of_its_form_is_left_out_of_what_is_read(unsound: Any) -> None:
    message = read(content_type=unsound, content_encoding=unsound or "a b")
    assert (message.content_type, message.content_encoding, sound_message_id(unsound)) == ("", "unknown", None)


@pytest.mark.parametrize(
    "content_type", ["application/cloudevents+json; charset=utf-8", " application/jose ", "text/plain;a=b; c=d"]
)
def test_what_is_of_its_form_is_read_as_it_is(content_type: str) -> None:
    message, name = read(content_type=content_type, content_encoding="gzip"), "7f0c5d0e-8a54-4f1c-9b6a-1c7be0a9d26f"
    assert (message.content_type, message.content_encoding) == (content_type.strip(), "gzip")
    assert sound_message_id(name) == name


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

        assert [len(await broker.shield(exposes)) for _ in range(2)] == [2, 0]
        assert sorted(asked) == sorted([*judged, b"sealed"]), "a note is not asked for again"
        dead = {(one.reason, one.is_withheld, one.is_exposed) for one in await broker.dead()}
        assert dead == {("expired", True, True), ("expired", True, False), ("expired", False, False)}
        assert b"sealed" in [one.message.body for one in await broker.dead()]


@pytest.mark.rabbitmq
async def test_dead_letters_have_one_reader_at_a_time_and_are_counted_meanwhile(
    rabbit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What he leaves to others would look like all that there is."""
    async with place_at(rabbit) as place, raw(place) as channel:
        await published(place, b"1", b"2", b"3")
        broker, other = place.broker(), place.broker()
        async with broker.deliveries() as deliveries, asyncio.timeout(60):
            for _ in range(3):
                await (await anext(deliveries)).bury("not_found", keep_body=True)
            await until(partial(stands, broker, dead=3, buried=3))
            connection = await aio_pika.connect(rabbit)
            letters = held(connection, place.settings.dead_queue, 10)
            for _ in range(2):
                await anext(letters)
            queue = await channel.get_queue(place.settings.dead_queue, ensure=False)
            assert (await queue.declare()).message_count == 1
            assert await stands(broker, dead=3, is_counted=False)
            with monkeypatch.context() as patch:
                patch.setattr(module, "_PATIENCE", 0.5)
                for impatient in (other.dead(), other.replay(["x"]), other.drop(["x"]), other.shield(kept_by_all)):
                    with pytest.raises(BrokerError, match="somebody else is reading"):
                        await impatient
            reading = asyncio.create_task(other.dead())
            await asyncio.sleep(0.5)
            assert not reading.done()
            await connection.close()
            assert [one.message.body for one in await reading] == [b"1", b"2", b"3"]
        assert [len(one) for one in await asyncio.gather(*(place.broker().dead() for _ in range(6)))] == [3] * 6


@pytest.mark.rabbitmq
async def test_of_very_many_some_are_judged_at_a_time_and_all_in_the_end(
    rabbit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_NOTES", 3)
    async with place_at(rabbit) as place, raw(place) as channel:
        broker = place.broker()
        await broker.declare()
        exchange = await channel.get_exchange(place.settings.exchange, ensure=False)
        for number in range(8):
            await exchange.publish(aio_pika.Message(b"%d" % number, expiration=0.01), "certificate.renewed")
        await until(lambda: counts(broker, 8))
        assert [len(await broker.shield(lambda _message: False)) for _ in range(4)] == [3, 3, 2, 0]
        assert all(one.is_withheld for one in await broker.dead())
        assert await counts(broker, 8)


async def counts(broker: Broker, dead: int) -> bool:
    return len(await broker.dead()) == dead


async def test_a_note_says_when_it_was_given_up_what_it_stands_for(places: Places) -> None:
    async with places(delivery_limit=1) as place:
        await published(place, b"a key")
        broker = place.broker()
        await delivered_too_often(broker)
        await until(lambda: counts(broker, 1))
        [one] = await broker.dead()
        assert one.since is not None
        await asyncio.sleep(1.5)
        [note] = await broker.shield(lambda _message: True)
        [kept] = await broker.dead()
    assert (note.is_exposed, kept.is_exposed) == (True, True)
    assert [abs((found.since or one.since) - one.since) < timedelta(seconds=1) for found in (note, kept)] == [True] * 2


async def test_of_what_was_delivered_too_often_a_note_is_kept_where_it_may_hold_a_key(tmp_path: Path) -> None:
    broker = SqliteBroker(tmp_path / "broker.sqlite", Settings(delivery_limit=1), Retry(), "acme", exposes=kept_by_all)
    for body in (b"a key", b"sealed"):
        await broker.publish_renewal(renewal(body))
    await delivered_too_often(broker, 2)
    judged = {b"a key": True, b"sealed": None}
    assert [len(await broker.shield(lambda message: judged[message.body])) for _ in range(2)] == [1, 0]
    dead = {(one.reason, one.is_withheld, one.is_exposed) for one in await broker.dead()}
    assert dead == {("delivery_limit", True, True), ("delivery_limit", False, False)}
    assert not any(b"a key" in file.read_bytes() for file in tmp_path.iterdir())
    await broker.close()


async def test_what_was_replayed_and_then_died_of_deliveries_is_judged_too(tmp_path: Path) -> None:
    broker = SqliteBroker(tmp_path / "broker.sqlite", Settings(delivery_limit=1), Retry(), "acme", exposes=kept_by_all)
    await broker.publish_renewal(renewal(b"a key"))
    async with broker.deliveries() as deliveries:
        await (await anext(deliveries)).bury("internal_error", keep_body=True, told_at="2026-11-20T10:00:00Z")
    [one] = await broker.dead()
    assert await broker.replay([one.id]) == [one.id]
    await delivered_too_often(broker)
    assert [len(await broker.shield(lambda _message: True)) for _ in range(2)] == [1, 0]
    assert not any(b"a key" in file.read_bytes() for file in tmp_path.iterdir())
    await broker.close()


@pytest.mark.rabbitmq
async def test_of_many_dead_letters_no_more_than_the_one_that_is_looked_at_is_in_memory(rabbit: str) -> None:
    alive: list[int] = []

    def exposes(_message: Message) -> None:
        incoming = [one for one in gc.get_objects() if type(one) is IncomingMessage]
        alive.append(sum(one.body.startswith(b"letter") for one in incoming))

    async with place_at(rabbit) as place, raw(place) as channel:
        broker = place.broker()
        await broker.declare()
        exchange = await channel.get_exchange(place.settings.exchange, ensure=False)
        for number in range(8):
            sent = aio_pika.Message(f"letter {number}".encode(), expiration=0.01)
            await exchange.publish(sent, "certificate.renewed")
        while len(await broker.dead()) < 8:
            await asyncio.sleep(0.05)
        gc.collect()
        assert not await broker.shield(exposes)
        assert len(await broker.dead()) == 8
    assert (len(alive), max(alive) <= 2) == (8, True), alive


class Read(SqliteBroker):
    """Somebody reads the file, and for one look nothing can be erased."""

    refusals = 1

    async def erase(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise BrokerError("the file is being read")
        await super().erase()


@pytest.mark.parametrize("kind", [SqliteBroker, Read])
async def test_what_the_embedded_broker_gives_up_by_itself_holds_no_key_from_then_on(
    kind: type[SqliteBroker], tmp_path: Path
) -> None:
    judged = {b"a key": True, b"sealed": None}

    def exposes(message: Message) -> bool | None:
        return judged[message.body]

    broker = kind(tmp_path / "broker.sqlite", Settings(delivery_limit=1), Retry(), "acme", exposes=exposes)
    for body in judged:
        await broker.publish_renewal(renewal(body))
    await delivered_too_often(broker, 2)
    dead = {(one.reason, one.is_withheld, one.is_exposed) for one in await broker.dead()}
    assert dead == {("delivery_limit", True, True), ("delivery_limit", False, False)}
    if kind is Read:
        assert not await broker.shield(exposes), "and erased at the next look"
    assert not any(b"a key" in file.read_bytes() for file in tmp_path.iterdir())
    await broker.close()
