"""What clients are served: proved by TLS handshakes, not by what an API answered."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, Protocol

from cryptography import x509

from worker.core.bundle import Bundle, Leaf
from worker.core.errors import Failure
from worker.core.names import uncovered
from worker.core.reading import UNREADABLE, leaf_facts
from worker.settings.model import Endpoint

_AT_ONCE: Final = 16
_HANDSHAKE: Final = 5.0
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_FLIGHT: Final = 65536
_END: Final = "-----END CERTIFICATE-----\n"


@dataclass(frozen=True, slots=True)
class Probe:
    """One endpoint to be looked at, on every address its host has."""

    host: str
    port: int
    server_name: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`failure` None: every address served the new leaf."""

    probe: Probe
    failure: Failure | None


class Expected(Protocol):
    """What shall be served."""

    def shortfall(self, served: Sequence[bytes], server_name: str) -> str | None:
        """The reason why `served`, in DER and leaf first, is not it, if there is one."""
        ...


@dataclass(frozen=True, slots=True)
class ExpectedLeaf:
    """A leaf that is known, with its chain; and how to recognise what was served before."""

    leaf: Leaf
    intermediates: Sequence[bytes]
    """DER, in the order they are sent."""
    previous_serials: Sequence[str]

    @classmethod
    def of(cls, bundle: Bundle, previous_serials: Sequence[str]) -> "ExpectedLeaf":
        blocks = [block + _END for block in bundle.intermediates_pem.split(_END) if block]
        return cls(bundle.leaf, tuple(map(ssl.PEM_cert_to_DER_cert, blocks)), previous_serials)

    def shortfall(self, served: Sequence[bytes], server_name: str) -> str | None:
        if not served:
            return "not_reachable"
        if sha256(served[0]).hexdigest() != self.leaf.fingerprint_sha256:
            return "still_old" if self._is_old(_facts(served[0]), server_name) else "other_certificate"
        # Clients need every intermediate; a root behind them does no harm.
        sent = served[1 : 1 + len(self.intermediates)]
        return None if list(sent) == list(self.intermediates) else "chain_incomplete"

    def _is_old(self, other: Leaf | None, server_name: str) -> bool:
        """The one that was replaced, or any that is older and for the same name."""
        if other is None:
            return False
        is_older = other.not_before < self.leaf.not_before and not uncovered([server_name], other.names)
        return str(other.serial_number) in self.previous_serials or is_older


@dataclass(frozen=True, slots=True)
class ExpectedExpiry:
    """A leaf that only the platform knows: for the name, valid, and expiring when the platform says, where it does."""

    expiries: frozenset[datetime]
    now: datetime

    def shortfall(self, served: Sequence[bytes], server_name: str) -> str | None:
        if not served:
            return "not_reachable"
        other = _facts(served[0])
        if other is None or uncovered([server_name], other.names):
            return "other_certificate"
        if other.not_after <= self.now or (self.expiries and other.not_after < min(self.expiries)):
            return "still_old"
        return None if not self.expiries or other.not_after in self.expiries else "other_certificate"


@dataclass(frozen=True, slots=True)
class ExpectedEither:
    """One of two; what is wrong is told of the first."""

    first: Expected
    second: Expected

    def shortfall(self, served: Sequence[bytes], server_name: str) -> str | None:
        told = self.first.shortfall(served, server_name)
        if told is None or self.second.shortfall(served, server_name) is None:
            return None
        return told


def _facts(leaf: bytes) -> Leaf | None:
    """None for what strangers may serve, and cannot be read."""
    try:
        return leaf_facts(x509.load_der_x509_certificate(leaf))
    except UNREADABLE:
        return None


def parse_endpoint(endpoint: str | Endpoint) -> Probe:
    """`host:port` or `[v6]:port`; the name asked for is the host's, where no other is given."""
    address = endpoint.address if isinstance(endpoint, Endpoint) else endpoint
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return Probe(host, int(port), endpoint.server_name if isinstance(endpoint, Endpoint) else host)


