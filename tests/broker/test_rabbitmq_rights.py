"""The rights that `topology export` prints are enough for a worker, and too few for anything else."""

from pathlib import Path

import pytest

from tests.broker.places import event, renewal, retry
from tests.support.rabbit import broker_settings, running
from worker.broker import open_broker
from worker.broker.base import Broker, BrokerError
from worker.broker.topology import definitions
from worker.core.note import Note
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
    return open_broker(settings.model_copy(update={"declare_": False, "url": url}), Secret(url), retry())


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("rabbit")
async def test_the_exported_rights_are_enough_and_no_more(tmp_path: Path) -> None:
    with running(tmp_path / "node") as node:
        settings = broker_settings(url=node.url, timeout_seconds=10)
        owner = open_broker(settings, Secret(node.url), retry())
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
