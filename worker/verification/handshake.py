"""One TLS handshake that trusts nothing and sends nothing but itself: what the server shows in it."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from worker.core.errors import is_exhaustion

HANDSHAKE_SECONDS: Final = 5.0
_FLIGHT: Final = 65536
# OpenSSL takes chains of 100 KiB; a server that goes on and on gets no further than this.
_LONGEST: Final = 262_144
_HANDSHAKE_RECORD: Final = 22
_CERTIFICATE_REQUEST: Final = 13


@dataclass(frozen=True, slots=True)
class Seen:
    """What a server showed; no chain where there was no handshake."""

    chain: Sequence[bytes] = ()
    """DER, leaf first."""
    asks_for_client: bool = False
    """It asked for a client certificate, be it that it can do without."""
    is_there: bool = False
    """Somebody took the connection, or refused it: there is a way to it."""


async def served_chain(host: str, port: int, server_name: str) -> Sequence[bytes]:
    """The DER certificates that a TLS server sends, leaf first; empty when there is no handshake."""
    return (await look(host, port, server_name)).chain


async def look(host: str, port: int, server_name: str) -> Seen:
    """What a TLS server shows to whoever asks for this name; for five seconds at most.

    Raises what `is_exhaustion` knows: that says nothing of the server.
    """
    is_there = False
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            is_there = True
            try:
                return replace(await _seen(_untrusting(server_name), reader, writer), is_there=True)
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError) as error:
        if is_exhaustion(error):
            raise
        return Seen(is_there=is_there or isinstance(error, ConnectionRefusedError))


@dataclass(slots=True)
class _Handshake:
    """A TLS client that is fed by hand: the ready-made one forgets the chain when a handshake is refused."""

    tls: ssl.SSLObject
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    heard: "_Heard"
    received: int = field(default=0, init=False)

    def seen(self) -> Seen:
        # The public way to the whole chain came with Python 3.13; this is what it calls.
        chain = self.tls._sslobj.get_unverified_chain() or ()  # type: ignore[attr-defined]  # noqa: SLF001
        shown = [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain]
        return Seen(shown, self.heard.certificate_request)

    def is_over(self) -> bool:
        """Whether nothing more is to be received. Raises SSLError when it failed."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def receive(self, flight: bytes) -> None:
        self.received += len(flight)
        if flight and self.received <= _LONGEST:
            self.incoming.write(flight)
        else:
            self.incoming.write_eof()


@dataclass(slots=True)
class _Heard:
    """What a server said in passing that OpenSSL tells nobody afterwards."""

    certificate_request: bool = False

    def hear(self, _tls: object, direction: str, _version: int, record: int, message: int, _raw: bytes) -> None:
        if (direction, record, message) == ("read", _HANDSHAKE_RECORD, _CERTIFICATE_REQUEST):
            self.certificate_request = True


def _untrusting(server_name: str) -> _Handshake:
    heard = _Heard()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # There is no public way to messages: the certificate request leaves no other trace in TLS 1.3.
    context._msg_callback = heard.hear  # type: ignore[attr-defined]  # noqa: SLF001
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return _Handshake(context.wrap_bio(incoming, outgoing, server_hostname=server_name), incoming, outgoing, heard)


async def _seen(handshake: _Handshake, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Seen:
    """Also of a server that refuses us at the end, because it wants a client certificate.

    Only once we have answered it: by then the server has proved that it holds the leaf's key.
    """
    seen = Seen()
    try:
        while not handshake.is_over():
            if flight := handshake.outgoing.read():
                seen = handshake.seen()
                writer.write(flight)
            handshake.receive(await reader.read(_FLIGHT))
        writer.write(handshake.outgoing.read())
        return handshake.seen()
    except OSError:  # SSLError too
        return seen
