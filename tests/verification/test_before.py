"""An endpoint that came to a handshake before a change, and does not after it, is not the worker's own network."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.rotation.test_put_back import BEFORE, Shelf, cloud
from tests.support.fake_gateway import FakeGateway
from tests.support.gateways import checked
from tests.support.values import bundle, certificate, day, deployment
from tests.verification.servers import Server, closed_port, dumb_server, resolve, serving
from tests.verification.test_looking import issued, probe
from worker.core.note import Note
from worker.core.outcome import Report
from worker.core.proof import Reach, Served, Shortfall
from worker.core.urgency import ORDINARY, Urgency
from worker.effort import Effort, spending
from worker.rotation import Rotator
from worker.verification import Probing
from worker.verification.looking import Probe
from worker.verification.places import Places


def probing(*endpoints: Probe) -> Probing:
    return Probing({"shop": Places(endpoints=endpoints, within=0)}, lambda: datetime.now(UTC))


def served(*answered: str) -> Served:
    return Served("shop", checked(issued()), (), reach=Reach(frozenset(answered)))


async def blind(prove: Probing, *answered: str) -> Sequence[bool]:
    shortfalls = await prove(served(*answered))
    assert {one.failure.reason for one in shortfalls} == {"not_reachable"}
    return [one.is_blind for one in shortfalls]


async def test_whoever_answers_a_handshake_before_a_change_is_known_whatever_it_serves(tmp_path: Path) -> None:
    async with serving(Server(tmp_path, issued())) as server, dumb_server(says=b"") as dumb:
        alive = probe(server.port)
        prove = probing(alive, probe(dumb), probe(await closed_port()), probe(443, "no-such-host.invalid"))
        assert (await prove.reach(served())).answered == {alive.key}


@pytest.mark.parametrize("is_closed", [False, True])
async def test_what_answered_and_answers_no_more_though_there_is_a_way_to_it_is_seen(*, is_closed: bool) -> None:
    async with dumb_server(says=b"") as dumb:
        one = probe(await closed_port() if is_closed else dumb)
        assert await blind(probing(one), one.key) == [False]
        assert await blind(probing(one)) == [True], "it may never have answered"
        assert await blind(probing(one), probe(1).key) == [True], "that was another"


async def test_what_answered_and_cannot_be_found_any_more_may_be_the_workers_own_network() -> None:
    one = probe(443, "no-such-host.invalid")
    assert await blind(probing(one), one.key) == [True]


async def test_where_one_address_of_an_endpoint_answers_the_others_can_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one endpoint, and the only one."""
    one = issued()
    async with serving(Server(tmp_path, one)) as server:
        resolve(monkeypatch, "shop.test", "127.0.0.1", "127.0.0.2")
        [short] = await probing(probe(server.port, "shop.test"))(Served("shop", checked(one), ()))
    assert (short.failure.reason, short.is_blind) == ("not_reachable", False)
    assert "127.0.0.2" in short.failure.message


async def test_an_address_that_answers_neither_before_nor_after_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = issued()
    async with serving(Server(tmp_path, one)) as server:
        resolve(monkeypatch, "shop.test", "127.0.0.1", "127.0.0.2")
        asked = probe(server.port, "shop.test")
        prove = probing(asked)
        reach = await prove.reach(Served("shop", checked(one), ()))
        assert reach == Reach(frozenset({asked.key}), frozenset({asked.at("127.0.0.2")}))
        for known, is_as_before in ((reach, True), (Reach(reach.answered), False)):
            [short] = await prove(Served("shop", checked(one), (), reach=known))
            assert (short.failure.reason, short.is_as_before) == ("not_reachable", is_as_before)


async def test_of_thousands_of_dead_endpoints_the_last_are_not_looked_at_before_a_change() -> None:
    port = await closed_port()
    asked = [Probe("127.0.0.1", port, f"host-{number:03}.example.com") for number in range(300)]
    for longest, looked_at in ((60.0, 300), (-1.0, 256)):
        reach = await replace(probing(*asked), longest_look=longest).reach(served())
        assert reach.unreached == {key for one in asked[:looked_at] for key in (one.at(""), one.at("127.0.0.1"))}


async def test_what_is_worse_at_another_address_is_what_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(Server(tmp_path, issued())) as server:
        resolve(monkeypatch, "shop.test", "127.0.0.2", "127.0.0.1")
        prove = probing(probe(server.port, "shop.test"))
        reach = await prove.reach(served())
        [short] = await prove(Served("shop", checked(issued()), (), reach=reach))
        assert (short.failure.reason, short.is_as_before) == ("other_certificate", False)


