"""A bare script on aio-pika and aiohttp: sends the calls that it is told to, and checks nothing at all.

`python -m benchmarks.bare SPEC [--uvloop]`: what `make bench` measures the worker against.
"""

import argparse
import asyncio
import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
import aiohttp
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from yarl import URL


async def send_all(session: aiohttp.ClientSession, spec: dict[str, Any], body: bytes) -> None:
    """The calls of one renewal: steps one after the other, the calls of a step together."""
    renewal = json.loads(body)["data"]
    for step in spec["steps"]:
        if len(step) == 1:
            await _send(session, spec, step[0], renewal)
        else:
            await asyncio.gather(*(_send(session, spec, call, renewal) for call in step))


async def _send(session: aiohttp.ClientSession, spec: dict[str, Any], call: list[str], renewal: dict[str, Any]) -> None:
    method, target, body = call
    name, material = renewal["certificate"], renewal["material"]
    if method == "PUT":
        stored = {"name": f"cert_{name}", "type": "global", "cert_content": material["chain_pem"]}
        body = json.dumps({**stored, "private_key": material["private_key_pem"]})
    url = URL(spec["endpoint"] + target.replace("{id}", name), encoded=True)
    headers = {"X-Auth-Token": spec["token"], "Content-Type": "application/json"}
    async with session.request(method, url, data=body.encode() or None, headers=headers) as response:
        content = await response.read()
        if content:
            json.loads(content)


@dataclass(frozen=True, slots=True)
class Script:
    """As somebody would write it in an hour."""

    spec: dict[str, Any]
    session: aiohttp.ClientSession
    events: AbstractExchange

    async def on_message(self, message: AbstractIncomingMessage) -> None:
        await send_all(self.session, self.spec, message.body)
        event = aio_pika.Message(self.spec["event"].encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self.events.publish(event, "certificate.rotation.succeeded")
        await message.ack()


async def serve(spec: dict[str, Any]) -> None:
    connection = await aio_pika.connect(spec["amqp"])
    async with connection, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        publishing = await connection.channel()
        events = await publishing.get_exchange(spec["events"], ensure=False)
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=spec["in_flight"])
        queue = await channel.get_queue(spec["queue"], ensure=False)
        await queue.consume(Script(spec, session, events).on_message)
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare", description=__doc__)
    parser.add_argument("spec", type=Path)
    parser.add_argument("--uvloop", action="store_true")
    args = parser.parse_args()
    factory = None
    if args.uvloop:
        import uvloop  # noqa: PLC0415 - an extra

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(json.loads(args.spec.read_text(encoding="utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
