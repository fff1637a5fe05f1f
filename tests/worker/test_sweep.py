"""The sweep over real sockets: what lies on disk against what the sandbox holds."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from tests.support.clouds import Running, renewal, running, settings_for
from tests.support.virtual_time import run_virtual
from worker.app import sweeper_of
from worker.broker.base import Message
from worker.core.bundle import Leaf
from worker.core.past import Placed
from worker.core.renewal import InFiles
from worker.generations import rotator_of
from worker.sandbox import Sandbox
from worker.sandbox.ca import Authority, Issued
from worker.sandbox.world import Fault, World
from worker.settings import Settings
from worker.sweep import Finding, Sweeping
from worker.telemetry import Metrics

AUTHORITY = Authority.create()
NAMES = ("a.example.com", "b.example.com")


def issued(days_ago: int = 0) -> Issued:
    begins = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days_ago, hours=1)
    return AUTHORITY.issue(NAMES, not_before=begins)


class Shop:
    """One stored certificate on two domains, and a lineage on disk."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        world = self.world = sandbox.world
        group = world.add_group(world.add_instance())
        self.domains = [world.add_domain(group, name) for name in NAMES]
        self.stored = issued(60)
        self.certificate = world.add_certificate(self.stored, "shop")
        world.bind(self.certificate, *self.domains)
        self.folder = folder / "live"
        self.folder.mkdir()
        self.lie(self.stored)
        deployment = {"gateway": "apig", "certificate_id": self.certificate, "domains": NAMES}
        self.settings = settings_for(
            sandbox,
            AUTHORITY,
            folder,
            {"shop": (deployment,)},
            trust={"ca_bundle": str(folder / "roots.pem"), "roots": {"files": (self.folder,)}},
            sweep={"every_seconds": 0.2},
        )
        lineage = {"chain": "chain.pem", "private_key": "key.pem"}
        known = self.settings.certificates["shop"].model_dump(by_alias=True)
        fields = self.settings.model_dump(by_alias=True)
        self.settings = Settings.model_validate({**fields, "certificates": {"shop": {**known, "lineage": lineage}}})

    def lie(self, one: Issued, prefix: str = "") -> None:
        """As an ACME client leaves it."""
        key = self.folder / f"{prefix}key.pem"
        key.touch(mode=0o600)
        key.write_text(one.private_key_pem)
        (self.folder / f"{prefix}chain.pem").write_text(one.chain_pem)

    def changes(self) -> int:
        return changes(self.world)


def changes(world: World) -> int:
    return sum(call.method != "GET" and call.operation != "obtain_token" for call in world.journal)


async def looked_at(shop: Shop) -> Finding:
    async with rotator_of(shop.settings, Metrics()) as rotator:
        return await sweeper_of(shop.settings, rotator).look("shop")


