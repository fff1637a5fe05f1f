"""A worker at work that takes sealed keys only, and everything that was ever said by it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from structlog.testing import capture_logs

from tests.bad_inputs.forging import Forged
from tests.support.clouds import Running, message, running, settings_for
from worker.broker.base import Message
from worker.core.secret import Secret
from worker.sandbox import Sandbox
from worker.sandbox.ca import Authority, Issued
from worker.settings import Settings
from worker.trust.keys import Key, made, read_key
from worker.trust.sealing import seal
from worker.trust.signing import Signing, sign

AUTHORITY: Final = Authority.create()
BOUND: Final = ("www.example.com", "shop.example.com")
"""What `shop` is bound to at the gateway, which alone knows; `listed` says so in the settings."""
Material = Issued | Forged


@dataclass(slots=True)
class Stage:
    """`shop` and `listed` may be renewed by `acme` and `signer`, `other` by another producer."""

    folder: Path
    sandbox: Sandbox
    worker: Running
    recipient: Key
    signing: Signing
    logs: Sequence[MutableMapping[str, Any]]
    good: Message
    """The latest renewal that was carried out, and what was in it."""
    good_leaf: Issued
    secrets: set[str] = field(default_factory=set)
    _issued: int = 0

    @property
    def lineages(self) -> Path:
        """Below which material may lie."""
        return self.folder / "lineages"

    def issue(self, names: Sequence[str] = BOUND, **overrides: Any) -> Issued:
        """Newer than any before."""
        self._issued += 1
        begins = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=20) + timedelta(seconds=self._issued)
        fields = {"not_before": begins, "not_after": begins + timedelta(days=90), **overrides}
        return AUTHORITY.issue(names, **fields)

    def older(self) -> Issued:
        """Older than any other but the first."""
        return AUTHORITY.issue(BOUND, not_before=datetime.now(UTC).replace(microsecond=0) - timedelta(days=30))

    def sealed(self, one: Material, certificate: str = "shop", **overrides: Any) -> Message:
        """With its key to the worker; `overrides` go into the data."""
        return message(json.dumps(self.event(one, certificate, **overrides)).encode())

    def event(self, one: Material, certificate: str = "shop", **overrides: Any) -> dict[str, Any]:
        renewal_id = str(uuid4())
        self.keep_secret(one.private_key_pem)
        jwe = seal(Secret(one.private_key_pem), certificate, renewal_id, self.recipient)
        material = {"kind": "sealed", "chain_pem": one.chain_pem, "private_key_jwe": jwe}
        return event_of({"certificate": certificate, "material": material, **overrides}, renewal_id)

    def keep_secret(self, text: str) -> None:
        """From now on it must be found nowhere."""
        if "PRIVATE KEY" in text:
            # Lines of little variety are of no real key, and of every certificate.
            self.secrets.update(line for line in text.splitlines() if len(set(line)) > 20 and "-----" not in line)

    def signed(self, event: Mapping[str, Any], **overrides: Any) -> Message:
        """By `signer`, or as `overrides` say."""
        body = sign(json.dumps(event).encode(), replace(self.signing, **overrides), datetime.now(UTC))
        return message(body, content_type="application/jose", user_id="whoever")

    async def rotate(self, *, is_signed: bool = False) -> str:
        """A good renewal; its outcome."""
        one = self.issue()
        event = self.event(one)
        sent = self.signed(event) if is_signed else message(json.dumps(event).encode())
        told = await self.worker.outcome(sent)
        await self.is_idle()
        self.good, self.good_leaf = sent, one
        return str(told["data"]["outcome"])

    async def is_idle(self) -> None:
        """Dead letters and acks come after their events."""
        while True:
            state = await self.worker.broker.state()
            if (state.ready, state.parked) == (0, 0):
                return
            await asyncio.sleep(0.01)

    async def told(self) -> str:
        """All that ever left the worker: events, dead letters, logs, and what is on the disk."""
        events = await self.worker.broker.history(limit=1000)
        dead = await self.worker.broker.dead()
        letters = [repr(one) + one.message.body.decode("latin-1") for one in dead]
        files = [file.read_bytes().decode("latin-1") for file in self.folder.glob("broker.sqlite*")]
        return "".join([json.dumps(events), *letters, *files, json.dumps(self.logs, default=repr)])

    def finished(self) -> int:
        """How many renewals have ended, as the log says."""
        return sum(one["event"] == "rotation.finished" and one["outcome"] != "parked" for one in self.logs)


def event_of(data: Mapping[str, Any], renewal_id: str | None = None) -> dict[str, Any]:
    """A CloudEvent around these data."""
    fields = {"specversion": "1.0", "id": renewal_id or str(uuid4()), "source": "/tests", "type": "certificate.renewed"}
    return {**fields, "time": datetime.now(UTC).isoformat(), "data": dict(data)}


def unsigned_with(header: Mapping[str, Any], signed: Message) -> Message:
    """A signed message under another header, with its old signature."""
    _, rest = signed.body.split(b".", 1)
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=")
    return replace(signed, body=encoded + b"." + rest)


def header_of(compact: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(compact.split(b".")[0] + b"=="))
    return found


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[Stage]:
    """The worker has rotated once already."""
    _, recipient = made(folder / "keys", "worker", signs=False)
    producer, _ = made(folder / "keys", "signer", signs=True)
    (folder / "lineages").mkdir()
    signing = Signing("signer", read_key(producer, is_private=True, signs=True), "rotation-worker", 3600)
    async with Sandbox() as sandbox:
        with capture_logs() as logs:
            async with running(_settings(sandbox, folder)) as worker:
                key = read_key(recipient, is_private=False, signs=False)
                stage = Stage(folder, sandbox, worker, key, signing, logs, message(b""), AUTHORITY.issue(BOUND))
                assert await stage.rotate() == "succeeded"
                yield stage


def _settings(sandbox: Sandbox, folder: Path) -> Settings:
    world = sandbox.world
    group = world.add_group(world.add_instance())
    first = AUTHORITY.issue(BOUND, not_before=datetime.now(UTC).replace(microsecond=0) - timedelta(days=60))
    stored = [world.add_certificate(first, name) for name in ("shop", "listed")]
    world.bind(stored[0], *(world.add_domain(group, name) for name in BOUND))
    deployment = {"gateway": "apig", "certificate_id": stored[0], "domains": "attached"}
    certificates = {
        "shop": {"producers": ("acme", "signer"), "deployments": (deployment,)},
        "listed": {
            "producers": ("acme", "signer"),
            "deployments": ({"gateway": "apig", "certificate_id": stored[1], "domains": BOUND},),
        },
        "other": {
            "producers": ("somebody",),
            "deployments": ({"gateway": "apig", "name": "other", "domains": ("other.example.com",)},),
        },
    }
    trust = {
        "ca_bundle": str(folder / "roots.pem"),
        "recipient_keys": (folder / "keys" / "worker.jwk",),
        "producers": {"signer": {"public_key": folder / "keys" / "signer.pub.jwk"}},
        "roots": {"files": (folder / "lineages",)},
    }
    base = settings_for(sandbox, AUTHORITY, folder, {}, trust=trust).model_dump(by_alias=True)
    return Settings.model_validate({**base, "certificates": certificates})
