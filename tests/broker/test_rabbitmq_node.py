"""A RabbitMQ node of our own: administered with the exported definitions, and killed."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TypeVar

import pytest

from tests.broker.places import Place, event, place_at, renewal, stands, until
from tests.support.judging import kept_by_all
from tests.support.rabbit import running
from worker.broker import open_broker
from worker.broker.base import Broker, BrokerLostError, BrokerRefusedError, Delivery
from worker.broker.topology import definitions
from worker.core.secret import Secret
from worker.sandbox.rabbit_node import SERVER, RabbitNode, _is_alive, _wait

T = TypeVar("T")

pytestmark = pytest.mark.rabbitmq


@pytest.fixture(scope="module")
def node(rabbit: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """One of our own, to be administered and killed."""
    if not SERVER.exists():
        pytest.skip(f"{rabbit.partition(':')[0]}: somebody else's broker is not killed, and none is installed here")
    with running(tmp_path_factory.mktemp("rabbitmq") / "node") as node:
        yield node


async def test_the_exported_rights_are_enough_and_the_producer_stays_known(node: RabbitNode) -> None:
    async with place_at(node.url, is_left=True, declare=False) as place:
        await asyncio.to_thread(_administer, node, place)
        await until(lambda: _is_back(place.broker()))
        worker = open_broker(
            place.settings, Secret(_as_user(node, "rotation-worker")), place.retry, exposes=kept_by_all
        )
        producer = open_broker(
            place.settings, Secret(_as_user(node, "rotation-producer")), place.retry, exposes=kept_by_all
        )
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
                with pytest.raises(BrokerRefusedError, match="access to exchange"):
                    await worker.publish_renewal(renewal())
            assert len(await worker.history()) == 1
    assert {one.message.user_id for one in (parked, replayed)} == {"rotation-producer"}
    assert dead.message.user_id == "rotation-producer"


async def test_nothing_is_lost_when_the_broker_is_killed(node: RabbitNode) -> None:
    async with place_at(node.url, is_left=True) as place:
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
            bodies = [(await anext(deliveries)).message.body]
            if bodies == [b"1"]:  # nothing confirms an ack: the kill may have come before it was on disk
                bodies.append((await anext(deliveries)).message.body)
            assert bodies[-1] == b"2"
            await until(lambda: stands(broker, parked=1))


def test_a_node_that_crashes_leaves_its_dump_in_its_own_folder(node: RabbitNode) -> None:
    here = set(Path.cwd().iterdir())
    with suppress(RuntimeError):  # it is gone before it has answered
        node.ctl("eval", 'erlang:halt("a crash of our own").')
    leader = int((node.home / "server.pid").read_text(encoding="ascii"))
    _wait(lambda: not _is_alive(leader), "it does not crash")
    node.kill9()
    node.start()
    assert (node.home / "erl_crash.dump").stat().st_size > 0
    assert not [one for one in set(Path.cwd().iterdir()) - here if one.suffix == ".dump"]


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


async def _is_back(broker: Broker) -> bool:
    """A queue's leader comes after the node."""
    try:
        await broker.declare()
    except BrokerLostError:
        return False
    return True


async def _exhausted(deliveries: AsyncIterator[Delivery]) -> None:
    async for _ in deliveries:
        pass
