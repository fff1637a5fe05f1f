"""Proof by handshake, against real TLS servers on loopback."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.gateways import AUTHORITY, checked
from worker.core.bundle import Bundle
from worker.sandbox.ca import Issued
from worker.settings.model import Endpoint
from worker.verification import (
    ExpectedEither,
    ExpectedExpiry,
    ExpectedLeaf,
    Probe,
    Verdict,
    parse_endpoint,
    served_chain,
    verify,
)

NAME = "a.example.com"
NOW = datetime.now(UTC).replace(microsecond=0)
LONG_AGO = NOW - timedelta(days=60)


def issued() -> Issued:
    return AUTHORITY.issue([NAME])


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

    def swap_at_the_next_look(self, shows: Issued) -> None:
        """The next handshake still gets the old certificate, the one after it the new one."""

        def swap(tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
            before = self._latest
            self._load(shows)
            self.context.sni_callback = self._asked
            tls.context = before
            self._asked(tls, name, context)

        self.context.sni_callback = swap

    def demand_client_certificates(self, newest: ssl.TLSVersion) -> None:
        self.context.maximum_version = newest
        self.context.load_verify_locations(cadata=AUTHORITY.root_pem)
        self.context.verify_mode = ssl.CERT_REQUIRED


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


def probe(port: int, host: str = "127.0.0.1") -> Probe:
    return Probe(host, port, NAME)


async def verdicts(
    bundle: Bundle, *probes: Probe, within: float = 0.0, previous: Sequence[str] = ()
) -> Sequence[Verdict]:
    return await verify(probes, ExpectedLeaf.of(bundle, previous), within=within)


async def reason(bundle: Bundle, port: int, *, within: float = 0.0, previous: Sequence[str] = ()) -> str | None:
    [verdict] = await verdicts(bundle, probe(port), within=within, previous=previous)
    if verdict.failure is not None:
        assert verdict.failure.transient, "what is served may still change"
    return None if verdict.failure is None else verdict.failure.reason


async def test_a_server_with_the_new_leaf_and_its_chain_is_proof(tmp_path: Path) -> None:
    one = issued()
    async with serving(Server(tmp_path, one)) as server:
        assert await reason(checked(one), server.port) is None
        assert server.names_asked == [NAME]


async def test_the_replaced_certificate_is_told_from_a_strangers(tmp_path: Path) -> None:
    old, new = issued(), issued()
    async with serving(Server(tmp_path, old)) as server:
        assert await reason(checked(new), server.port, previous=[str(old.serial_number)]) == "still_old"
        assert await reason(checked(new), server.port, previous=["1"]) == "other_certificate"


async def test_a_leaf_without_its_intermediate_is_incomplete(tmp_path: Path) -> None:
    one = issued()
    alone = one.certificate.public_bytes(Encoding.PEM).decode()
    async with serving(Server(tmp_path, one, chain_pem=alone)) as server:
        assert await reason(checked(one), server.port) == "chain_incomplete"


async def test_a_root_behind_the_chain_does_no_harm(tmp_path: Path) -> None:
    one = issued()
    async with serving(Server(tmp_path, one, chain_pem=one.chain_pem + AUTHORITY.root_pem)) as server:
        assert await reason(checked(one), server.port) is None


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_wants_client_certificates_still_proves_what_it_serves(
    tmp_path: Path, newest: ssl.TLSVersion
) -> None:
    one = issued()
    server = Server(tmp_path, one)
    server.demand_client_certificates(newest)
    async with serving(server):
        assert await reason(checked(one), server.port) is None
        assert await reason(checked(issued()), server.port) == "other_certificate"


async def test_looking_goes_on_until_the_new_leaf_is_served(tmp_path: Path) -> None:
    old, new = issued(), issued()
    async with serving(Server(tmp_path, old)) as server:
        server.swap_at_the_next_look(new)
        assert await reason(checked(new), server.port, within=30, previous=[str(old.serial_number)]) is None
        assert len(server.names_asked) == 2


async def test_nobody_at_the_port_is_not_reachable() -> None:
    assert await reason(checked(issued()), await closed_port()) == "not_reachable"


@pytest.mark.parametrize(
    "says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x03\x00\x02\x02\x28", b"\x00" * 70]
)
async def test_a_server_that_speaks_no_tls_is_not_reachable(says: bytes) -> None:
    async with dumb_server(says=says) as port:
        assert await reason(checked(issued()), port) == "not_reachable"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid", "..", "\udcff"])
async def test_a_host_without_an_address_is_not_reachable(host: str) -> None:
    [verdict] = await verdicts(checked(issued()), probe(443, host))
    assert verdict.failure is not None
    assert verdict.failure.reason == "not_reachable"


async def test_every_probe_has_its_own_verdict_in_order(tmp_path: Path) -> None:
    one = issued()
    async with serving(Server(tmp_path, one)) as server:
        probes = [probe(server.port), probe(await closed_port()), *[probe(server.port)] * 40]
        results = await verdicts(checked(one), *probes)
    assert [result.probe for result in results] == probes
    assert [number for number, result in enumerate(results) if result.failure is not None] == [1]


def resolve_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Every name has these addresses."""

    async def resolve(_host: str, port: int, **_hints: object) -> list[object]:
        families = [socket.AF_INET6 if ":" in host else socket.AF_INET for host in hosts]
        return [(family, 0, 0, "", (host, port)) for family, host in zip(families, hosts, strict=True)]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)


