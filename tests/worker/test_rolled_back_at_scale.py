"""200 domains move in waves, the second of which is bad: what clients see before, and after all has gone back."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.support.clouds import renewal, running
from tests.worker.test_proof import proving
from tests.worker.test_rotations import AUTHORITY
from worker.sandbox import Sandbox
from worker.sandbox.flaws import Flaw
from worker.verification.handshake import Seen, look

NAMES = tuple(f"host-{number:03}.example.com" for number in range(200))
VERIFYING = frozenset(NAMES[::7])
BAD = NAMES[12]
"""Of the second wave: a tenth of all."""


async def seen_by_clients(port: int) -> Mapping[str, tuple[int, bool]]:
    """By name: the serial number that is served, and whether clients are asked for certificates."""
    at_once = asyncio.Semaphore(20)

    async def one(name: str) -> Seen:
        async with at_once:
            return await look("127.0.0.1", port, name)

    found = await asyncio.gather(*(one(name) for name in NAMES))
    return {
        name: (x509.load_der_x509_certificate(seen.chain[0]).serial_number, seen.asks_for_client)
        for name, seen in zip(NAMES, found, strict=True)
    }


def at_a_gateway(sandbox: Sandbox) -> str:
    """All of them at one instance, bound to one certificate with a client CA; the instance's id."""
    world = sandbox.world
    instance = world.add_instance()
    group = world.add_group(instance)
    old = AUTHORITY.issue(("*.example.com",), not_before=datetime.now(UTC).replace(microsecond=0) - timedelta(days=60))
    blue = world.add_certificate(old, "shop", trusted_root_ca=AUTHORITY.root_pem)
    world.bind(blue, *(world.add_domain(group, name, client_verification=name in VERIFYING) for name in NAMES))
    return instance


async def test_all_are_back_on_the_old_certificate_with_their_flags_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(AUTHORITY.root_pem)
    async with Sandbox() as sandbox:
        world, instance = sandbox.world, at_a_gateway(sandbox)
        port = (await sandbox.open_listeners())[instance]
        before, stored = await seen_by_clients(port), set(world.certificates)
        world.spoil(Flaw("leaf_only", name=BAD))
        deployment: dict[str, Any] = {
            "gateway": "apig",
            "strategy": "blue_green",
            "name": "shop",
            "domains": NAMES,
            "trusted_root_ca_file": tmp_path / "ca.pem",
        }
        verify: dict[str, Any] = {"domains": True, "domains_at": f"127.0.0.1:{port}", "within_seconds": 2}
        async with running(proving(sandbox, tmp_path, deployment, **verify)) as worker:
            event = await worker.outcome(renewal(AUTHORITY.issue(("*.example.com",))))
        world.flaws.clear()
        assert await seen_by_clients(port) == before
    assert {name for name, (_, is_asked) in before.items() if is_asked} == VERIFYING
    assert set(world.certificates) == stored, "the new one is gone"
    [one] = event["data"]["deployments"]
    assert (event["data"]["outcome"], event["data"]["reason"], one["replaced"]) == ("failed", "rolled_back", False)
    assert one["bindings"] == {"total": 200, "attached": 0, "unchanged": 180, "failed": 0, "rolled_back": 20}
    assert [(told["name"], told["reason"]) for told in one["failures"]] == [(BAD, "chain_incomplete")]