@pytest.mark.parametrize("addresses", [(), ("127.0.0.2",)])
async def test_a_name_that_could_not_be_reached_at_all_is_as_it_was_whatever_its_addresses_are_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, addresses: Sequence[str]
) -> None:
    one = issued()
    async with serving(Server(tmp_path, one)) as server:
        prove = probing(probe(server.port), probe(server.port, "no-such-host.invalid"))
        reach = await prove.reach(served())
        resolve(monkeypatch, "no-such-host.invalid", *addresses)
        [short] = await prove(Served("shop", checked(one), (), reach=reach))
        assert (short.endpoint.partition(":")[0], short.is_as_before) == ("no-such-host.invalid", True)


class Endpoint:
    """A TLS server of which the change that it is told of makes one that comes to no handshake."""

    def __init__(self, folder: Path) -> None:
        self.server, self.is_broken = Server(folder, issued()), False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Probe]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if not self.is_broken:
                await writer.start_tls(self.server.context)
            await reader.read(1)
            writer.close()

        running = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with running:
            yield probe(running.sockets[0].getsockname()[1])


class Breaking(FakeGateway):
    """Serves the material that was good last; with any other its endpoint breaks."""

    endpoint: Any = None

    async def replace(self, *what: Any) -> Any:
        self.endpoint.is_broken = what[2] != BEFORE
        return await FakeGateway.replace(self, *what)


@asynccontextmanager
async def broken_by_what_is_new(folder: Path) -> AsyncIterator[tuple[Breaking, Probe]]:
    endpoint, known = Endpoint(folder), cloud()
    gateway = Breaking(known.stored, known.rows)
    gateway.endpoint = endpoint
    async with endpoint.open() as asked:
        yield gateway, asked


def rotator(gateway: FakeGateway, prove: Probing) -> Rotator:
    shelf = {"shop": Shelf(BEFORE)}
    return Rotator({"apig": gateway}, prove, {"apig": 0}, kept=shelf, utc_now=lambda: day(10), looks=prove.reach)


async def rotated(gateway: FakeGateway, prove: Probing, urgency: Urgency = ORDINARY) -> Report:
    return await rotator(gateway, prove).rotate(
        certificate(deployment()), bundle(intermediates_pem=""), urgency=urgency
    )


def serial(gateway: FakeGateway) -> int | None:
    assert gateway.stored is not None
    return gateway.stored.serial_number


async def test_the_only_endpoint_that_the_new_certificate_breaks_is_the_certificates_fault(tmp_path: Path) -> None:
    async with broken_by_what_is_new(tmp_path) as (gateway, asked):
        report = await rotated(gateway, probing(asked))
    assert (report.reason, [why.reason for why in report.failures]) == ("rolled_back", ["not_reachable"])
    assert serial(gateway) == BEFORE.leaf.serial_number


async def test_an_endpoint_that_was_broken_before_is_nobodys_fault(tmp_path: Path) -> None:
    async with broken_by_what_is_new(tmp_path) as (gateway, asked):
        gateway.endpoint.is_broken = True
        report = await rotated(gateway, probing(asked))
    assert (report.reason, [why.transient for why in report.failures]) == ("not_reachable", [True])
    assert serial(gateway) == 4660


async def test_who_takes_over_knows_what_answered_before_the_change(tmp_path: Path) -> None:
    notes: list[Note] = []

    async def keep(note: Note) -> None:
        notes.append(note)

    async def dies(_served: Served, /) -> Sequence[Shortfall]:
        raise asyncio.CancelledError

    async with broken_by_what_is_new(tmp_path) as (gateway, asked):
        prove = probing(asked)
        first = Rotator({"apig": gateway}, dies, kept={"shop": Shelf(BEFORE)}, looks=prove.reach)
        with spending(Effort(keep=keep)), pytest.raises(asyncio.CancelledError):
            await first.rotate(certificate(deployment()), bundle(intermediates_pem=""))
        second = rotator(gateway, prove)
        second.recall(bundle().leaf, {note.deployment: note.snapshot for note in notes})
        report = await second.rotate(certificate(deployment()), bundle(intermediates_pem=""))
    assert (report.reason, serial(gateway)) == ("rolled_back", BEFORE.leaf.serial_number)
