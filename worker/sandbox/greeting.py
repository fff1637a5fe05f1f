"""A TLS server that hears first which name it is asked for: whether it asks for client certificates hangs on that too.

A context that is swapped while a handshake is under way brings its certificate along, and not what it asks of clients.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

T = TypeVar("T")
_FLIGHT: Final = 65536
_REQUEST: Final = 4096


async def greet(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    choose: Callable[[str], ssl.SSLContext | None],
    page: bytes,
) -> None:
    """One connection: the handshake as the context for the name says, then `page` for whatever is asked."""
    name, hello, refusal = await _overheard(reader)
    context = choose(name)
    if context is None:
        writer.write(refusal)
        return
    side = _Side(context, reader, writer)
    side.incoming.write(hello)
    await side.until(side.tls.do_handshake)
    if await side.until(lambda: side.tls.read(_REQUEST)):
        side.tls.write(page)
        side.flush()
        await writer.drain()


async def _overheard(reader: asyncio.StreamReader) -> tuple[str, bytes, bytes]:
    """The name that a client asks for, all that it said until then, and the alert for a name that is not served."""
    hello = b""
    while True:
        flight = await reader.read(_FLIGHT)
        if not flight:
            raise ConnectionResetError
        hello += flight
        if (heard := _heard(hello)) is not None:
            return heard[0], hello, heard[1]


def _heard(hello: bytes) -> tuple[str, bytes] | None:
    """None while the name is still to come. Raises SSLError for what is no TLS."""
    names: list[str] = []

    def hear(_tls: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int:
        names.append(name or "")
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = hear
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(hello)
    try:
        context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    except ssl.SSLWantReadError:
        return None
    except ssl.SSLError:
        if not names:
            raise
    return names[0], outgoing.read()


@dataclass(slots=True)
class _Side:
    """The server's side of a connection, fed by hand."""

    context: ssl.SSLContext
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    incoming: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    outgoing: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    tls: ssl.SSLObject = field(init=False)

    def __post_init__(self) -> None:
        self.tls = self.context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    async def until(self, step: Callable[[], T]) -> T:
        """What the step gives once the client has said enough. Raises SSLError, after the client is told."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.flush()
                self.receive(await self.reader.read(_FLIGHT))
            finally:
                self.flush()

    def flush(self) -> None:
        if flight := self.outgoing.read():
            self.writer.write(flight)

    def receive(self, flight: bytes) -> None:
        if flight:
            self.incoming.write(flight)
        else:
            self.incoming.write_eof()
