"""Exchanges and bindings that somebody takes away, queues that are full, events that are too large."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError

from tests.broker.places import place_at, raw, renewal, stands, until
from tests.support.stage import Stage, domain_of, rabbit_at, staged
from tests.support.worker_process import until as noticed
from worker.broker.base import BrokerError, BrokerRefusedError, TooLargeError
from worker.broker.rabbitmq import RabbitBroker
from worker.broker.topology import parking_queue
from worker.core.secret import Secret
from worker.sandbox.rabbit_node import RabbitNode
from worker.sandbox.world import Fault

pytestmark = pytest.mark.rabbitmq


# Taken away


@pytest.mark.parametrize("what", ["copies", "events"])
@pytest.mark.parametrize("is_exchange", [pytest.param(True, id="exchange"), pytest.param(False, id="binding")])
async def test_an_exchange_or_binding_that_is_deleted_is_made_again_when_it_is_needed(
    tmp_path: Path, rabbit: str, what: str, is_exchange: bool
) -> None:
    retry = {"parking_seconds": [0.5], "deadline_seconds": 0.2}
    async with staged(tmp_path, rabbit_at(rabbit), retry=retry) as stage, await aio_pika.connect(rabbit) as connection:
        names, channel = stage.loaded.broker, await connection.channel()
        ways = {
            "copies": (names.parking_exchange, parking_queue(names, 0.5), "0.5"),
            "events": (names.events_exchange, names.history_stream, "#"),
        }
        exchange, queue, key = ways[what]
        stage.sandbox.world.faults.append(Fault("attach_domains", status=503, times=2))
        async with stage.worker() as worker:
            if is_exchange:
                await channel.exchange_delete(exchange)
            else:
                await (await channel.get_queue(queue, ensure=False)).unbind(exchange, key)
            await stage.renew()
            # Whoever needs it first notices: the renewal's copy, its event, or the look at the history before both.
            await noticed(lambda: bool(worker.told("broker.refused") + worker.told("history.unread")))
            await stage.books()
            assert worker.told("consumer.disconnected") == 0
        await stage.idle()
        assert stage.calls("modify_certificate") == 1


@pytest.mark.parametrize("is_exchange", [pytest.param(True, id="exchange"), pytest.param(False, id="binding")])
async def test_the_way_of_renewals_is_made_again_by_a_worker_that_nobody_tells(rabbit: str, is_exchange: bool) -> None:
    async with place_at(rabbit) as place, raw(place) as channel:
        names = place.settings
        producer, broker = place.broker(), RabbitBroker(names, Secret(place.url), place.retry, look_every=0.1)
        async with broker.deliveries() as deliveries:
            if is_exchange:
                await channel.exchange_delete(names.exchange)
            else:
                for key in names.binding_keys:
                    await (await channel.get_queue(names.queue, ensure=False)).unbind(names.exchange, key)
            await insisted(lambda: producer.publish_renewal(renewal(b"news")))
            assert (await anext(deliveries)).message.body == b"news"
        await broker.close()


# Full


async def ctl(node: RabbitNode, *words: str) -> str:
    return await asyncio.to_thread(node.ctl, *words)


@asynccontextmanager
async def without_room(node: RabbitNode, queue: str) -> AsyncIterator[None]:
    """It takes a single message."""
    await ctl(node, "set_policy", queue, f"^{re.escape(queue)}$", '{"max-length": 0}', "--apply-to", "queues")
    try:
        yield
    finally:
        await ctl(node, "clear_policy", queue)


async def fill(channel: AbstractChannel, queue: str) -> None:
    with suppress(DeliveryError):
        while True:
            await channel.default_exchange.publish(aio_pika.Message(b"filler"), queue)


async def insisted(step: Callable[[], Awaitable[None]]) -> None:
    """As the worker does: the broker opens a queue again in its own time."""
    while True:
        try:
            return await step()
        except TooLargeError:
            raise
        except BrokerError:
            await asyncio.sleep(0.05)


async def emptied(node: RabbitNode, channel: AbstractChannel, queue: str, step: Callable[[], Awaitable[None]]) -> None:
    """The step is refused while the queue is full, and taken once it is not."""
    async with without_room(node, queue):
        await fill(channel, queue)
        with pytest.raises(BrokerRefusedError):
            await step()
        await (await channel.get_queue(queue, ensure=False)).purge()
    await insisted(step)


async def test_a_copy_that_a_full_queue_does_not_take_is_refused_and_its_original_stays(own_node: RabbitNode) -> None:
    async with place_at(own_node.url, is_left=True) as place, raw(place) as channel:
        broker = place.broker()
        async with broker.deliveries() as deliveries:
            await broker.publish_renewal(renewal(b"news"))
            park = partial((await anext(deliveries)).park, 3600, attempt=2)
            await emptied(own_node, channel, parking_queue(place.settings, 3600), park)
            await until(lambda: stands(broker, parked=1))


async def test_a_renewal_that_a_full_queue_does_not_take_is_refused_and_may_be_sent_again(own_node: RabbitNode) -> None:
    async with place_at(own_node.url, is_left=True) as place, raw(place) as channel:
        broker = place.broker()
        await broker.declare()
        await emptied(own_node, channel, place.settings.queue, lambda: broker.publish_renewal(renewal(b"news")))
        async with broker.deliveries() as deliveries:
            assert (await anext(deliveries)).message.body == b"news"


async def test_an_event_that_a_full_queue_does_not_take_is_told_when_there_is_room(tmp_path: Path, rabbit: str) -> None:
    """Somebody's own queue beside the history, which has taken it each time: with one id."""
    async with staged(tmp_path, rabbit_at(rabbit)) as stage, await aio_pika.connect(rabbit) as connection:
        channel = await connection.channel()
        audit = await channel.declare_queue(
            exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
        )
        await audit.bind(stage.loaded.broker.events_exchange, "#")
        await fill(channel, audit.name)
        async with stage.worker() as worker:
            await stage.renew()
            await worker.tells("broker.refused", times=2)
            assert worker.told("rotation.finished") == 0
            await audit.purge()
            await worker.tells("rotation.finished", outcome="succeeded")
            await stage.books()
        await stage.idle()
        assert stage.calls("modify_certificate") == 1


