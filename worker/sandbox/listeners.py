"""Real TLS listeners that serve what is bound: one port for each APIG instance and for each Octavia listener."""

import asyncio
import os
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from worker.sandbox.flaws import Served, spoilt
from worker.sandbox.greeting import greet
from worker.sandbox.world import World

_PAGE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
_MOST_TRIES: Final = 10


@dataclass(slots=True)
class Listeners:
    """Ports by place (an instance's or a listener's id), each at all addresses."""

    world: World
    addresses: Sequence[str] = ("127.0.0.1",)
    ports: dict[str, int] = field(default_factory=dict)
    _servers: list[asyncio.Server] = field(default_factory=list)
    _contexts: dict[Served, ssl.SSLContext] = field(default_factory=dict)

    async def open(self, place: str) -> None:
        for tries in range(_MOST_TRIES):
            try:
                self.ports[place] = await self._open(place)
            except OSError:  # the port that one address had free was not free at another
                if tries == _MOST_TRIES - 1:
                    raise
            else:
                return

    async def _open(self, place: str) -> int:
        port, opened = 0, list[asyncio.Server]()
        try:
            for address in self.addresses:
                opened.append(await asyncio.start_server(partial(self._answer, place, address), address, port))
                port = opened[0].sockets[0].getsockname()[1]
        except OSError:
            for server in opened:
                server.close()
            raise
        self._servers += opened
        return port

    async def _answer(
        self, place: str, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with asyncio.timeout(5):
                await greet(reader, writer, partial(self._choose, place, address), _PAGE)
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()

    def _choose(self, place: str, address: str, name: str) -> ssl.SSLContext | None:
        wild = f"*.{name.partition('.')[2]}"
        for key in ((place, name), (place, wild), (place, "sni=True"), (place, "sni=False")):
            if (served := self.world.served.get(key)) is not None:
                now = spoilt(self.world.flaws, key, served, name, address)
                return None if now is None else self._context(now)
        return None

    def _context(self, served: Served) -> ssl.SSLContext:
        if served not in self._contexts:
            self._contexts[served] = _context_of(served)
        return self._contexts[served]

    async def close(self) -> None:
        for server in self._servers:
            server.close()
            await server.wait_closed()


def _context_of(served: Served) -> ssl.SSLContext:
    """OpenSSL reads certificates from files only: one that nobody else can read, for the moment of reading."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    descriptor, path = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(served.private_key_pem + served.chain_pem)
        context.load_cert_chain(path)
    finally:
        Path(path).unlink()
    if served.client_ca is not None:
        context.load_verify_locations(cadata=served.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
