"""A reader that asks, and does not read what is answered."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer


@asynccontextmanager
async def unread(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[asyncio.StreamReader]:
    """Begins once the server has let it go, connection and all; what had come by then can be read."""
    gone = asyncio.Event()

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await answer(request)
        finally:
            assert request.transport is None or request.transport.is_closing()
            gone.set()

    app = web.Application()
    app.add_routes([web.get("/", answered)])
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await gone.wait()
        yield reader
        writer.close()