# Too large


@asynccontextmanager
async def narrow(node: RabbitNode, most: int) -> AsyncIterator[None]:
    """Channels that are opened from now on take no message of more bytes."""
    set_to = "application:set_env(rabbit, max_message_size, {})."
    await ctl(node, "eval", set_to.format(most))
    try:
        yield
    finally:
        await ctl(node, "eval", set_to.format(134217728))


async def test_an_event_that_is_too_large_for_the_broker_is_told_in_short(tmp_path: Path, own_node: RabbitNode) -> None:
    async with narrow(own_node, 16_000), staged(tmp_path, rabbit_at(own_node.url), ("shop", "blog")) as stage:
        serve_everywhere(stage, "shop", 60)
        refusal = {"error_code": "APIG.3020", "error_msg": "no " * 66}
        stage.sandbox.world.faults.append(
            Fault("attach_domains", status=404, body=refusal, times=10_000, match=stage.stored["shop"])
        )
        async with stage.worker() as worker:
            sick, sound = await stage.renew("shop"), await stage.renew("blog")
            outcomes = await stage.ended()
            [told] = outcomes[sick]["data"]["deployments"]
            assert (len(told["failures"]), told["truncated"], told["bindings"]["failed"]) == (10, True, 61)
            assert outcomes[sound]["data"]["outcome"] == "succeeded"
            await worker.tells("rotation.finished", outcome="failed")
            assert worker.told("event.shortened") == 2
            await stage.books(failed=[sick])
            [dead] = await stage.dead()
            assert dead.renewal_id == sick
        await stage.idle(dead=1)


def serve_everywhere(stage: Stage, certificate: str, more: int) -> None:
    """Its domain on so many more instances."""
    world = stage.sandbox.world
    for _ in range(more):
        world.bind(
            stage.stored[certificate], world.add_domain(world.add_group(world.add_instance()), domain_of(certificate))
        )


async def test_what_is_published_beside_something_too_large_gets_through(own_node: RabbitNode) -> None:
    """That closes the channel for all that are on it."""
    async with narrow(own_node, 10_000), place_at(own_node.url, is_left=True) as place:
        broker = place.broker()
        await broker.declare()
        small = [insisted(lambda: broker.publish_renewal(renewal(b"news"))) for _ in range(10)]
        large = insisted(lambda: broker.publish_renewal(renewal(b"x" * 20_000)))
        done = await asyncio.gather(*small[:5], large, *small[5:], return_exceptions=True)
        assert [type(one) for one in done if one is not None] == [TooLargeError]
