"""Connections: kept from call to call, and never with something of one call left for the next."""

import asyncio
import gc
import socket
from contextlib import suppress
from dataclasses import replace

import aiohttp
import pytest
from yarl import URL

from tests.gateways.test_transport import GET, GOOD, POST, RESET, SILENCE, FarEnd, http, listening, transport
from worker.effort import Effort, spending
from worker.gateways.exchange import LONGEST_BODY, AmbiguousError, exchange, http_client


async def closed(far: FarEnd) -> None:
    """Returns once every connection has ended at the far end."""
    async with asyncio.timeout(20):
        await asyncio.gather(*far.serving)


async def test_a_connection_is_kept_for_the_next_call() -> None:
    async with listening(GOOD, http(204), GOOD) as far, transport(far.endpoint) as one:
        for request in (GET, replace(POST, expect=frozenset({204})), GET):
            await one.send(request)
        assert len(far.serving) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_kept_connection_that_breaks_sends_nothing_twice(method: str) -> None:
    async with listening(GOOD, RESET) as far, transport(far.endpoint) as one:
        await one.send(GET)
        with pytest.raises(AmbiguousError):
            await one.send(replace(POST, method=method))
        assert len(far.requests) == 2


async def test_a_change_waits_for_its_fence_when_all_else_is_ready_and_a_read_does_not() -> None:
    asked, opened = asyncio.Event(), asyncio.Event()

    async def fence() -> None:
        asked.set()
        await opened.wait()

    async with listening(GOOD) as far, transport(far.endpoint) as one:
        with spending(Effort(fence=fence)):
            await one.send(GET)
            assert not asked.is_set()
            change = asyncio.create_task(one.send(POST))
            await asked.wait()
            await one.send(GET)
            assert [line.split()[0] for line, *_ in far.requests] == ["GET", "GET"]
            opened.set()
            await change
        assert [line.split()[0] for line, *_ in far.requests] == ["GET", "GET", "POST"]


async def test_a_change_that_its_fence_keeps_back_leaves_no_connection() -> None:
    async def fence() -> None:
        raise asyncio.CancelledError

    async with listening(GOOD) as far, transport(far.endpoint) as one:
        with spending(Effort(fence=fence)), pytest.raises(asyncio.CancelledError):
            await one.send(POST)
        await closed(far)
        assert far.requests == []


async def test_what_answers_a_call_that_nobody_waits_for_answers_no_other() -> None:
    late = http(200, b'{"late": 1}')
    async with listening(SILENCE, late, GOOD) as far, transport(far.endpoint) as one:
        call = asyncio.create_task(one.send(GET))
        while not far.requests:
            await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await closed(far)
        assert (await one.send(GET)).body == {"late": 1}
        assert (await one.send(GET)).body == {"a": 1}
        assert len(far.serving) == 2


@pytest.mark.parametrize("answer", [http(200, b" " * (LONGEST_BODY + 1)), http(200, b"{}", X_Long="x" * 70_000)])
async def test_a_connection_with_an_answer_that_is_not_read_to_its_end_is_closed(answer: bytes) -> None:
    async with listening(answer, GOOD) as far, transport(far.endpoint) as one:
        with pytest.raises(AmbiguousError):
            await one.send(POST)
        await closed(far)
        assert (await one.send(GET)).body == {"a": 1}


async def test_what_was_sent_is_gone_once_its_answer_breaks_off_and_does_not_wait_for_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        async with (
            listening(b"HTTP/1.1 200 X\r\nContent-Length: 99999\r\n\r\n{") as far,
            transport(far.endpoint) as one,
        ):
            with suppress(AmbiguousError):  # pytest.raises would hold it, and all that it went through
                await one.send(POST)
            await closed(far)
        assert len(far.requests) == 1
        assert not any(isinstance(one, aiohttp.ClientRequest) for one in gc.get_objects())
    finally:
        gc.enable()


@pytest.mark.filterwarnings("ignore:Sending a large body")
@pytest.mark.parametrize("answer", [b"HTTP/1.1 101 Upgrade\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", http(413)])
async def test_what_is_answered_before_it_was_sent_whole_leaves_no_connection(answer: bytes) -> None:
    """The rest of the body would wait for ever for somebody who reads it."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await over.wait()
        writer.transport.abort()

    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.bind(("127.0.0.1", 0))
    async with await asyncio.start_server(serve, sock=narrow, limit=1024):
        url = URL.build(scheme="http", host="127.0.0.1", port=narrow.getsockname()[1], path="/")
        async with asyncio.timeout(20), http_client(None, 10) as client:
            status, *_ = await exchange(client, "PUT", url, {}, bytes(8_000_000))
            assert status in {101, 413}
        over.set()
