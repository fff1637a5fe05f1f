"""FastStream on RabbitMQ, with aiohttp: `python -m benchmarks.peer_faststream SPEC`."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue

from benchmarks.bare import send_all


async def serve(spec: dict[str, Any]) -> None:
    broker = RabbitBroker(spec["amqp"], default_channel=Channel(prefetch_count=spec["in_flight"]), logger=None)
    events = RabbitExchange(spec["events"], declare=False)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def rotate(message: RabbitMessage) -> None:
            await send_all(session, spec, message.body)
            await broker.publish(spec["event"].encode(), "certificate.rotation.succeeded", events, persist=True)

        queue = RabbitQueue(spec["queue"], declare=False)
        broker.subscriber(queue, ack_policy=AckPolicy.REJECT_ON_ERROR)(rotate)
        await FastStream(broker, logger=None).run()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
