"""A TCP proxy that cuts or freezes single connections on demand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from yarl import URL


@dataclass(slots=True)
class Link:
    """One connection through the proxy, in the order of their coming."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    flows: asyncio.Event = field(default_factory=asyncio.Event)

    def cut(self) -> None:
        """Both sides are told at once."""
        self.near.transport.abort()
        self.far.transport.abort()

    def freeze(self) -> None:
        """Nobody is told anything: bytes stay where they are."""
        self.flows.clear()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                await self.flows.wait()
                writer.write(chunk)
                await writer.drain()
        self.cut()


@dataclass(slots=True)
class Proxy:
    """Stands before the broker at `target`."""

    target: URL
    url: str = ""
    links: list[Link] = field(default_factory=list)

    async def accept(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        far_reader, far = await asyncio.open_connection(self.target.host, self.target.port or 5672)
        link = Link(near, far)
        link.flows.set()
        self.links.append(link)
        with suppress(asyncio.CancelledError):  # the server's end
            await asyncio.gather(link.carry(reader, far), link.carry(far_reader, near))


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    """A proxy inside the block; cuts what is left at its end."""
    proxy = Proxy(URL(url))
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    proxy.url = str(proxy.target.with_host(host).with_port(port))
    try:
        yield proxy
    finally:
        server.close()
        for link in proxy.links:
            link.flows.set()
            link.cut()
        await server.wait_closed()
