"""The demo: sandbox clouds, a broker, the worker and its renewals in one process, with a live table."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from cryptography import x509

from worker.app import run
from worker.broker import broker_of
from worker.broker.base import Broker, Message
from worker.building import certificates_of
from worker.core.deployment import Deployment
from worker.core.outcome import BindingResult
from worker.forecast import Work
from worker.sandbox.demo_broker import DemoBroker
from worker.sandbox.demo_world import DemoWorld, Entry
from worker.sandbox.server import Sandbox, SandboxConfig
from worker.settings import Settings
from worker.shielding import judge_of
from worker.verification import served_chain

CALLS_PER_SECOND = 20


@dataclass(slots=True)
class Line:
    """What the table shows of one certificate."""

    entry: Entry
    handled: int = 0
    state: str = "waiting"
    reason: str = ""
    served: str = ""

    @property
    def is_over(self) -> bool:
        return self.state in ("succeeded", "failed", "superseded")


@dataclass(slots=True)
class Board:
    """Hears of every binding, and knows every outcome."""

    lines: dict[str, Line]
    certificate_of: Mapping[str, str]
    """By deployment key."""

    def planned(self, deployment: Deployment, work: Work) -> None:
        self.lines[self.certificate_of[deployment.key]].state = "going back" if work.goes_back else "rotating"

    def bound(self, deployment: Deployment, result: BindingResult) -> None:
        line = self.lines[self.certificate_of[deployment.key]]
        line.handled += -1 if result.state == "rolled_back" else result.state != "failed"

    def ended(self, event: Mapping[str, Any]) -> None:
        line = self.lines[event["subject"]]
        line.state, line.reason = event["data"]["outcome"], event["data"]["reason"]

    @property
    def is_over(self) -> bool:
        return all(line.is_over for line in self.lines.values())

    @property
    def is_as_expected(self) -> bool:
        return all(line.state == line.entry.expected for line in self.lines.values())


@dataclass(slots=True)
class Demo:
    """A demo under way."""

    board: Board
    sandbox: Sandbox
    broker: Broker
    events: Sequence[Mapping[str, Any]] = field(default_factory=list)

    async def follow(self) -> AsyncIterator[Board]:
        """The board as it changes, until every renewal has its outcome."""
        while not self.board.is_over:
            self.events = [dict(event) for event in await self.broker.history(limit=1000)]
            for event in self.events:
                self.board.ended(event)
            yield self.board
            await asyncio.sleep(0.2)

    async def shake_hands(self) -> None:
        """Looks at what each certificate's TLS listener serves; changes arrive there a second late."""
        await asyncio.sleep(self.sandbox.config.propagation_seconds)
        for line in self.board.lines.values():
            port = self.sandbox.listeners.ports[line.entry.place]
            chain = await served_chain("127.0.0.1", port, line.entry.server_name)
            serial = x509.load_der_x509_certificate(chain[0]).serial_number if chain else None
            is_new = serial == line.entry.issued.serial_number
            line.served = f"{serial:x}"[:12] + (" new" if is_new else " kept") if serial is not None else "no handshake"

    @property
    def is_good(self) -> bool:
        served = all(
            line.served.endswith("kept" if line.entry.is_kept else "new") for line in self.board.lines.values()
        )
        return served and self.board.is_as_expected and not self.sandbox.apig_throttle.refused


@asynccontextmanager
async def started(folder: Path, broker: DemoBroker) -> AsyncIterator[Demo]:
    """All parts at work, and every renewal published; all of them stopped at the end."""
    config = SandboxConfig(apig_limits=((CALLS_PER_SECOND, 1.0),), latency=0.03, propagation_seconds=1.0)
    async with Sandbox(config) as sandbox:
        world = DemoWorld(sandbox, folder, broker.producer)
        entries = await world.build()
        settings = world.settings(broker.url)
        board = Board({entry.name: Line(entry) for entry in entries}, _by_key(settings))
        stopping = asyncio.Event()
        worker = asyncio.create_task(run(settings, stopping=stopping, watcher=board))
        door = broker_of(settings, judge_of(settings))
        try:
            await door.declare()
            for entry in entries:
                await door.publish_renewal(_renewal(entry, broker.producer))
            yield Demo(board, sandbox, door)
        finally:
            stopping.set()
            await asyncio.gather(worker, return_exceptions=True)
            await door.close()


def _by_key(settings: Settings) -> Mapping[str, str]:
    return {
        deployment.key: name
        for name, certificate in certificates_of(settings).items()
        for deployment in certificate.deployments
    }


def _renewal(entry: Entry, producer: str) -> Message:
    event = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/rotation-worker/demo",
        "type": "certificate.renewed",
        "subject": entry.name,
        "time": datetime.now(UTC).isoformat(),
        "data": {
            "certificate": entry.name,
            "material": {"kind": "file", "chain": f"{entry.name}.pem", "private_key": f"{entry.name}.key"},
        },
    }
    return Message(json.dumps(event).encode(), "application/cloudevents+json", user_id=producer)
