"""The example that posts events on."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from aiohttp import web

from tests.broker.places import event, place_at
from tests.docs.pages import ROOT

SCRIPT = ROOT / "docs" / "examples" / "webhook.py"


class Webhook:
    """Answers the first posts otherwise; elsewhere it takes anything for nothing."""

    def __init__(self, *refusals: web.Response) -> None:
        self.refusals = list(refusals)
        self.asked = 0
        self.taken: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.refusals:
            return self.refusals.pop(0)
        self.taken.put_nowait((request.content_type, await request.json()))
        return web.Response(status=204)


async def nothing(_request: web.Request) -> web.Response:
    return web.Response()


@asynccontextmanager
async def serving(webhook: Webhook) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/", webhook.answer)
    app.router.add_get("/elsewhere", nothing)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def script(**environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(sys.executable, SCRIPT, env={**os.environ, **environ})
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def there(url: str, queue: str) -> None:
    """Until the script's queue is bound: an event before is not for it."""
    connection = await aio_pika.connect(url)
    async with connection:
        while True:
            channel = await connection.channel()
            try:
                declared = await channel.declare_queue(queue, passive=True)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                await asyncio.sleep(0.05)
                continue
            if declared.declaration_result.consumer_count:
                return
            await asyncio.sleep(0.05)


async def removed(url: str, queue: str) -> None:
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        await channel.queue_delete(queue)


@pytest.mark.rabbitmq
async def test_the_example_posts_every_event_once_it_is_taken_and_in_order(rabbit: str) -> None:
    webhook = Webhook(web.Response(status=503), web.Response(status=302, headers={"Location": "/elsewhere"}))
    queue = f"webhook-{uuid4().hex}"
    async with place_at(rabbit) as place, serving(webhook) as url:
        broker = place.broker()
        await broker.declare()
        names = {"EXCHANGE": place.settings.events_exchange, "QUEUE": queue}
        try:
            async with script(AMQP_URL=rabbit, WEBHOOK_URL=url, **names):
                await there(rabbit, queue)
                told = [event(id="1"), event(id="2", type="certificate.rotation.failed")]
                for one in told:
                    await broker.publish_event(one)
                posted = [await webhook.taken.get() for _ in told]
            assert posted == [("application/cloudevents+json", one) for one in told]
            assert webhook.asked == 4
        finally:
            await removed(rabbit, queue)


def test_the_example_is_a_short_script() -> None:
    """Short enough to be read before it is trusted."""
    code = [
        line
        for line in SCRIPT.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith(("#", '"', "import"))
    ]
    assert len(code) <= 24
    assert "docs/examples/webhook.py" in (ROOT / "docs" / "events.md").read_text(encoding="utf-8")


def test_the_page_tells_the_statuses_by_which_the_example_takes_an_event_for_taken() -> None:
    first, last = re.findall(r"in range\((\d+), (\d+)\)", SCRIPT.read_text(encoding="utf-8"))[0]
    page = " ".join((ROOT / "docs" / "events.md").read_text(encoding="utf-8").split())
    assert f"with a status from {first} to {int(last) - 1}. It follows no redirect" in page
