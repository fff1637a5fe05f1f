"""Posts every outcome event to a webhook: AMQP_URL, WEBHOOK_URL; EXCHANGE, QUEUE where they are not the usual ones."""
# ruff: noqa: INP001, T201 - a script

import asyncio
import os
import sys

import aio_pika
import aiohttp

URL = os.environ["WEBHOOK_URL"]


async def main(exchange: str, queue: str) -> None:
    broker = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    async with broker, await broker.channel() as channel, aiohttp.ClientSession() as http:
        await channel.set_qos(prefetch_count=1)
        waiting = await channel.declare_queue(queue, durable=True)
        await waiting.bind(exchange, "certificate.rotation.#")
        async for event in waiting.iterator():
            while not await taken(http, event):  # noqa: ASYNC110 - somebody else's server
                await asyncio.sleep(1)
            await event.ack()


async def taken(http: aiohttp.ClientSession, event: aio_pika.abc.AbstractIncomingMessage) -> bool:
    headers = {"Content-Type": event.content_type or "application/cloudevents+json"}
    try:
        # A redirect would be followed by a GET without the event, and answered well.
        async with http.post(URL, data=event.body, headers=headers, allow_redirects=False) as answer:
            what: object = answer.status
    except (aiohttp.ClientError, TimeoutError) as error:
        what = type(error).__name__
    if what in range(200, 300):
        return True
    print(f"The webhook does not take an event, which is tried again: {what}", file=sys.stderr)
    return False


asyncio.run(main(os.environ.get("EXCHANGE", "certificate.events"), os.environ.get("QUEUE", "webhook")))
