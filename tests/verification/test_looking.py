"""Proof by handshake, against real TLS servers on loopback."""

import asyncio
import resource
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.gateways import AUTHORITY, checked
from tests.verification.servers import Server, closed_port, dumb_server, resolve, serving
from worker.core.bundle import Bundle
from worker.core.errors import is_exhaustion
from worker.core.proof import Served
from worker.sandbox.ca import Issued
from worker.verification import Probing, addresses, handshake, served_chain
from worker.verification.expected import ExpectedLeaf
from worker.verification.looking import Probe, Shared, Verdict, verify
from worker.verification.places import Places

NAME = "a.example.com"
ISSUED = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


def issued() -> Issued:
    """All of the same second: one that is older is `still_old`, and which second it is must not decide."""
    return AUTHORITY.issue([NAME], not_before=ISSUED)


def probe(port: int, host: str = "127.0.0.1") -> Probe:
    return Probe(host, port, NAME)


async def verdicts(
    bundle: Bundle, *probes: Probe, within: float = 0.0, previous: Sequence[str] = ()
) -> Sequence[Verdict]:
    return await verify(probes, ExpectedLeaf.of(bundle, previous), Shared(), within=within)


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


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("newest", VERSIONS)
async def test_a_server_that_wants_client_certificates_still_proves_what_it_serves(
    tmp_path: Path, newest: ssl.TLSVersion
) -> None:
    one = issued()
    server = Server(tmp_path, one)
    server.demand_client_certificates(newest)
    async with serving(server):
        assert await reason(checked(one), server.port) is None
        assert await reason(checked(issued()), server.port) == "other_certificate"


