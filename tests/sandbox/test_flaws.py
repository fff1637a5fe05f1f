"""What the sandbox's TLS listeners do wrong when they are told to, as clients see it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import pytest
from cryptography import x509

from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.ca import Authority
from worker.sandbox.flaws import FLAW
from worker.verification.handshake import look

AUTHORITY = Authority.create()
A, B = "a.example.com", "b.example.com"
ADDRESSES = ("127.0.0.1", "127.0.0.2")
OLD, NEW = (AUTHORITY.issue([A, B]) for _ in range(2))
GOOD = ("new", 2, True)


class Stand:
    """Two names at one APIG instance, with client verification, at two addresses."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox, self.session, world = sandbox, session, sandbox.world
        self.instance = world.add_instance()
        group = world.add_group(self.instance)
        self.domains = [world.add_domain(group, name, client_verification=True) for name in (A, B)]
        self.bind_to_old()

    def bind_to_old(self) -> None:
        world = self.sandbox.world
        world.bind(world.add_certificate(OLD, "old", trusted_root_ca=AUTHORITY.root_pem), *self.domains)

    def renew(self) -> None:
        world = self.sandbox.world
        world.bind(world.add_certificate(NEW, "new", trusted_root_ca=AUTHORITY.root_pem), *self.domains)

    async def told(self, method: str, body: Mapping[str, object] | None = None) -> tuple[int, object]:
        url = f"{self.sandbox.control_endpoint}/flaws"
        async with self.session.request(method, url, json=body) as answer:
            return answer.status, await answer.json()

    async def seen(self, name: str = A, address: str = "127.0.0.1") -> tuple[str, int, bool] | None:
        """Whose certificate, with how many in its chain, and whether clients are asked for theirs."""
        seen = await look(address, self.sandbox.listeners.ports[self.instance], name)
        if not seen.chain:
            return None
        serial = x509.load_der_x509_certificate(seen.chain[0]).serial_number
        names = {OLD.serial_number: "old", NEW.serial_number: "new"}
        return names.get(serial, "other"), len(seen.chain), seen.asks_for_client


@asynccontextmanager
async def standing() -> AsyncIterator[Stand]:
    async with Sandbox(SandboxConfig(addresses=ADDRESSES)) as sandbox, aiohttp.ClientSession() as session:
        stand = Stand(sandbox, session)
        await sandbox.open_listeners()
        yield stand


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("old", ("old", 2, True)),
        ("other", ("other", 2, False)),
        ("leaf_only", ("new", 1, True)),
        ("no_client_verification", ("new", 2, False)),
        ("no_handshake", None),
    ],
)
async def test_a_flaw_shows_for_its_name_at_its_address_until_it_is_taken_back(
    kind: str, seen: tuple[str, int, bool] | None
) -> None:
    async with standing() as stand:
        assert await stand.seen() == ("old", 2, True)
        assert (await stand.told("POST", {"kind": kind, "name": A, "address": ADDRESSES[1]}))[0] == 201
        stand.renew()
        assert await stand.seen(A, ADDRESSES[1]) == seen
        assert [await stand.seen(A), await stand.seen(B), await stand.seen(B, ADDRESSES[1])] == [GOOD] * 3
        _, flaws = await stand.told("GET")
        assert flaws == [
            {"kind": kind, "name": A, "place": "", "address": ADDRESSES[1], "times": None, "shown": 1},
        ]
        await stand.told("DELETE")
        assert await stand.seen(A, ADDRESSES[1]) == GOOD


async def test_a_flaw_ends_after_so_many_handshakes() -> None:
    async with standing() as stand:
        await stand.told("POST", {"kind": "old", "times": 2})
        stand.renew()
        assert [await stand.seen(name) for name in (A, B, A)] == [("old", 2, True), ("old", 2, True), GOOD]


async def test_flaws_add_up_and_concern_one_place_alone_where_that_is_said() -> None:
    async with standing() as stand:
        stand.renew()
        for flaw in ({"kind": "leaf_only", "place": stand.instance}, {"kind": "no_client_verification"}):
            await stand.told("POST", flaw)
        await stand.told("POST", {"kind": "other", "place": "elsewhere"})
        assert await stand.seen() == ("new", 1, False)


async def test_a_flaw_of_another_form_is_refused_by_its_place() -> None:
    async with standing() as stand:
        status, told = await stand.told("POST", {"kind": "none", "held": {}})
        assert (status, told) == (400, {"problems": ["kind", "held"], "fields": dict(FLAW)})
        assert stand.sandbox.world.flaws == []