async def test_every_address_of_a_host_has_to_serve_the_new_leaf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = issued()
    async with (
        serving(Server(tmp_path, new)) as renewed,
        serving(Server(tmp_path, issued()), "127.0.0.2", renewed.port),
    ):
        resolve_to(monkeypatch, "127.0.0.1", "127.0.0.2")
        [verdict] = await verdicts(checked(new), probe(renewed.port, "shop.test"))
    assert verdict.failure is not None
    assert verdict.failure.message == f"{NAME} at 127.0.0.2 port {renewed.port}: serves another certificate"


async def test_an_address_that_this_host_has_no_way_to_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = issued()
    async with serving(Server(tmp_path, one)) as server:
        resolve_to(monkeypatch, "fe80::1", "127.0.0.1")
        [verdict] = await verdicts(checked(one), probe(server.port, "shop.test"))
        resolve_to(monkeypatch, "fe80::1")
        [alone] = await verdicts(checked(one), probe(server.port, "shop.test"))
    assert verdict.failure is None
    assert alone.failure is not None
    assert alone.failure.reason == "not_reachable"


def test_a_leaf_that_cannot_be_read_is_another_certificate() -> None:
    assert ExpectedLeaf.of(checked(issued()), ["1"]).shortfall([b"no certificate"], NAME) == "other_certificate"
    assert ExpectedExpiry(frozenset(), NOW).shortfall([b"no certificate"], NAME) == "other_certificate"


def der(one: Issued) -> bytes:
    return one.certificate.public_bytes(Encoding.DER)


def test_an_older_one_for_the_same_name_is_old_even_if_nobody_remembers_it() -> None:
    renewed = ExpectedLeaf.of(checked(issued()), [])
    older, stranger = (AUTHORITY.issue([name], not_before=LONG_AGO) for name in (NAME, "b.example.com"))
    assert renewed.shortfall([der(older)], NAME) == "still_old"
    assert renewed.shortfall([der(stranger)], NAME) == "other_certificate"


def test_of_a_leaf_that_only_the_platform_knows_name_and_expiry_are_proof() -> None:
    renewed, older = issued(), AUTHORITY.issue([NAME], not_before=LONG_AGO)
    known = ExpectedExpiry(frozenset({renewed.certificate.not_valid_after_utc}), NOW)
    assert known.shortfall([der(renewed)], NAME) is None
    assert known.shortfall([der(older)], NAME) == "still_old"
    assert known.shortfall([der(renewed)], "b.example.com") == "other_certificate"
    assert known.shortfall([], NAME) == "not_reachable"
    assert ExpectedExpiry(frozenset(), NOW).shortfall([der(older)], NAME) is None, "nothing more is known"
    later = older.certificate.not_valid_after_utc
    assert ExpectedExpiry(frozenset(), later).shortfall([der(older)], NAME) == "still_old", "but it has expired"
    either = ExpectedEither(ExpectedLeaf.of(checked(issued()), []), known)
    assert either.shortfall([der(renewed)], NAME) is None
    assert either.shortfall([der(older)], NAME) == "still_old"


async def test_a_failure_says_where_it_was_seen(tmp_path: Path) -> None:
    async with serving(Server(tmp_path, issued())) as server:
        [verdict] = await verdicts(checked(issued()), probe(server.port))
    assert verdict.failure is not None
    assert verdict.failure.message == f"{NAME} at 127.0.0.1 port {server.port}: serves another certificate"


async def test_the_served_chain_comes_leaf_first(tmp_path: Path) -> None:
    one = issued()
    async with serving(Server(tmp_path, one)) as server:
        leaf, intermediate = await served_chain("127.0.0.1", server.port, NAME)
    assert x509.load_der_x509_certificate(leaf) == one.certificate
    assert x509.load_der_x509_certificate(intermediate) == AUTHORITY.intermediate


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("shop.example.com:443", Probe("shop.example.com", 443, "shop.example.com")),
        ("[2001:db8::7]:8443", Probe("2001:db8::7", 8443, "2001:db8::7")),
        (Endpoint(address="10.0.0.7:443", server_name=NAME), Probe("10.0.0.7", 443, NAME)),
        (Endpoint(address="[::1]:443", server_name=NAME), Probe("::1", 443, NAME)),
    ],
)
def test_endpoints_are_read_as_the_settings_write_them(endpoint: str | Endpoint, expected: Probe) -> None:
    assert parse_endpoint(endpoint) == expected
