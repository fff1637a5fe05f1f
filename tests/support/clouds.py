"""Settings for a sandbox, and a worker that runs on them in this very process."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.support.judging import kept_by_all
from worker.app import run
from worker.broker import broker_of
from worker.broker.base import Broker, Dead, Message
from worker.sandbox import Sandbox
from worker.sandbox.ca import Authority, Issued
from worker.settings import Settings

QUICK = {"parking_seconds": (0.2, 0.4), "attempts": 3, "deadline_seconds": 5, "drain_seconds": 5}


def apig_gateway(sandbox: Sandbox, folder: Path, **overrides: Any) -> dict[str, Any]:
    password = folder / "password"
    password.write_text(sandbox.config.password)
    password.chmod(0o600)
    auth = {
        "kind": "password",
        "iam_endpoint": sandbox.iam_endpoint,
        "account": sandbox.config.account,
        "user": sandbox.config.user,
        "password_file": password,
        "project": sandbox.config.project,
    }
    return {
        "kind": "huawei_apig",
        "endpoint": sandbox.apig_endpoint,
        "project_id": sandbox.config.project_id,
        "limits": ({"calls": 1000, "seconds": 1},),
        "settle_seconds": 2,
        "auth": auth,
        **overrides,
    }


def bycloud_gateway(sandbox: Sandbox, folder: Path, **overrides: Any) -> dict[str, Any]:
    secret = folder / "secret"
    secret.write_text(sandbox.config.secret)
    secret.chmod(0o600)
    return {
        "kind": "bycloud",
        "endpoint": sandbox.bycloud_endpoint,
        "region": sandbox.config.region,
        "limits": ({"calls": 1000, "seconds": 1},),
        "settle_seconds": 2,
        "auth": {"kind": "api_key", "key_id": sandbox.config.key_id, "secret_file": secret},
        **overrides,
    }


def settings_for(
    sandbox: Sandbox,
    authority: Authority,
    folder: Path,
    certificates: Mapping[str, Any],
    *,
    verify: object = None,
    **overrides: Any,
) -> Settings:
    roots = folder / "roots.pem"
    roots.write_text(authority.root_pem)
    return Settings.model_validate(
        {
            "broker": {"url": f"sqlite:///{folder}/broker.sqlite"},
            "retry": QUICK,
            "trust": {"allow_plain_keys": True, "ca_bundle": str(roots)},
            "gateways": {"apig": apig_gateway(sandbox, folder), "bycloud": bycloud_gateway(sandbox, folder)},
            "certificates": {
                name: {"producers": ("acme",), "deployments": deployments, "verify": verify or {}}
                for name, deployments in certificates.items()
            },
            "http": {"listen": "127.0.0.1:0"},
            **overrides,
        }
    )


def renewal(issued: Issued, certificate: str = "shop", **overrides: Any) -> Message:
    """A `plain` renewal message of producer `acme`; `overrides` go into its data."""
    material = {"kind": "plain", "chain_pem": issued.chain_pem, "private_key_pem": issued.private_key_pem}
    event = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/tests",
        "type": "certificate.renewed",
        "subject": certificate,
        "time": datetime.now(UTC).isoformat(),
        "data": {"certificate": certificate, "material": material, **overrides},
    }
    return message(json.dumps(event).encode())


def message(body: bytes, **overrides: Any) -> Message:
    return Message(**{"body": body, "content_type": "application/cloudevents+json", "user_id": "acme", **overrides})


class Running:
    """A worker at work, and the broker as others see it."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    async def outcomes(self, count: int) -> list[dict[str, Any]]:
        """The first `count` outcome events, in order."""
        while True:
            events = await self.broker.history(limit=1000)
            if len(events) >= count:
                return [dict(event) for event in reversed(events)][:count]
            await asyncio.sleep(0.02)

    async def dead(self, count: int = 1) -> Sequence[Dead]:
        """So many dead letters: they come after their events."""
        while len(dead := await self.broker.dead()) < count:
            await asyncio.sleep(0.02)
        return dead

    async def outcome(self, sent: Message) -> dict[str, Any]:
        """Publishes a renewal, and waits for what comes of it."""
        known = len(await self.broker.history(limit=1000))
        await self.broker.publish_renewal(sent)
        return (await self.outcomes(known + 1))[-1]


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    stopping = asyncio.Event()
    worker = asyncio.create_task(run(settings, stopping=stopping))
    broker = broker_of(settings, kept_by_all)
    try:
        yield Running(broker)
    finally:
        stopping.set()
        await worker
        await broker.close()
