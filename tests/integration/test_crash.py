"""A worker killed in the middle: the next one converges, flags included, and the world hears of it once."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.clouds import renewal
from tests.support.judging import kept_by_all
from tests.support.leaks import assert_nothing_came_out
from tests.support.rabbit import broker_table
from tests.support.service import outcomes, service, write_settings
from worker.broker import broker_of
from worker.broker.base import Message
from worker.sandbox import Sandbox
from worker.sandbox.ca import Authority
from worker.sandbox.world import Fault
from worker.settings.loading import load
from worker.verification import served_chain

NAME = "www.example.com"


@asynccontextmanager
async def shop(
    folder: Path, broker: Mapping[str, Any], producer: str
) -> AsyncIterator[tuple[Sandbox, Path, Authority]]:
    authority = Authority.create()
    async with Sandbox() as sandbox:
        world = sandbox.world
        group = world.add_group(world.add_instance())
        begins = datetime.now(UTC).replace(microsecond=0) - timedelta(days=60)
        stored = world.add_certificate(authority.issue([NAME], not_before=begins), "shop")
        world.bind(stored, world.add_domain(group, NAME, client_verification=True))
        world.put_moves_flags = True
        roots = folder / "roots.pem"
        roots.write_text(authority.root_pem)
        deployment = {"gateway": "apig", "certificate_id": stored, "domains": "attached"}
        certificates = {"shop": {"producers": [producer], "deployments": [deployment]}}
        yield sandbox, write_settings(sandbox, folder, roots, broker, certificates), authority


async def publish(settings: Path, sent: Message) -> None:
    door = broker_of(load(settings, {}), kept_by_all)
    try:
        await door.publish_renewal(sent)
    finally:
        await door.close()


async def kill_between_put_and_attach(folder: Path, broker: Mapping[str, Any], producer: str) -> None:
    async with shop(folder, broker, producer) as (sandbox, settings, authority):
        issued = authority.issue([NAME])
        (folder / "chain.pem").write_text(issued.chain_pem)
        (folder / "key.pem").touch(mode=0o600)
        (folder / "key.pem").write_text(issued.private_key_pem)
        material = {"kind": "file", "chain": "chain.pem", "private_key": "key.pem"}
        sent = renewal(issued, material=material)
        sandbox.world.faults.append(Fault("attach_domains", kind="hang"))
        async with service(settings) as first:
            await publish(settings, sent)
            while not sandbox.world.calls("attach_domains"):
                await asyncio.sleep(0.02)
            assert [one.client_verification for one in sandbox.world.domains.values()] == [False]
            first.send_signal(signal.SIGKILL)
            await first.wait()
        async with service(settings):
            [event] = await outcomes(settings, 1)
            await assert_nothing_came_out(settings)
        assert event["data"]["outcome"] == "succeeded"
        assert event["causationid"] == json.loads(sent.body)["id"]
        # `check` tries the right to it, at a certificate that there is not.
        assert [call.status for call in sandbox.world.calls("modify_certificate") if call.status != 404] == [200]
        assert [one.client_verification for one in sandbox.world.domains.values()] == [True]
        ports = await sandbox.open_listeners()
        chain = await served_chain("127.0.0.1", ports[sandbox.world.instances[0]], NAME)
        assert chain[0] == issued.certificate.public_bytes(Encoding.DER)
        assert len(await outcomes(settings, 1)) == 1


async def test_a_worker_killed_between_put_and_attach_converges_over_the_embedded_broker(tmp_path: Path) -> None:
    await kill_between_put_and_attach(tmp_path, {"url": f"sqlite:///{tmp_path}/broker.sqlite"}, "acme")


@pytest.mark.rabbitmq
async def test_a_worker_killed_between_put_and_attach_converges_over_rabbitmq(tmp_path: Path, rabbit: str) -> None:
    await kill_between_put_and_attach(tmp_path, broker_table(rabbit), "guest")
