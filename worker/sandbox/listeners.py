"""Real TLS listeners that serve what is bound: one port for each APIG instance and for each Octavia listener."""

import asyncio
import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from worker.sandbox.world import Served, World

_PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


@dataclass(slots=True)
class Listeners:
    """Ports by place (an instance's or a listener's id)."""

    world: World
    ports: dict[str, int] = field(default_factory=dict)
    _servers: list[asyncio.Server] = field(default_factory=list)
    _contexts: dict[Served, ssl.SSLContext] = field(default_factory=dict)

    async def open(self, place: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

        def choose(tls: ssl.SSLObject, name: str | None, _first: ssl.SSLContext) -> int | None:
            served = self._served(place, name or "")
            if served is None:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            tls.context = self._context(served)
            return None

        context.sni_callback = choose
        server = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=context)
        self._servers.append(server)
        self.ports[place] = server.sockets[0].getsockname()[1]

    def _served(self, place: str, name: str) -> Served | None:
        wild = f"*.{name.partition('.')[2]}"
        keys = [(place, name), (place, wild), (place, "sni=True"), (place, "sni=False")]
        return next((self.world.served[key] for key in keys if key in self.world.served), None)

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


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(5):
            if await reader.readline():
                writer.write(_PAGE)
                await writer.drain()
    except (OSError, TimeoutError, ssl.SSLError):
        pass
    finally:
        writer.close()
