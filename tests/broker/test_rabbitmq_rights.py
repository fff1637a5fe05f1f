"""The rights that `topology export` prints are enough for a worker, and too few for anything else."""

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.broker.places import event, renewal, retry
from tests.support.judging import kept_by_all
from tests.support.rabbit import broker_settings, running
from worker.broker import open_broker
from worker.broker.base import Broker, BrokerError
from worker.broker.topology import definitions, parking_queue
from worker.core.note import Note
from worker.core.renewal import OWN_PRODUCER
from worker.core.secret import Secret
from worker.core.snapshot import Snapshot
from worker.sandbox.rabbit_node import RabbitNode
from worker.settings.model import Broker as Settings

PASSWORD = "least-privilege"


def add_users(node: RabbitNode, settings: Settings) -> None:
    permissions = definitions(settings, retry().parking_seconds, unsigned=["acme-1"])["permissions"]
    assert isinstance(permissions, list)
    for one in permissions:
        node.ctl("add_user", one["user"], PASSWORD)
        node.ctl("set_permissions", one["user"], one["configure"], one["write"], one["read"])


def opened(node: RabbitNode, settings: Settings, user: str) -> Broker:
    url = f"amqp://{user}:{PASSWORD}@127.0.0.1:{node.port}/"
    return open_broker(
        settings.model_copy(update={"declare_": False, "url": url}), Secret(url), retry(), exposes=kept_by_all
    )


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("rabbit")
async def test_the_exported_rights_are_enough_and_no_more(tmp_path: Path) -> None:
    with running(tmp_path / "node") as node:
        settings = broker_settings(url=node.url, timeout_seconds=10)
        owner = open_broker(settings, Secret(node.url), retry(), exposes=kept_by_all)
        await owner.declare()
        await owner.close()
        add_users(node, settings)
        users = ("rotation-worker", "rotation-producer", "acme-1")
        worker, producer, unsigned = (opened(node, settings, user) for user in users)
        await producer.publish_renewal(renewal(b"1"))
        await producer.publish_renewal(renewal(b"2"))
        async with worker.deliveries() as deliveries:
            first, second = await anext(deliveries), await anext(deliveries)
            assert first.message.user_id == "rotation-producer"
            await worker.publish_event(event())
            note = Note("apig/c1", "ab" * 32, Snapshot({("a.example.com", "i1"): True}))
            await worker.keep("shop", note)
            assert await worker.kept("shop", note.leaf) == {"apig/c1": note.snapshot}
            await first.ack()
            await second.bury("malformed", certificate="shop", renewal_id="1", keep_body=True)
            [dead] = await worker.dead()
            assert await worker.replay([dead.id]) == [dead.id]
            again = await anext(deliveries)
            await again.park(0, attempt=2)
            back = await anext(deliveries)
            assert (back.message.attempt, back.message.user_id) == (2, "rotation-producer")
            await back.ack()
            assert len(await worker.history()) == 1
            await unsigned.publish_renewal(renewal(b"3"))
            third = await anext(deliveries)
            assert third.message.user_id == "acme-1"
            await third.ack()
            await worker.publish_own(renewal(b"4"))
            fourth = await anext(deliveries)
            assert fourth.message.user_id == OWN_PRODUCER
            await fourth.ack()
            assert await worker.is_served()
            assert (await worker.state()).is_connected
        with pytest.raises(BrokerError):
            await worker.publish_renewal(renewal(b"forged"))
        with pytest.raises(BrokerError):
            await producer.publish_event(event())
        with pytest.raises(BrokerError):
            await unsigned.publish_event(event())
        with pytest.raises(BrokerError):
            await producer.keep("shop", note)
        for broker in (worker, producer, unsigned):
            await broker.close()


async def consume(broker: Broker) -> None:
    async with broker.deliveries():
        pass


async def tell(broker: Broker) -> None:
    await broker.publish_event(event())


async def note(broker: Broker) -> None:
    await broker.keep("shop", Note("apig/c1", "ab" * 32, Snapshot({})))


async def list_dead(broker: Broker) -> None:
    await broker.dead()


async def look_back(broker: Broker) -> None:
    await broker.history()


Deed = Callable[[Broker], Awaitable[None]]
# What cannot be done any more without each right.
USED: dict[tuple[str, str], Deed] = {
    ("write", "events_exchange"): tell,
    ("write", "parking_exchange"): note,
    ("read", "queue"): consume,
    ("read", "dead_queue"): list_dead,
    ("read", "history_stream"): look_back,
}


def without(rights: Mapping[str, str], right: str, name: str) -> dict[str, str]:
    left = [one for one in names_in(rights[right]) if one != name]
    return {**rights, right: f"^({'|'.join(re.escape(one) for one in left)})$"}


def names_in(pattern: str) -> list[str]:
    return pattern.removeprefix("^(").removesuffix(")$").replace("\\.", ".").split("|")


def exported(settings: Settings) -> dict[str, str]:
    told: Any = definitions(settings, retry().parking_seconds)["permissions"]
    return next(one for one in told if one["user"] == "rotation-worker")


def shows_all_to_everybody(node: RabbitNode) -> bool:
    """Before 4.2.7, and 4.3.0: who has no right to an object may look at it all the same, or needs another right."""
    version = tuple(int(part) for part in node.ctl("version").strip().split(".")[:3])
    return version < (4, 2, 7) or version == (4, 3, 0)


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("rabbit")
async def test_without_any_one_of_the_exported_rights_something_cannot_be_done(tmp_path: Path) -> None:
    with running(tmp_path / "node") as node:
        settings = broker_settings(url=node.url, timeout_seconds=10)
        owner = open_broker(settings, Secret(node.url), retry(), exposes=kept_by_all)
        await owner.declare()
        await owner.publish_event(event())
        rights = exported(settings)
        looked_at = {settings.exchange, *(parking_queue(settings, step) for step in retry().parking_seconds)}
        used = {(right, getattr(settings, key)): deed for (right, key), deed in USED.items()}
        granted = {(right, name) for right in ("write", "read") for name in names_in(rights[right])}
        assert granted == {*used, *(("read", name) for name in looked_at)}, "each has its reason here"

        for number, (right, name) in enumerate(sorted(granted)):
            less = without(rights, right, name)
            node.ctl("add_user", f"w{number}", PASSWORD)
            node.ctl("set_permissions", f"w{number}", "^$", less["write"], less["read"])
            worker = opened(node, settings, f"w{number}")
            if (right, name) in used:
                with pytest.raises(BrokerError, match=re.escape(name)):
                    await used[right, name](worker)
            elif shows_all_to_everybody(node):
                await worker.declare()
            else:
                with pytest.raises(BrokerError, match=re.escape(name)):
                    await worker.declare()
            await worker.close()
        await owner.close()