async def verify(probes: Sequence[Probe], expected: Expected, *, within: float) -> Sequence[Verdict]:
    """Looks, early and often, then less often, until every probe is served what is expected or `within` seconds passed.

    Reasons: `not_reachable`, `still_old`, `other_certificate`, `chain_incomplete`. All are worth another try.
    """
    turns = asyncio.Semaphore(_AT_ONCE)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_until_served(probe, expected, within, turns)) for probe in probes]
    return [Verdict(probe, task.result()) for probe, task in zip(probes, tasks, strict=True)]


async def _until_served(probe: Probe, expected: Expected, within: float, turns: asyncio.Semaphore) -> Failure | None:
    clock = asyncio.get_running_loop().time
    began, pause = clock(), _FIRST_PAUSE
    while True:
        async with turns:
            failure = await _look(probe, expected)
        left = within - (clock() - began)
        if failure is None or left <= 0:
            return failure
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE)


_TOLD: Final = {
    "not_reachable": "no TLS handshake",
    "still_old": "serves the certificate that was replaced",
    "other_certificate": "serves another certificate",
    "chain_incomplete": "serves the certificate without its whole chain",
}


async def _look(probe: Probe, expected: Expected) -> Failure | None:
    """What is wrong at the first address that does not serve the leaf with its chain."""
    addresses = await _addresses(probe)
    for address in addresses:
        reason = expected.shortfall(await served_chain(address, probe.port, probe.server_name), probe.server_name)
        if reason is not None:
            return Failure(
                reason, f"{probe.server_name} at {address} port {probe.port}: {_TOLD[reason]}", transient=True
            )
    if not addresses:
        return Failure("not_reachable", f"{probe.host}: has no address that can be reached", transient=True)
    return None


async def _addresses(probe: Probe) -> Sequence[str]:
    """Every address of the host that there is a way to."""
    try:
        async with asyncio.timeout(_HANDSHAKE):
            found = await asyncio.get_running_loop().getaddrinfo(probe.host, probe.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        return ()
    return list(dict.fromkeys(str(place[0]) for family, _, _, _, place in found if _has_route(family, place)))


def _has_route(family: int, place: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> bool:
    """Whether this host can send there at all: many have no IPv6, and a name's IPv6 address is no failure then."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.connect(place)  # a datagram socket sends nothing by this
    except OSError:
        return False
    return True


async def served_chain(host: str, port: int, server_name: str) -> Sequence[bytes]:
    """The DER certificates that a TLS server sends, leaf first; empty when there is no handshake.

    Nothing is trusted and nothing is sent: what is served is compared with what shall be.
    """
    try:
        async with asyncio.timeout(_HANDSHAKE):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                return await _shown_chain(_untrusting(server_name), reader, writer)
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return ()


@dataclass(frozen=True, slots=True)
class _Handshake:
    """A TLS client that is fed by hand: the ready-made one forgets the chain when a handshake is refused."""

    tls: ssl.SSLObject
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO

    def chain(self) -> Sequence[bytes]:
        # The public way to the whole chain came with Python 3.13; this is what it calls.
        chain = self.tls._sslobj.get_unverified_chain() or ()  # type: ignore[attr-defined]  # noqa: SLF001
        return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain]

    def is_over(self) -> bool:
        """Whether nothing more is to be received. Raises SSLError when it failed."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def receive(self, flight: bytes) -> None:
        if flight:
            self.incoming.write(flight)
        else:
            self.incoming.write_eof()


def _untrusting(server_name: str) -> _Handshake:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return _Handshake(context.wrap_bio(incoming, outgoing, server_hostname=server_name), incoming, outgoing)


async def _shown_chain(
    handshake: _Handshake, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Sequence[bytes]:
    """The chain, also of a server that refuses us at the end, because it wants a client certificate.

    Only once we have answered it: by then the server has proved that it holds the leaf's key.
    """
    chain: Sequence[bytes] = ()
    try:
        while not handshake.is_over():
            if flight := handshake.outgoing.read():
                chain = handshake.chain()
                writer.write(flight)
            handshake.receive(await reader.read(_FLIGHT))
        writer.write(handshake.outgoing.read())
        return handshake.chain()
    except OSError:  # SSLError too
        return chain
