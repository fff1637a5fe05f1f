"""What comes along with a message over RabbitMQ steers nothing."""

import asyncio

import aio_pika
import pytest

from tests.broker.places import place_at, raw
from tests.support.clouds import message

pytestmark = pytest.mark.rabbitmq


async def test_nobody_is_answered_who_asks_for_it(rabbit: str) -> None:
    async with place_at(rabbit) as place, raw(place) as channel:
        answers = await channel.declare_queue(exclusive=True)
        sent = aio_pika.Message(
            message(b"{}").body, reply_to=answers.name, correlation_id="hunter2", content_type="application/json"
        )
        async with place.broker().deliveries() as deliveries:
            exchange = await channel.get_exchange(place.settings.exchange, ensure=False)
            await exchange.publish(sent, "certificate.renewed")
            await (await anext(deliveries)).park(0, attempt=2)
            await (await anext(deliveries)).bury("malformed", keep_body=True, certificate=None, renewal_id=None)
        dead = await channel.get_queue(place.settings.dead_queue, ensure=False)
        letter = await asyncio.wait_for(_next(dead), 10)
        assert (letter.reply_to, letter.correlation_id) == (None, None)
        assert await answers.get(fail=False) is None


async def _next(queue: aio_pika.abc.AbstractQueue) -> aio_pika.abc.AbstractIncomingMessage:
    while (found := await queue.get(no_ack=True, fail=False)) is None:
        await asyncio.sleep(0.02)
    return found
