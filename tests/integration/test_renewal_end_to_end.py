"""A real ACME client renews; its hook publishes; the worker rotates; a TLS handshake shows the new serial."""

import asyncio
import shlex
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.support.acme import SCRIPT, Pebble, pebble, succeed
from tests.support.leaks import assert_nothing_came_out, assert_nothing_lies_below
from tests.support.rabbit import broker_table, running
from tests.support.service import outcomes, service, write_settings
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.ca import Authority
from worker.trust.keys import made
from worker.verification import served_chain

NAMES = ("www.example.com", "api.example.com")


async def served_serials(sandbox: Sandbox, place: str) -> list[int]:
    ports = await sandbox.open_listeners()
    chains = [await served_chain("127.0.0.1", ports[place], name) for name in NAMES]
    return [x509.load_der_x509_certificate(chain[0]).serial_number for chain in chains]


class World:
    """A sandbox with two domains and a listener, a Pebble, and the worker's settings for them."""

    def __init__(
        self, sandbox: Sandbox, folder: Path, authority: Pebble, broker: Mapping[str, Any], producer: str
    ) -> None:
        world = sandbox.world
        begins = datetime.now(UTC).replace(microsecond=0) - timedelta(days=60)
        old = Authority.create().issue(NAMES, not_before=begins)
        self.sandbox = sandbox
        self.instance = world.add_instance()
        group = world.add_group(self.instance)
        stored = world.add_certificate(old, "shop")
        world.bind(stored, *(world.add_domain(group, name) for name in NAMES))
        self.listener = world.add_listener()
        uploaded = world.add_upload(old, "shop", updated_at=begins)
        world.bind_listener(uploaded, self.listener)
        deployments = [
            {"gateway": "apig", "certificate_id": stored, "domains": "attached"},
            {
                "gateway": "bycloud",
                "strategy": "replace",
                "certificate_id": uploaded,
                "listeners": [{"id": self.listener}],
            },
        ]
        certificates = {"shop": {"producers": [producer], "deployments": deployments}}
        publish: dict[str, Any] = {"spool": folder / "spool", "producer": producer, "names": {NAMES[0]: "shop"}}
        trust: dict[str, Any] = {"allow_staging_issuers": True, "ca_bundle": authority.roots}
        if (folder / "keys").is_dir():
            publish["recipient_key"], trust["recipient_keys"] = [
                folder / "keys" / "worker.pub.jwk",
                [folder / "keys" / "worker.jwk"],
            ]
        else:
            trust["roots"] = {"files": [folder]}
        more = {"publish": publish, "trust": trust}
        self.settings = write_settings(sandbox, folder, authority.roots, broker, certificates, **more)
        self.hook = f"{shlex.quote(str(SCRIPT))} publish --config {shlex.quote(str(self.settings))}"

    async def check(self, event: Mapping[str, Any]) -> str:
        """The event tells success, and every listener serves its serial."""
        assert event["data"]["outcome"] == "succeeded", event
        serial = event["data"]["leaf"]["serial_number"]
        for place in (self.instance, self.listener):
            assert await served_serials(self.sandbox, place) == [int(serial)] * len(NAMES)
        return str(serial)


async def opened(stack: AsyncExitStack, folder: Path, broker: Mapping[str, Any], producer: str) -> tuple[World, Pebble]:
    sandbox = await stack.enter_async_context(Sandbox(SandboxConfig(propagation_seconds=0)))
    authority = await stack.enter_async_context(pebble(folder))
    world = World(sandbox, folder, authority, broker, producer)
    await stack.enter_async_context(service(world.settings))
    return world, authority


async def renew_with_lego(folder: Path, broker: Mapping[str, Any], producer: str) -> None:
    async with AsyncExitStack() as stack:
        world, authority = await opened(stack, folder, broker, producer)
        await authority.lego("run", NAMES, world.hook)
        first = await world.check((await outcomes(world.settings, 1))[0])
        # Certificates begin at whole seconds: one renewed within the same second would not be newer.
        await asyncio.sleep(1)
        await authority.lego("renew", NAMES, world.hook)
        second = await world.check((await outcomes(world.settings, 2))[1])
        assert first != second
        await assert_nothing_came_out(world.settings)


