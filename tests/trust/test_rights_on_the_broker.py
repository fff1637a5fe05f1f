"""Who may renew what, on a real RabbitMQ with the rights that `topology export` prints: two tenants, one worker."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aio_pika.exceptions import ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused

from tests.support.clouds import Running, running, settings_for
from tests.support.gateways import AUTHORITY
from tests.support.judging import kept_by_all
from tests.support.keys_made import traces_of
from tests.support.rabbit import broker_settings
from tests.support.rabbit import running as node_running
from worker.broker import broker_of
from worker.broker.topology import definitions
from worker.core.message import composed
from worker.core.secret import Secret
from worker.sandbox import Sandbox
from worker.sandbox.ca import Issued
from worker.sandbox.rabbit_node import RabbitNode
from worker.settings import Settings
from worker.trust.keys import made, read_key
from worker.trust.sealing import seal
from worker.trust.signing import Signing, sign

pytestmark = [pytest.mark.rabbitmq, pytest.mark.usefixtures("rabbit")]
PASSWORD = "least-privilege"
DOMAINS = {"shop": "shop.example.com", "blog": "blog.example.com"}
JSON = "application/cloudevents+json"


@dataclass
class World:
    """Tenants `acme` (shop) and `other` (blog), whose renewals are numbered."""

    node: RabbitNode
    settings: Settings
    sandbox: Sandbox
    keys: Path
    worker: Running
    told: int = 0
    issues: list[Issued] = field(default_factory=list)

    def event(self, certificate: str, *, days_ago: int = 0) -> bytes:
        begins = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days_ago, minutes=len(self.issues))
        issued = AUTHORITY.issue([DOMAINS[certificate]], not_before=begins)
        self.issues.append(issued)
        renewal_id = f"r{len(self.issues)}"
        recipient = read_key(self.keys / "worker.pub.jwk", is_private=False, signs=False)
        sealed = seal(Secret(issued.private_key_pem), certificate, renewal_id, recipient)
        material = {"kind": "sealed", "chain_pem": issued.chain_pem, "private_key_jwe": sealed}
        at = datetime.now(UTC)
        return composed(renewal_id=renewal_id, source="/tests", certificate=certificate, material=material, at=at)

    def signed(self, event: bytes, producer: str = "acme", *, days_ago: float = 0, **overrides: Any) -> bytes:
        key = read_key(self.keys / f"{producer}.jwk", is_private=True, signs=True)
        signing = replace(Signing(producer, key, "rotation-worker", 3600), **overrides)
        return sign(event, signing, datetime.now(UTC) - timedelta(days=days_ago))

    def urgent(self, event: bytes) -> bytes:
        """To be taken back at once; when it was made it does not say."""
        data = json.loads(event)
        del data["time"]
        data["data"] |= {"reason": "key_compromise", "allow_shorter_validity": True}
        return json.dumps(data).encode()

    async def publish(self, user: str, body: bytes, content_type: str = JSON, **how: Any) -> None:
        """As this user, by whatever exchange, with whatever properties."""
        exchange, routing_key = (
            how.pop("exchange", self.settings.broker.exchange),
            how.pop("key", "certificate.renewed"),
        )
        url = self.node.url if user == "guest" else f"amqp://{user}:{PASSWORD}@127.0.0.1:{self.node.port}/"
        async with await aio_pika.connect(url) as connection, connection.channel() as channel:
            at = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
            await at.publish(aio_pika.Message(body, content_type=content_type, **how), routing_key)

    async def outcome(self) -> tuple[str, str]:
        """Of what was published last."""
        self.told += 1
        event = (await self.worker.outcomes(self.told))[-1]
        return event["data"]["outcome"], event["data"]["reason"]

    @property
    def changes(self) -> int:
        return sum(len(self.sandbox.world.calls(one)) for one in ("modify_certificate", "attach_domains"))


def add_user(node: RabbitNode, name: str, rights: Mapping[str, str]) -> None:
    node.ctl("add_user", name, PASSWORD)
    node.ctl("set_permissions", name, rights["configure"], rights["write"], rights["read"])


@asynccontextmanager
async def two_tenants(folder: Path) -> AsyncIterator[World]:
    keys = folder / "keys"
    made(keys, "worker", signs=False)
    for name in ("acme", "other"):
        made(keys, name, signs=True)
    trust = {
        "recipient_keys": (keys / "worker.jwk",),
        "ca_bundle": str(folder / "roots.pem"),
        "producers": {name: {"public_key": keys / f"{name}.pub.jwk"} for name in ("acme", "other")},
    }
    with node_running(folder / "node") as node:
        async with Sandbox() as sandbox:
            group = sandbox.world.add_group(sandbox.world.add_instance())
            for name in DOMAINS.values():
                sandbox.world.add_domain(group, name)
            deployments = {
                name: ({"gateway": "apig", "name": name, "domains": (domain,)},) for name, domain in DOMAINS.items()
            }
            broker = broker_settings(url=node.url)
            settings = settings_for(sandbox, AUTHORITY, folder, deployments, broker=broker, trust=trust)
            blog = settings.certificates["blog"].model_copy(update={"producers": ("other",)})
            owner = broker_of(settings, kept_by_all)
            await owner.declare()
            await owner.close()
            exported: Any = definitions(settings.broker, settings.retry.parking_seconds, unsigned=("acme", "other"))
            for rights in exported["permissions"]:
                add_user(node, rights["user"], rights)
            url = f"amqp://rotation-worker:{PASSWORD}@127.0.0.1:{node.port}/"
            own = settings.broker.model_copy(update={"url": url, "declare_": False})
            certificates = {**settings.certificates, "blog": blog}
            settings = settings.model_copy(update={"broker": own, "certificates": certificates})
            async with running(settings) as at_work:
                yield World(node, settings, sandbox, keys, at_work)


async def test_nobody_rotates_what_is_not_theirs(tmp_path: Path) -> None:
    async with two_tenants(tmp_path) as world:
        refused = ("failed", "unauthorized_producer")

        with pytest.raises(ChannelPreconditionFailed):
            await world.publish("other", world.event("shop"), user_id="acme")
        await world.publish("other", world.event("shop"), user_id="other")
        assert await world.outcome() == refused
        await world.publish("other", world.event("shop"))
        assert await world.outcome() == refused
        # Routing gives no rights.
        await world.publish(
            "other", world.event("shop"), key="x", headers={"CC": ["certificate.renewed"]}, user_id="other"
        )
        assert await world.outcome() == refused
        await world.publish("other", world.event("shop"), key="x", headers={"BCC": ["certificate.renewed"]})
        assert await world.outcome() == refused
        # Nor does the queue itself, which a producer cannot even write to.
        with pytest.raises(ChannelAccessRefused):
            await world.publish("other", world.event("shop"), exchange="", key=world.settings.broker.queue)
        await world.publish("guest", world.event("shop"), exchange="", key=world.settings.broker.queue)
        assert await world.outcome() == refused
        # Nor do the worker's own headers in another's message.
        forged = {"x-rotation-producer": "acme", "x-rotation-attempt": 3, "x-rotation-told-at": "then"}
        await world.publish("other", world.event("shop"), headers=forged, user_id="other")
        assert await world.outcome() == refused
        # A signature counts for whose it is: not for what the AMQP user may do, nor the other way round.
        jose = "application/jose"
        await world.publish("acme", world.signed(world.event("shop"), "other"), jose, user_id="acme")
        assert await world.outcome() == refused
        header, of_others = world.signed(world.event("shop")), world.signed(world.event("shop"), "other")
        spliced = b".".join([header.split(b".")[0], *of_others.split(b".")[1:]])
        await world.publish("other", spliced, jose)
        assert await world.outcome() == ("failed", "bad_signature")

        assert world.changes == 0
        await world.publish("other", world.signed(world.event("shop")), jose, user_id="other")
        assert await world.outcome() == ("succeeded", "rotated"), "who carries a signed renewal decides nothing"


async def test_what_was_signed_once_turns_nothing_back(tmp_path: Path) -> None:
    async with two_tenants(tmp_path) as world:
        jose = "application/jose"
        older, newer = world.signed(world.event("shop", days_ago=9)), world.signed(world.event("shop", days_ago=1))
        urgent = world.urgent(world.event("shop", days_ago=12))
        undoing = world.signed(urgent, days_ago=2, seconds=10 * 86_400)
        for body, told in [
            (undoing, ("succeeded", "rotated")),
            (older, ("succeeded", "rotated")),
            (newer, ("succeeded", "rotated")),
            (older, ("superseded", "replayed")),
            (undoing, ("superseded", "replayed")),
            (world.signed(world.event("shop", days_ago=5)), ("superseded", "downgrade")),
            (world.signed(urgent, days_ago=8, seconds=10 * 86_400), ("failed", "stale_message")),
        ]:
            await world.publish("acme", body, jose, user_id="acme")
            assert await world.outcome() == told
        changes = world.changes
        await world.publish("other", newer, jose, user_id="other")
        assert await world.outcome() == ("succeeded", "already_current")
        await world.publish("acme", world.signed(world.event("shop"), audience="another-worker"), jose)
        assert await world.outcome() == ("failed", "wrong_audience")
        await world.publish("acme", world.signed(world.event("shop"), seconds=-1), jose)
        assert await world.outcome() == ("failed", "stale_message")
        # A sealed key opens for the certificate that it was sealed for, and no other.
        taken = json.loads(world.event("shop")) | {"subject": "blog"}
        taken["data"]["certificate"] = "blog"
        await world.publish("other", json.dumps(taken).encode(), user_id="other")
        assert await world.outcome() == ("failed", "envelope_mismatch")
        assert world.changes == changes
        await world.worker.dead(4)
        secrets = [canary for issued in world.issues for canary in traces_of(issued.private_key_pem)]
    files = [file for file in (tmp_path / "node").rglob("*") if file.is_file()]
    found = {file.name for file in files for secret in secrets if secret.encode() in file.read_bytes()}
    assert (len(files) > 20, found) == (True, set()), "the broker's disk has no key"


async def test_an_urgent_renewal_that_another_user_sends_again_undoes_nothing(tmp_path: Path) -> None:
    async with two_tenants(tmp_path) as world:
        jose = "application/jose"
        spoilt, older = world.event("shop", days_ago=1), world.urgent(world.event("shop", days_ago=9))
        for event in (spoilt, older):
            urgent = world.signed(event)
            await world.publish("acme", urgent, jose, user_id="acme")
            assert await world.outcome() == ("succeeded", "rotated")
        # Its CA has it begin before the urgent one was signed: by its dates it is one of those to be undone.
        await world.publish("acme", world.signed(world.event("shop")), jose, user_id="acme")
        assert await world.outcome() == ("succeeded", "rotated")
        for again in (urgent, world.signed(spoilt), world.signed(older)):
            changes = world.changes
            await world.publish("other", again, jose, user_id="other")
            assert await world.outcome() == ("superseded", "replayed")
            assert world.changes == changes
        assert {one.leaf.serial_number for one in world.sandbox.world.certificates.values()} == {
            world.issues[-1].serial_number
        }
