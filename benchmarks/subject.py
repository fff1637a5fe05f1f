"""What is measured: the worker's own parts in this process, set against a stand-in in another."""

import json
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.standin import PROJECT, TOKEN, ZONE, Standin
from worker.broker.base import Message
from worker.core.bundle import Bundle
from worker.core.certificate import Rules, check
from worker.core.deployment import Certificate, Deployment
from worker.core.outcome import Report
from worker.core.secret import Secret
from worker.gateways import open_gateway
from worker.gateways.base import Gateway
from worker.rotation import Rotator
from worker.sandbox.ca import Authority, Issued, Key
from worker.settings.base import TokenAuth
from worker.settings.gateways import HuaweiApig, Limit

NAME: Final = "apig"
PRODUCER: Final = "acme"
FREE: Final = ((1_000_000, 1.0),)
"""A limit that limits nothing."""


@dataclass(frozen=True, slots=True)
class Account:
    """How the worker is set for one gateway account."""

    limits: Sequence[tuple[int, float]] = FREE
    chunk: int = 20
    concurrency: int = 8
    deadline: float = 120.0


@contextmanager
def token_file() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "token"
        path.write_text(TOKEN, encoding="ascii")
        path.chmod(0o600)
        yield path


def settings_of(standin: Standin, account: Account, token: Path) -> HuaweiApig:
    return HuaweiApig(
        kind="huawei_apig",
        endpoint=standin.endpoint,
        project_id=PROJECT,
        concurrency=account.concurrency,
        domains_per_attach=account.chunk,
        limits=tuple(Limit(calls=calls, seconds=seconds) for calls, seconds in account.limits),
        auth=TokenAuth(kind="token", token_file=token),
    )


@asynccontextmanager
async def gateway(standin: Standin, account: Account, name: str = NAME) -> AsyncIterator[Gateway]:
    """The worker's client for the stand-in."""
    with token_file() as token:
        settings = settings_of(standin, account, token)
        opened = open_gateway(name, settings, deadline=account.deadline, chance=random.SystemRandom().random)
        try:
            yield opened
        finally:
            await opened.close()


def issue(authority: Authority, key: Key | None = None) -> Issued:
    """A leaf that covers every domain of the stand-in."""
    return authority.issue([f"*.{ZONE}"], key=key)


def bundle_of(issued: Issued) -> Bundle:
    return check(issued.chain_pem, Secret(issued.private_key_pem), now=datetime.now(UTC), rules=Rules())


def certificate(name: str, certificate_id: str, at: str = NAME) -> Certificate:
    """Deployed once, in place, at all domains that are bound to it."""
    return Certificate(name, [Deployment(at, "in_place", certificate_id, None, None)])


async def rotated(opened: Gateway, one: Certificate, bundle: Bundle) -> tuple[Report, float]:
    """What came of it, and seconds."""
    began = time.monotonic()
    report = await Rotator({opened.name: opened}).rotate(one, bundle)
    return report, time.monotonic() - began


def renewal(name: str, issued: Issued) -> Message:
    """As a producer sends it, the key in the open."""
    material = {"kind": "plain", "chain_pem": issued.chain_pem, "private_key_pem": issued.private_key_pem}
    return message(name, material)


def message(name: str, material: dict[str, str]) -> Message:
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/benchmarks",
        "type": "certificate.renewed",
        "subject": name,
        "time": datetime.now(UTC).isoformat(),
        "data": {"certificate": name, "material": material},
    }
    return Message(json.dumps(event).encode(), "application/cloudevents+json", user_id=PRODUCER)


def memory(pid: int | str = "self") -> tuple[float, float]:
    """Megabytes that a process holds now, and the most it ever held."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    told = dict(line.split(":", 1) for line in lines)
    return int(told["VmRSS"].split()[0]) / 1024, int(told["VmHWM"].split()[0]) / 1024