async def test_what_is_as_it_shall_be_costs_reads_only(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        assert (await looked_at(shop)).state == "current"
        assert shop.changes() == 0
        assert len([call for call in shop.world.journal if call.operation != "obtain_token"]) == 3


@pytest.mark.parametrize(
    ("spoil", "state"),
    [
        (lambda shop: shop.lie(issued()), "behind"),
        (lambda shop: shop.lie(issued(80)), "newer"),
        (lambda shop: setattr(shop.world.domains[shop.domains[0]], "certificate_id", None), "drifted"),
        (lambda shop: (shop.folder / "key.pem").unlink(), "failed"),
        (lambda shop: shop.world.faults.append(Fault("show_certificate", status=403, times=99)), "failed"),
    ],
)
async def test_what_differs_is_found_by_reading_only(spoil: Any, state: str, tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        spoil(shop)
        assert (await looked_at(shop)).state == state
        assert shop.changes() == 0


async def looked_back(shop: Shop, *placed: Placed) -> str:
    async def past(_name: str) -> Sequence[Placed]:
        return placed

    async with rotator_of(shop.settings, Metrics()) as rotator:
        return (await sweeper_of(shop.settings, rotator).look_back("shop", past)).state


@pytest.mark.parametrize("is_behind", [True, False])
async def test_what_was_rolled_back_is_not_brought_again_unasked(tmp_path: Path, *, is_behind: bool) -> None:
    """Also where the new one could not be deleted, or was never the only one: then it looks like a drift."""
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        if is_behind:
            shop.lie(issued())
        else:
            shop.world.domains[shop.domains[0]].certificate_id = None
        leaf = await found_on_disk(shop)
        told = "r1", leaf.fingerprint_sha256, leaf.not_before, leaf.not_after
        assert await looked_back(shop, Placed(*told, is_told=False, went_back=True, lasts=False)) == "rolled_back"
        assert await looked_back(shop) == ("behind" if is_behind else "drifted")


async def found_on_disk(shop: Shop) -> Leaf:
    bundle = (await looked_at(shop)).bundle
    assert bundle is not None
    return bundle.leaf


async def first_outcome(worker: Running) -> dict[str, Any]:
    return (await worker.outcomes(1))[0]


async def test_a_running_worker_puts_right_what_no_message_told_it(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop, renewed = Shop(sandbox, tmp_path), issued()
        shop.lie(renewed)
        async with running(shop.settings) as worker:
            event = await first_outcome(worker)
            await asyncio.sleep(1)  # several more sweeps
            assert len(await worker.broker.history()) == 1, "what is current is left alone"
        assert (event["data"]["outcome"], event["data"]["reason"]) == ("succeeded", "rotated")
        assert event["data"]["leaf"]["serial_number"] == str(renewed.serial_number)
        assert event["data"]["renewal_id"].startswith("sweep-")
        assert shop.world.certificates[shop.certificate].leaf.serial_number == renewed.serial_number


async def test_a_binding_that_drifted_is_attached_again_without_a_put(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        shop.world.domains[shop.domains[0]].certificate_id = None
        async with running(shop.settings) as worker:
            event = await first_outcome(worker)
        assert event["data"]["outcome"] == "succeeded"
        operations = [call.operation for call in shop.world.journal]
        assert "modify_certificate" not in operations
        assert shop.world.domains[shop.domains[0]].certificate_id == shop.certificate


async def test_what_an_urgent_renewal_took_back_is_not_put_there_again(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop, spoilt = Shop(sandbox, tmp_path), issued()
        shop.lie(spoilt)
        shop.lie(shop.stored, "old-")
        older = {"kind": "file", "chain": "old-chain.pem", "private_key": "old-key.pem"}
        back = renewal(shop.stored, material=older, reason="key_compromise", allow_shorter_validity=True)
        async with running(shop.settings) as worker:
            await worker.outcomes(1)
            assert (await worker.outcome(back))["data"]["outcome"] == "succeeded"
            looked_at_again = sweeps(sandbox.world) + 5
            while sweeps(sandbox.world) < looked_at_again:
                await asyncio.sleep(0.05)
            told = await worker.outcomes(len(await worker.broker.history()))
            assert {event["data"]["reason"] for event in told[2:]} <= {"withdrawn"}, "one may have been on its way"
        assert shop.world.certificates[shop.certificate].leaf.serial_number == shop.stored.serial_number


def sweeps(world: World) -> int:
    return sum(call.operation == "show_certificate" for call in world.journal)


async def test_what_waits_in_the_queue_is_not_put_there_again(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        shop.lie(issued())
        shop.world.faults.append(Fault("modify_certificate", status=503, times=9999))
        async with running(shop.settings) as worker:
            event = await first_outcome(worker)
            dead = await worker.dead()
        assert event["data"]["outcome"] == "failed"
        assert [one.certificate for one in dead] == ["shop"]


def test_what_was_lost_in_the_queue_is_put_there_again_after_a_day() -> None:
    queued: list[Message] = []
    bundle: Any = SimpleNamespace(leaf=SimpleNamespace(fingerprint_sha256="ab"))

    class Behind:
        lineages: ClassVar = {"shop": InFiles("chain.pem", "key.pem")}

        async def look_back(self, name: str, _past: object) -> Finding:
            return Finding(name, "behind", bundle=bundle)

        def renewal(self, name: str, _at: datetime) -> tuple[str, Message]:
            return name, Message(b"{}", "application/json")

    async def enqueue(message: Message) -> None:
        queued.append(message)

    async def is_active() -> bool:
        return True

    async def past(_name: str) -> list[Any]:
        return []

    async def scenario() -> None:
        behind: Any = Behind()
        sweeping = Sweeping(behind, enqueue, is_active, past, 6 * 3600, lambda: datetime.now(UTC))
        with suppress(TimeoutError):
            await asyncio.wait_for(sweeping.run(), 3 * 86400 - 3600)

    run_virtual(scenario())
    assert len(queued) == 3
