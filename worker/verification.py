"""What clients are served: proved by TLS handshakes, not by what an API answered."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography import x509

from worker.core.bundle import Bundle
from worker.core.errors import Failure
from worker.settings.model import Endpoint

_AT_ONCE: Final = 16
_HANDSHAKE: Final = 5.0
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0


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


def parse_endpoint(endpoint: str | Endpoint) -> Probe:
    """`host:port` or `[v6]:port`; the name asked for is the host's, where no other is given."""
    address = endpoint.address if isinstance(endpoint, Endpoint) else endpoint
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return Probe(host, int(port), endpoint.server_name if isinstance(endpoint, Endpoint) else host)


async def verify(
    probes: Sequence[Probe], bundle: Bundle, *, within: float, previous_serials: Sequence[str]
) -> Sequence[Verdict]:
    """Looks, early and often, then less often, until every probe is served the new leaf or `within` seconds are over.

    Reasons: `not_reachable`, `still_old`, `other_certificate`, `chain_incomplete`. All are worth another try.
    """
    turns = asyncio.Semaphore(_AT_ONCE)

    async def prove(probe: Probe) -> Verdict:
        return Verdict(probe, await _until_served(probe, bundle, within, previous_serials, turns))

    return await asyncio.gather(*(prove(probe) for probe in probes))


async def _until_served(
    probe: Probe, bundle: Bundle, within: float, previous_serials: Sequence[str], turns: asyncio.Semaphore
) -> Failure | None:
    clock = asyncio.get_running_loop().time
    began, pause = clock(), _FIRST_PAUSE
    while True:
        async with turns:
            reason = await _look(probe, bundle, previous_serials)
        if reason is None:
            return None
        if clock() - began + pause > within:
            return Failure(reason, f"{probe.server_name} at port {probe.port}: {_TOLD[reason]}", transient=True)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


_TOLD: Final = {
    "not_reachable": "no TLS handshake",
    "still_old": "serves the certificate that was replaced",
    "other_certificate": "serves another certificate",
    "chain_incomplete": "serves the certificate without its whole chain",
}


async def _look(probe: Probe, bundle: Bundle, previous_serials: Sequence[str]) -> str | None:
    """The reason of the first address that does not serve the leaf with its chain."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(probe.host, probe.port, type=socket.SOCK_STREAM)
    except OSError:
        return "not_reachable"
    for host in dict.fromkeys(str(address[4][0]) for address in found):
        served = await served_chain(host, probe.port, probe.server_name)
        reason = _judged(served, bundle, previous_serials)
        if reason is not None:
            return reason
    return None


def _judged(served: Sequence[bytes], bundle: Bundle, previous_serials: Sequence[str]) -> str | None:
    if not served:
        return "not_reachable"
    if sha256(served[0]).hexdigest() != bundle.leaf.fingerprint_sha256:
        serial = str(x509.load_der_x509_certificate(served[0]).serial_number)
        return "still_old" if serial in previous_serials else "other_certificate"
    wanted = [ssl.PEM_cert_to_DER_cert(f"{block}-----END CERTIFICATE-----") for block in _blocks(bundle)]
    return None if list(served[1 : 1 + len(wanted)]) == wanted else "chain_incomplete"


def _blocks(bundle: Bundle) -> Sequence[str]:
    return [block for block in bundle.intermediates_pem.split("-----END CERTIFICATE-----\n") if block]


async def served_chain(host: str, port: int, server_name: str) -> Sequence[bytes]:
    """The DER certificates that a TLS server sends, leaf first; empty when there is no handshake.

    Nothing is trusted and nothing is sent: what is served is compared with what shall be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(_HANDSHAKE):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=server_name)
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        # The public way to the whole chain came with Python 3.13; this is what it calls.
        chain = tls._sslobj.get_unverified_chain() or ()  # type: ignore[attr-defined]  # noqa: SLF001
        return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain]
    except (OSError, TimeoutError, ValueError):
        return ()
    finally:
        if writer is not None:
            writer.close()
