"""TLS servers on loopback that serve what a test wants, and one that speaks no TLS."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateways import AUTHORITY
from worker.sandbox.ca import Issued


class Server:
    """A TLS server on 127.0.0.1 whose certificate can be swapped while it runs."""

    def __init__(self, folder: Path, shows: Issued, chain_pem: str | None = None) -> None:
        self._folder = folder
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.names_asked: list[str | None] = []
        self.port = 0
        self._load(shows, chain_pem)
        self.context.sni_callback = self._asked

    def _load(self, shows: Issued, chain_pem: str | None = None) -> None:
        path = self._folder / f"{shows.serial_number}.pem"
        path.write_text(shows.private_key_pem + (chain_pem or shows.chain_pem))
        self._latest = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for context in (self._latest, self.context):
            context.load_cert_chain(path)

    def _asked(self, _tls: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self.names_asked.append(name)

    def show(self, shows: Issued) -> None:
        """From the next handshake on."""
        self._load(shows)

    def swap_at_the_next_look(self, shows: Issued) -> None:
        """The next handshake still gets the old certificate, the one after it the new one."""

        def swap(tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
            before = self._latest
            self._load(shows)
            self.context.sni_callback = self._asked
            tls.context = before
            self._asked(tls, name, context)

        self.context.sni_callback = swap

    def demand_client_certificates(self, newest: ssl.TLSVersion, mode: ssl.VerifyMode = ssl.CERT_REQUIRED) -> None:
        self.context.maximum_version = newest
        self.context.load_verify_locations(cadata=AUTHORITY.root_pem)
        self.context.verify_mode = mode


@asynccontextmanager
async def serving(server: Server, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Server]:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    running = await asyncio.start_server(answer, host, port, ssl=server.context)
    server.port = running.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        running.close()
        await running.wait_closed()


@asynccontextmanager
async def dumb_server(*, says: bytes) -> AsyncIterator[int]:
    """Answers every connection with these bytes and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(says)
        writer.close()

    running = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()
        await running.wait_closed()


async def closed_port() -> int:
    async with dumb_server(says=b"") as port:
        return port


def resolve(monkeypatch: pytest.MonkeyPatch, name: str, *hosts: str) -> None:
    """The name has these addresses; all others have their own."""
    others = socket.getaddrinfo

    def look_up(host: str, port: int, *hints: Any, **more: Any) -> list[Any]:
        if host != name:
            return others(host, port, *hints, **more)
        families = [socket.AF_INET6 if ":" in one else socket.AF_INET for one in hosts]
        return [(family, 0, 0, "", (one, port)) for family, one in zip(families, hosts, strict=True)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
