"""What the broker itself has given up: a worker at work leaves no key among the dead, without anybody asking."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from structlog.testing import capture_logs

from tests.broker.places import delivered_too_often, place_at, raw
from tests.support.clouds import renewal, running, settings_for
from tests.support.virtual_time import run_virtual
from tests.worker.test_consumer import AUTHORITY, NAMES
from worker.beside import beside
from worker.broker.base import BrokerError, BrokerLostError, BrokerState, Dead, Exposes, Message, withheld
from worker.commands.reading import broker_to_read
from worker.sandbox import Sandbox
from worker.shielding import Shielding, exposes


@dataclass
class Dying:
    """A broker whose dead are as many as it is told, look by look."""

    states: Sequence[BrokerState | None]
    looks: list[int] = field(default_factory=list)
    shielded: list[int] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    async def state(self) -> BrokerState:
        number = len(self.looks)
        self.looks.append(number)
        return self.states[min(number, len(self.states) - 1)] or BrokerState(is_connected=False, is_active=False)

    notes: list[Dead] = field(default_factory=list)
    seconds: float = 0

    async def shield(self, _exposes: Exposes, /) -> Sequence[Dead]:
        self.shielded.append(self.looks[-1])
        await asyncio.sleep(self.seconds)
        if self.errors:
            raise self.errors.pop(0)
        return [self.notes.pop()] if self.notes else []


def dead(count: int, buried: int = 0) -> BrokerState:
    return BrokerState(is_connected=True, is_active=True, dead=count, buried=buried)


@pytest.mark.parametrize(
    ("states", "shielded"),
    [
        ([dead(0)], []),
        ([None, None, dead(2)], [2, 12]),
        ([dead(1), dead(1), dead(2), dead(2), dead(1)], [0, 2, 4, 14]),
        ([dead(1), None, dead(1)], [0, 2, 12]),
        ([dead(1), dead(0)], [0, 1]),
        ([dead(1), dead(3, buried=2), dead(4, buried=2)], [0, 2, 12]),
    ],
)
def test_the_active_worker_looks_at_the_dead_whenever_there_are_others_and_now_and_then_anyway(
    states: Sequence[BrokerState | None], shielded: list[int]
) -> None:
    broker: Any = Dying(states)

    async def look() -> None:
        async with beside(Shielding(broker, lambda _message: None).run()):
            await asyncio.sleep(600)

    run_virtual(look())
    assert broker.shielded == shielded


def test_what_goes_wrong_is_told_and_tried_again() -> None:
    note = Dead("m1", Message(withheld("expired", is_exposed=True), ""), "expired", "shop", "r1", None)
    errors = [BrokerError("busy"), BrokerLostError("gone"), ValueError("a bug")]
    broker: Any = Dying([dead(1)], errors=errors, notes=[note])

    async def look() -> None:
        async with beside(Shielding(broker, lambda _message: None).run()):
            await asyncio.sleep(250)

    with capture_logs() as log:
        run_virtual(look())
    told = [one["event"] for one in log]
    assert told == ["shielding.put_off", "shielding.put_off", "shielding.crashed", "dead.withheld"]
    assert len(broker.shielded) == 5, "once more, for there may be more"
    names = ("certificate", "renewal_id", "reason", "is_exposed")
    assert [log[-1][name] for name in names] == ["shop", "r1", "expired", True]


def test_nobody_is_kept_from_the_dead_letters_for_more_than_a_tenth_of_the_time() -> None:
    broker: Any = Dying([dead(number) for number in range(1, 1000)], seconds=40)

    async def look() -> None:
        async with beside(Shielding(broker, lambda _message: None).run()):
            await asyncio.sleep(4000)

    run_virtual(look())
    assert len(broker.shielded) == 10


def test_a_worker_leaves_no_key_among_the_dead_of_its_file(tmp_path: Path) -> None:
    """Left there by a version that did not ask."""
    file, sent = tmp_path / "broker.sqlite", renewal(AUTHORITY.issue(NAMES))

    async def at_work() -> None:
        async with Sandbox() as sandbox:
            trust = {"ca_bundle": str(tmp_path / "roots.pem")}
            settings = settings_for(sandbox, AUTHORITY, tmp_path, {}, trust=trust)
            async with running(settings) as worker:
                await worker.broker.publish_renewal(sent)
                await worker.dead()
                with closing(sqlite3.connect(file, isolation_level=None)) as table:
                    table.execute(
                        "INSERT INTO messages (id, state, due, priority, attempt, body, content_type, reason, since)"
                        " VALUES ('left', 'dead', 0, 0, 1, ?, ?, 'delivery_limit', 1)",
                        (sent.body, sent.content_type),
                    )
            async with running(settings) as worker:
                while not all(one.is_exposed for one in await worker.dead(2)):
                    await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(at_work(), 30))
    line = json_line(sent.body)
    assert not any(line in one.read_bytes() for one in tmp_path.glob("broker.sqlite*"))


async def test_what_a_command_gives_up_in_a_workers_place_holds_no_key(tmp_path: Path) -> None:
    sent = renewal(AUTHORITY.issue(NAMES))
    async with Sandbox() as sandbox:
        trust = {"ca_bundle": str(tmp_path / "roots.pem")}
        url = f"sqlite:///{tmp_path}/broker.sqlite"
        settings = settings_for(sandbox, AUTHORITY, tmp_path, {}, trust=trust, broker={"url": url, "delivery_limit": 1})
        (tmp_path / "broker.sqlite").touch(mode=0o600)
        broker = broker_to_read(settings)
        await broker.publish_renewal(sent)
        await delivered_too_often(broker)
        dead = await broker.dead()
        await broker.close()
    assert [one.is_exposed for one in dead] == [True]
    assert not any(json_line(sent.body) in one.read_bytes() for one in tmp_path.glob("broker.sqlite*"))


def json_line(body: bytes) -> bytes:
    """Of the key as the message has it."""
    return body.partition(b"PRIVATE KEY-----")[2].split(b"\\n")[1]


@pytest.mark.rabbitmq
async def test_a_worker_leaves_no_key_in_the_dead_queue(rabbit: str) -> None:
    sent = renewal(AUTHORITY.issue(NAMES))
    async with place_at(rabbit) as place, raw(place) as channel:
        broker = place.broker()
        await broker.declare()
        exchange = await channel.get_exchange(place.settings.exchange, ensure=False)
        expiring = aio_pika.Message(sent.body, content_type=sent.content_type, expiration=0.01)
        await exchange.publish(expiring, "certificate.renewed")
        while not await broker.dead():
            await asyncio.sleep(0.05)
        looking = Shielding(broker, lambda one: exposes(one, allow_plain_keys=False), every=0.1)
        async with broker.deliveries(), beside(looking.run()):
            while not all(one.is_exposed for one in await place.broker().dead()):
                await asyncio.sleep(0.05)
        [one] = await broker.dead()
        assert (one.reason, one.is_exposed) == ("expired", True)
