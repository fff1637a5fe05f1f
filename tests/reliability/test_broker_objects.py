"""Queues, exchanges and bindings that somebody takes away while a worker is at work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from tests.broker.places import event, place_at, raw, renewal
from tests.support.clouds import message
from tests.support.stage import DAY, Stage, rabbit_at, staged
from worker.broker.base import BrokerLostError, TopologyError
from worker.broker.rabbitmq import RabbitBroker
from worker.core.secret import Secret
from worker.sandbox.world import Fault
from worker.settings.model import Broker

pytestmark = pytest.mark.rabbitmq

UNABLE = {"ROTATION_BROKER__DECLARE": "false"}
"""To make anything again by itself."""


async def unbound(channel: AbstractChannel, names: Broker) -> None:
    """Events go nowhere any more."""
    history = await channel.get_queue(names.history_stream, ensure=False)
    await history.unbind(names.events_exchange, "#")


@asynccontextmanager
async def administered(folder: Path, rabbit: str) -> AsyncIterator[tuple[Stage, AbstractChannel]]:
    async with staged(folder, rabbit_at(rabbit)) as stage, await aio_pika.connect(rabbit) as connection:
        yield stage, await connection.channel()


async def test_a_queue_that_is_deleted_is_made_again_and_work_goes_on(tmp_path: Path, rabbit: str) -> None:
    """What lay in it is gone with it: the sweep brings that back."""
    async with administered(tmp_path, rabbit) as (stage, channel):
        async with stage.worker() as worker:
            await channel.queue_delete(stage.loaded.broker.queue)
            await worker.tells("consumer.disconnected", error="the consumer was cancelled")
            await worker.tells("consumer.connected", times=2)
            await stage.renew()
            await stage.books()
        await stage.idle()


async def test_a_queue_that_is_deleted_and_made_again_at_once_leaves_nobody_deaf(rabbit: str) -> None:
    async with place_at(rabbit) as place, raw(place) as channel:
        broker = RabbitBroker(place.settings, Secret(place.url), place.retry, look_every=0.1)
        heard = False
        with suppress(BrokerLostError):
            async with broker.deliveries() as deliveries:
                await channel.queue_delete(place.settings.queue)
                await place.broker().declare()
                await place.broker().publish_renewal(renewal(b"news"))
                heard = (await anext(deliveries)).message.body == b"news"
        async with broker.deliveries() as deliveries:
            assert heard or (await anext(deliveries)).message.body == b"news"


@pytest.mark.parametrize("name", ["dead_queue", "history_stream"])
async def test_any_queue_that_is_deleted_is_made_again(rabbit: str, name: str) -> None:
    async with place_at(rabbit) as place, raw(place) as channel:
        broker = RabbitBroker(place.settings, Secret(place.url), place.retry, look_every=0.1)
        async with broker.deliveries() as deliveries:
            await channel.queue_delete(getattr(place.settings, name))
            with pytest.raises(BrokerLostError):
                await anext(deliveries)
        async with broker.deliveries():
            await broker.publish_event(event())
            assert await broker.dead() == []


async def test_a_history_that_is_missed_is_made_again_and_where_that_may_not_be_the_worker_says_so(rabbit: str) -> None:
    async with place_at(rabbit) as place, raw(place) as channel:
        for may_declare in (True, False):
            settings = place.settings.model_copy(update={"declare_": may_declare})
            broker = RabbitBroker(settings, Secret(place.url), place.retry)
            async with broker.deliveries():
                await broker.past("shop")
                await channel.queue_delete(settings.history_stream)
                broker.begin_turn()
                if may_declare:
                    assert await broker.past("shop") == ()
                else:
                    with pytest.raises(TopologyError, match="is missing"):
                        await broker.past("shop")
                assert (await broker.state()).is_remembering == may_declare


@pytest.mark.parametrize("what", ["the exchange", "the binding"])
async def test_an_event_that_nobody_takes_is_held_back_and_so_is_its_renewal(
    tmp_path: Path, rabbit: str, what: str
) -> None:
    async with administered(tmp_path, rabbit) as (stage, channel):
        names = stage.loaded.broker
        async with stage.worker(environ=UNABLE) as worker:
            if what == "the exchange":
                await channel.exchange_delete(names.events_exchange)
            else:
                await unbound(channel, names)
            await stage.renew()
            await worker.tells("broker.refused", times=2)
            assert worker.told("rotation.finished") == 0
            await stage.door.declare()
            await stage.books()
            assert stage.calls("modify_certificate") == 1
        await stage.idle()


async def test_a_worker_that_dies_while_its_event_is_held_back_tells_it_after_all(tmp_path: Path, rabbit: str) -> None:
    async with administered(tmp_path, rabbit) as (stage, channel):
        names = stage.loaded.broker
        async with stage.worker(environ=UNABLE) as worker:
            await unbound(channel, names)
            await stage.renew()
            await worker.tells("broker.refused")
            await worker.kill()
        async with stage.worker():
            await stage.books()
        await stage.idle()
        assert stage.calls("modify_certificate") == 1


@pytest.mark.parametrize("second", ["the same", "another id"])
async def test_a_renewal_that_comes_twice_is_done_once(tmp_path: Path, rabbit: str, second: str) -> None:
    async with staged(tmp_path, rabbit_at(rabbit)) as stage:
        async with stage.worker() as worker:
            renewal_id = await stage.renew()
            [sent] = [stage.messages[renewal_id]]
            if second == "the same":
                await stage.door.publish_renewal(sent)
            else:
                await stage.renew_again(renewal_id)
            await worker.tells("rotation.finished", outcome="succeeded", times=2)
            await stage.books()
        await stage.idle()
        assert stage.calls("modify_certificate") == 1
        assert stage.calls("attach_domains") == 1


async def test_an_older_renewal_that_comes_late_or_in_the_middle_changes_nothing(tmp_path: Path, rabbit: str) -> None:
    async with staged(tmp_path, rabbit_at(rabbit)) as stage:
        async with stage.worker():
            for age in (2, 4, 1, 3):
                await stage.renew(age=age * DAY)
            await stage.books()
        await stage.idle()
        assert stage.calls("modify_certificate") == 2


async def test_a_message_that_is_too_large_stops_no_other(tmp_path: Path, rabbit: str) -> None:
    async with staged(tmp_path, rabbit_at(rabbit)) as stage:
        async with stage.worker():
            await stage.door.publish_renewal(message(b"x" * 20_000_000))
            await stage.renew()
            await stage.books(strangers=1)
            [dead] = await stage.dead()
            assert dead.reason == "too_large"
        await stage.idle(dead=1)


async def test_a_rotation_that_is_parked_comes_back_although_no_worker_is_there(tmp_path: Path, rabbit: str) -> None:
    async with staged(tmp_path, rabbit_at(rabbit), retry={"parking_seconds": [0.5], "deadline_seconds": 0.2}) as stage:
        stage.sandbox.world.faults.append(Fault("attach_domains", status=503, times=2))
        async with stage.worker() as worker:
            await stage.renew()
            await worker.tells("rotation.finished", outcome="parked")
            await worker.kill()
        await asyncio.sleep(1)  # its time in the parking queue passes
        async with stage.worker():
            await stage.books()
        await stage.idle()
        assert stage.calls("modify_certificate") == 1