async def renew_with_certbot(folder: Path, broker: Mapping[str, Any], producer: str) -> None:
    async with AsyncExitStack() as stack:
        world, authority = await opened(stack, folder, broker, producer)
        own = ["certonly", "--standalone", "--agree-tos", "-m", "a@example.com", "--cert-name", NAMES[0]]
        await authority.certbot(own, NAMES, world.hook)
        first = await world.check((await outcomes(world.settings, 1))[0])
        await authority.certbot(["renew", "--force-renewal", "--no-random-sleep-on-renew"], (), world.hook)
        second = await world.check((await outcomes(world.settings, 2))[1])
        assert first != second
        await assert_nothing_came_out(world.settings)


async def renew_with_dehydrated(folder: Path, broker: Mapping[str, Any], producer: str) -> None:
    async with AsyncExitStack() as stack:
        world, authority = await opened(stack, folder, broker, producer)
        await authority.dehydrated(NAMES, world.hook)
        first = await world.check((await outcomes(world.settings, 1))[0])
        await asyncio.sleep(1)
        await authority.dehydrated(NAMES, world.hook)
        second = await world.check((await outcomes(world.settings, 2))[1])
        assert first != second
        await assert_nothing_came_out(world.settings)


@pytest.mark.acme
@pytest.mark.rabbitmq
@pytest.mark.usefixtures("rabbit")
async def test_sealed_keys_lie_nowhere_on_their_way_not_even_on_the_brokers_disk(tmp_path: Path) -> None:
    """Nor that of a renewal which was given up."""
    made(tmp_path / "keys", "worker", signs=False)
    with running(tmp_path / "node") as node:
        async with AsyncExitStack() as stack:
            world, authority = await opened(stack, tmp_path, broker_table(node.url), "guest")
            await authority.lego("run", NAMES, world.hook)
            await world.check((await outcomes(world.settings, 1))[0])
            other = Authority.create().issue(["other.example.com"])
            (tmp_path / "chain.pem").write_text(other.chain_pem)
            (tmp_path / "key.pem").touch(mode=0o600)
            (tmp_path / "key.pem").write_text(other.private_key_pem)
            files = ("--chain", tmp_path / "chain.pem", "--key", tmp_path / "key.pem")
            await succeed(SCRIPT, "publish", "shop", "--config", world.settings, *files)
            assert (await outcomes(world.settings, 2))[1]["data"]["outcome"] == "failed"
            await assert_nothing_came_out(world.settings)
    assert_nothing_lies_below(tmp_path)


@pytest.mark.acme
async def test_dehydrated_renews_over_the_embedded_broker(tmp_path: Path) -> None:
    await renew_with_dehydrated(tmp_path, {"url": f"sqlite:///{tmp_path}/broker.sqlite"}, "acme-1")


@pytest.mark.acme
async def test_lego_renews_over_the_embedded_broker(tmp_path: Path) -> None:
    await renew_with_lego(tmp_path, {"url": f"sqlite:///{tmp_path}/broker.sqlite"}, "acme-1")


@pytest.mark.acme
async def test_certbot_renews_over_the_embedded_broker(tmp_path: Path) -> None:
    await renew_with_certbot(tmp_path, {"url": f"sqlite:///{tmp_path}/broker.sqlite"}, "acme-1")


@pytest.mark.acme
@pytest.mark.rabbitmq
async def test_lego_renews_over_rabbitmq(tmp_path: Path, rabbit: str) -> None:
    await renew_with_lego(tmp_path, broker_table(rabbit), "guest")


@pytest.mark.acme
@pytest.mark.rabbitmq
async def test_certbot_renews_over_rabbitmq(tmp_path: Path, rabbit: str) -> None:
    await renew_with_certbot(tmp_path, broker_table(rabbit), "guest")