@pytest.mark.parametrize("newest", VERSIONS)
@pytest.mark.parametrize("mode", [ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
@pytest.mark.parametrize("wanted", [True, False, None])
async def test_whether_clients_are_asked_for_certificates_is_seen(
    tmp_path: Path, newest: ssl.TLSVersion, mode: ssl.VerifyMode, wanted: bool | None
) -> None:
    one, asks = issued(), mode != ssl.CERT_NONE
    server = Server(tmp_path, one)
    server.demand_client_certificates(newest, mode)
    async with serving(server):
        [verdict] = await verdicts(checked(one), Probe("127.0.0.1", server.port, NAME, wanted))
    if wanted in (asks, None):
        assert verdict.failure is None
    else:
        assert verdict.failure is not None
        told = "asks for" if asks else "does not ask for"
        assert (verdict.failure.reason, verdict.failure.transient) == ("client_verification_changed", True)
        assert verdict.failure.message == f"{NAME} at 127.0.0.1 port {server.port}: {told} client certificates"


async def test_another_certificate_matters_more_than_whom_it_asks(tmp_path: Path) -> None:
    async with serving(Server(tmp_path, issued())) as server:
        [verdict] = await verdicts(checked(issued()), Probe("127.0.0.1", server.port, NAME, True))
    assert verdict.failure is not None
    assert verdict.failure.reason == "other_certificate"


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


@asynccontextmanager
async def trickling() -> AsyncIterator[int]:
    """A server that begins a TLS record, and sends a byte of it now and then, for ever."""

    ended = list[asyncio.Task[None] | None]()

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.current_task())
        writer.write(b"\x16\x03\x03\x40\x00\x02\x00\x30\x00")
        while not writer.is_closing():
            writer.write(b"\x00")
            await asyncio.sleep(0.01)
        writer.close()

    running = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        await asyncio.gather(*(task for task in ended if task is not None))
        running.close()
        await running.wait_closed()


async def test_a_server_that_never_comes_to_an_end_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE_SECONDS", 0.2)
    async with trickling() as port:
        assert await reason(checked(issued()), port) == "not_reachable"


async def test_no_more_is_read_than_a_handshake_can_be_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = issued()
    monkeypatch.setattr(handshake, "_LONGEST", 500)
    async with serving(Server(tmp_path, one)) as server:
        assert await reason(checked(one), server.port) == "not_reachable"


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


async def test_every_address_of_a_host_has_to_serve_the_new_leaf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = issued()
    async with (
        serving(Server(tmp_path, new)) as renewed,
        serving(Server(tmp_path, issued()), "127.0.0.2", renewed.port),
    ):
        resolve(monkeypatch, "shop.test", "127.0.0.1", "127.0.0.2")
        [verdict] = await verdicts(checked(new), probe(renewed.port, "shop.test"))
    assert verdict.failure is not None
    assert verdict.failure.message == f"{NAME} at 127.0.0.2 port {renewed.port}: serves another certificate"


async def test_an_address_that_this_host_has_no_way_to_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = issued()
    async with serving(Server(tmp_path, one)) as server:
        resolve(monkeypatch, "shop.test", "fe80::1", "127.0.0.1")
        [verdict] = await verdicts(checked(one), probe(server.port, "shop.test"))
        resolve(monkeypatch, "shop.test", "fe80::1")
        [alone] = await verdicts(checked(one), probe(server.port, "shop.test"))
    assert verdict.failure is None
    assert alone.failure is not None
    assert alone.failure.reason == "not_reachable"


async def test_names_that_nobody_answers_for_hold_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, begun = threading.Event(), list[object]()

    def look_up(*asked: object, **_hints: object) -> list[object]:
        begun.append(asked)
        answered.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(addresses, "HANDSHAKE_SECONDS", 60)
    looking = asyncio.create_task(verdicts(checked(issued()), *[probe(443, f"slow{n}.test") for n in range(40)]))
    try:
        while len(begun) < 32:  # as many as asyncio has threads for everything else, at most
            await asyncio.sleep(0.01)
        assert await asyncio.to_thread(lambda: "read")
        assert not looking.done()
    finally:
        answered.set()
        await looking


async def test_names_of_one_certificate_that_nobody_answers_for_hold_up_no_other_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, begun, look_up = threading.Event(), list[str](), socket.getaddrinfo

    def slow(host: str, *asked: Any, **hints: Any) -> list[Any]:
        if not host.startswith("slow"):
            return look_up(host, *asked, **hints)
        begun.append(host)
        answered.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(addresses, "HANDSHAKE_SECONDS", 0.5)
    one, shared = issued(), Shared()
    expected = ExpectedLeaf.of(checked(one), ())
    dead = [probe(443, f"slow{number % 40}.test") for number in range(80)]
    looking = asyncio.create_task(verify(dead, expected, shared, within=2))
    try:
        while len(begun) < 40:
            await asyncio.sleep(0.01)
        async with serving(Server(tmp_path, one)) as server:
            [verdict] = await verify([probe(server.port, "localhost")], expected, shared, within=0)
        assert verdict.failure is None
        await looking
        assert len(begun) == 40, "a name has one thread, however often it is asked for"
    finally:
        answered.set()
        await looking


async def test_a_process_shakes_no_more_hands_at_once_than_it_may() -> None:
    there = most = 0

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal there, most
        there += 1
        most = max(most, there)
        await asyncio.sleep(0.02)
        there -= 1
        writer.close()

    running = await asyncio.start_server(answer, "127.0.0.1", 0)
    probes = [probe(running.sockets[0].getsockname()[1])] * 8
    shared, expected = Shared(asyncio.Semaphore(3)), ExpectedLeaf.of(checked(issued()), ())
    async with running:
        await asyncio.gather(*(verify(probes, expected, shared, within=0) for _certificate in range(2)))
    assert most <= 3


@contextmanager
def no_descriptors() -> Iterator[None]:
    """This process gets no more of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_resolver_without_descriptors_says_nothing_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_asked: object, **_hints: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
        await addresses.LookUps().addresses_of("shop.test", 443)
    assert await addresses.LookUps().addresses_of("shop.test", 443) == ()


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
async def test_what_the_worker_has_no_descriptors_for_says_nothing_of_the_cloud(tmp_path: Path, host: str) -> None:
    one = issued()
    async with serving(Server(tmp_path, one)) as server:
        with no_descriptors(), pytest.raises(BaseExceptionGroup) as raised:
            await verdicts(checked(one), probe(server.port, host))
        assert is_exhaustion(raised.value)
        with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
            await handshake.look("127.0.0.1", server.port, NAME)


@pytest.mark.parametrize(("good", "is_blind"), [(0, True), (1, False)])
async def test_where_nothing_at_all_can_be_reached_that_is_told(tmp_path: Path, good: int, *, is_blind: bool) -> None:
    one = issued()
    async with serving(Server(tmp_path, one)) as server:
        nobody = await closed_port()
        places = Places(endpoints=(probe(nobody), probe(nobody, "127.0.0.2"), *[probe(server.port)] * good), within=0)
        prove = Probing({"shop": places}, lambda: datetime.now(UTC))
        shortfalls = await prove(Served("shop", checked(one), ()))
    assert [short.is_blind for short in shortfalls] == [is_blind] * 2


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
