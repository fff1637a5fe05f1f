"""A TCP proxy that cuts, freezes or slows down single connections on demand, in one direction or in both."""

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
    asks: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while bytes flow to the far end…"""
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    """…and while they flow back."""
    drip: float = 0.0
    """Seconds for each few bytes of an answer."""

    def cut(self) -> None:
        """Both sides are told at once."""
        self.near.transport.abort()
        self.far.transport.abort()

    def freeze(self, *, asks: bool = True, answers: bool = True) -> None:
        """Nobody is told anything: bytes stay where they are, in the directions that are named."""
        for flow, is_frozen in ((self.asks, asks), (self.answers, answers)):
            if is_frozen:
                flow.clear()

    def thaw(self) -> None:
        self.asks.set()
        self.answers.set()

    async def ask(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                await self.asks.wait()
                self.far.write(chunk)
                await self.far.drain()
        self.cut()

    async def answer(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(16 if self.drip else 65536):
                await self.answers.wait()
                await asyncio.sleep(self.drip)
                self.near.write(chunk)
                await self.near.drain()
        self.cut()


@dataclass(slots=True)
class Proxy:
    """Stands before the broker at `target`."""

    target: URL
    url: str = ""
    links: list[Link] = field(default_factory=list)
    _held: dict[str, bool] | None = None
    _drip: float = 0.0
    _held_from: float = float("inf")

    def hold_from(self, number: int) -> None:
        """Freezes that connection, counted from 0, and those that come after it, each from its beginning."""
        self._held_from = number

    def hold(self, **directions: bool) -> None:
        """Freezes all connections, those that come later too."""
        self._held = directions
        for link in self.links:
            link.freeze(**directions)

    def release(self) -> None:
        self._held = None
        for link in self.links:
            link.thaw()

    def slow(self, drip: float) -> None:
        """All connections, those that come later too."""
        self._drip = drip
        for link in self.links:
            link.drip = drip

    def lead_to(self, url: str) -> None:
        """Connections that come from now on."""
        self.target = URL(url)

    async def accept(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        try:
            far_reader, far = await asyncio.open_connection(self.target.host, self.target.port or 5672)
        except OSError:
            near.transport.abort()
            return
        link = Link(near, far, drip=self._drip)
        link.thaw()
        if self._held is not None or len(self.links) >= self._held_from:
            link.freeze(**(self._held or {}))
        self.links.append(link)
        with suppress(asyncio.CancelledError):  # the server's end
            await asyncio.gather(link.ask(reader), link.answer(far_reader))


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
            link.thaw()
            link.cut()
        await server.wait_closed()
