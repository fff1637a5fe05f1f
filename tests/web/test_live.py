"""News of an open page, over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.support.fleets import StillFleet, sample_fleet
from tests.support.pages import page_of
from tests.support.unread import unread
from tests.support.virtual_time import run_virtual
from worker.web.live import MOST_READERS, Live, PageSnapshot, news
from worker.web.sharing import Sharing


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    """As a browser reads them."""
    name, told = "", ""
    async for line in answer.content:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            told += value
        elif not field and name:
            yield name, json.loads(told)
            name, told = "", ""


async def opened(stack: AsyncExitStack, source: StillFleet) -> tuple[str, aiohttp.ClientSession]:
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    return await stack.enter_async_context(page_of(source)), await stack.enter_async_context(session)


async def test_first_all_parts_come_and_then_those_that_have_changed() -> None:
    source = StillFleet(sample_fleet(50))
    async with page_of(source) as url, aiohttp.ClientSession() as session, session.get(f"{url}/live") as answer:
        assert answer.content_type == "text/event-stream"
        assert answer.headers["X-Accel-Buffering"] == "no", "else a proxy keeps the news for itself"
        told = events(answer)
        name, parts = await anext(told)
        assert name == "parts"
        assert set(parts) == {"role", "glance", "attention", "running", "latest", "gateways", "history", "table"}
        name, said = await anext(told)
        assert name == "said"
        assert "of 50 certificates need attention" in said
        fleet = source.now
        (step, *_), *_ = (one.steps for one in fleet.running)
        source.show(replace(fleet, running=[replace(fleet.running[0], steps=[replace(step, done=321)])]))
        name, parts = await anext(told)
        assert (name, set(parts)) == ("parts", {"running", "glance"})
        assert 'value="321"' in parts["running"]


async def test_a_page_that_looks_for_something_hears_of_that() -> None:
    source = StillFleet(sample_fleet(50))
    async with AsyncExitStack() as stack:
        url, session = await opened(stack, source)
        answer = await stack.enter_async_context(session.get(f"{url}/live", params={"q": "shop-00007"}))
        _, parts = await anext(events(answer))
    assert parts["table"].count("<tr") == 2


async def test_a_certificates_page_hears_of_its_own_parts() -> None:
    source = StillFleet(sample_fleet(50))
    async with AsyncExitStack() as stack:
        url, session = await opened(stack, source)
        answer = await stack.enter_async_context(session.get(f"{url}/certificates/shop-00024/live"))
        _, parts = await anext(events(answer))
    assert set(parts) == {"standing", "now", "deployments", "past"}


async def test_a_worker_that_stops_waits_for_nobodys_page() -> None:
    async with aiohttp.ClientSession() as session:
        async with page_of(StillFleet(sample_fleet(3))) as url:
            answer = await session.get(f"{url}/live")
            await anext(events(answer))
        answer.close()


async def test_more_readers_than_can_be_served_are_told_to_come_again() -> None:
    async with AsyncExitStack() as stack:
        url, session = await opened(stack, StillFleet(sample_fleet(3)))
        for _ in range(MOST_READERS):
            answer = await stack.enter_async_context(session.get(f"{url}/live"))
            await anext(events(answer))
        async with session.get(f"{url}/live") as refused:
            assert refused.status == 503
            assert refused.headers["Retry-After"] == "30"
        async with session.get(url) as page:
            assert page.status == 200
        answer.close()
        while True:
            async with session.get(f"{url}/live") as again:
                if again.status == 200:
                    break
            await asyncio.sleep(0.1)


async def test_a_stream_ends_after_a_while_so_that_whoever_follows_it_is_looked_at_again() -> None:
    source = StillFleet(sample_fleet(3))
    live = Live(source.changed, lifetime=0.1)

    async def shown() -> PageSnapshot:
        return PageSnapshot(1, {"role": "consuming"}, "well")

    async def follow(request: web.Request) -> web.StreamResponse:
        return await live.follow(request, {}, shown)

    app = web.Application()
    app.add_routes([web.get("/", follow)])
    async with TestClient(TestServer(app)) as client, client.get("/") as answer:
        assert await answer.text() == (
            'retry: 1000\n\nevent: parts\ndata: {"role": "consuming"}\n\nevent: said\ndata: "well"\n\n'
        )


async def test_who_does_not_read_is_let_go_with_all_that_lies_there_for_him() -> None:
    whole = PageSnapshot(1, {"role": "x" * 8_000_000}, "well")

    async def shown() -> PageSnapshot:
        return whole

    live = Live(StillFleet(sample_fleet(3)).changed, patience=0.2)

    async with unread(lambda request: live.follow(request, {}, shown)) as reader:
        with suppress(ConnectionError):
            assert len(await reader.read()) < 8_000_000
    assert not live._readers


async def test_what_many_look_at_is_made_once() -> None:
    made = 0

    async def make() -> PageSnapshot:
        nonlocal made
        made += 1
        await asyncio.sleep(0.01)
        return PageSnapshot(made, {}, "")

    sharing = Sharing()
    first = await asyncio.gather(*(sharing.shown("all", make) for _ in range(32)))
    other = await sharing.shown("else", make)
    assert ({id(one) for one in first}, other) == ({id(first[0])}, PageSnapshot(2, {}, ""))


def test_what_was_made_for_others_is_no_older_than_half_a_second() -> None:
    async def make() -> PageSnapshot:
        return PageSnapshot(round(asyncio.get_running_loop().time(), 3), {}, "")  # type: ignore[arg-type]

    async def looks() -> list[float]:
        sharing = Sharing()
        seen: list[float] = []
        for _ in range(4):
            one = await sharing.shown("all", make)
            seen.append(one.version if one else -1)
            await asyncio.sleep(0.3)
        return seen

    assert run_virtual(looks()) == [0.0, 0.0, 0.6, 0.6]


async def test_who_asks_for_the_head_of_a_stream_alone_takes_nobodys_place() -> None:
    async with AsyncExitStack() as stack:
        url, session = await opened(stack, StillFleet(sample_fleet(3)))
        for path in ("/live", "/certificates/shop-00001/live"):
            async with session.head(url + path) as answer:
                assert answer.status == 405


def test_nothing_is_told_where_nothing_has_changed() -> None:
    one = PageSnapshot(1, {"a": "<p>\n</p>", "b": ""}, "said")
    assert news(one, replace(one, version=2)) == b""
    told = news(one, PageSnapshot(2, {"a": "<p>\nmore</p>", "b": ""}, "said"))
    assert told == b'event: parts\ndata: {"a": "<p>\\nmore</p>"}\n\n'


async def test_time_that_passes_is_news_too() -> None:
    source = StillFleet(sample_fleet(3))
    async with page_of(source) as url, aiohttp.ClientSession() as session, session.get(f"{url}/live") as answer:
        told = events(answer)
        await anext(told)
        await anext(told)
        source.now = replace(source.now, at=source.now.at + timedelta(hours=30))
        _, parts = await anext(told)
        assert "latest" in parts
