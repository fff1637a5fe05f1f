"""A shop on real sockets, workers as processes of their own, and the books that must balance at the end."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.reliability.books import Books, Heard, Sent
from tests.reliability.oracle import broken_promises, canaries
from tests.support import ledger
from tests.support.acme import SCRIPT
from tests.support.clouds import apig_gateway, renewal
from tests.support.judging import kept_by_all
from tests.support.ledger import Moments
from tests.support.odd_cloud import OddSandbox
from tests.support.ports import free_port
from tests.support.rabbit import broker_settings
from tests.support.service import write_settings
from tests.support.worker_process import Worker, until
from worker.app import run
from worker.broker import broker_of
from worker.broker.base import Broker, BrokerError, Dead, Message
from worker.broker.connection import counted
from worker.broker.rabbitmq import RabbitBroker
from worker.broker.topology import parking_queue
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.ca import Authority, Issued
from worker.settings import Settings
from worker.settings.loading import load

AUTHORITY = Authority.create()
DAY = timedelta(days=1)


@dataclass(slots=True)
class Stage:
    """Several certificates at one APIG, each bound to one domain, and a queue that renews them."""

    sandbox: OddSandbox
    folder: Path
    settings: Path
    stored: Mapping[str, str]
    """Certificate name → id at the gateway."""
    door: Broker
    """The queue, as others see it."""
    sent: dict[str, Sent] = field(default_factory=dict)
    """By renewal id."""
    issued: dict[str, Issued] = field(default_factory=dict)
    """Renewal id → what was sent."""
    messages: dict[str, Message] = field(default_factory=dict)
    """Renewal id → as it was published."""
    workers: list[Worker] = field(default_factory=list)
    """All that were started as processes."""
    has_right_clock: bool = True
    """Whether what workers say of times can be believed."""

    @property
    def loaded(self) -> Settings:
        return load(self.settings, {})

    async def renew(self, certificate: str = "shop", *, age: timedelta = DAY, **overrides: Any) -> str:
        """Sends one that begins `age` ago; its renewal id."""
        begins = datetime.now(UTC).replace(microsecond=0) - age
        issued = AUTHORITY.issue([domain_of(certificate)], not_before=begins)
        return await self._publish(certificate, issued, overrides)

    async def renew_again(self, renewal_id: str) -> str:
        """The same certificate in a message of its own."""
        return await self._publish(self.sent[renewal_id].certificate, self.issued[renewal_id], {})

    async def _publish(self, certificate: str, issued: Issued, overrides: Mapping[str, Any]) -> str:
        message = renewal(issued, certificate, **overrides)
        renewal_id = str(json.loads(message.body)["id"])
        begins, moment = issued.certificate.not_valid_before_utc, len(self.sandbox.world.changes)
        self.sent[renewal_id] = Sent(renewal_id, certificate, issued.serial_number, begins, since=moment)
        self.issued[renewal_id], self.messages[renewal_id] = issued, message
        await self.door.publish_renewal(message)
        return renewal_id

    def calls(self, *operations: str) -> int:
        return len(self.sandbox.world.calls(*operations))

    async def called(self, operation: str, times: int = 1) -> None:
        await until(lambda: self.calls(operation) >= times)

    async def events(self) -> list[Mapping[str, Any]]:
        """Every event there is, oldest first."""
        return [dict(one) for one in reversed(await self.door.history(limit=10_000))]

    async def ended(self, *renewals: str) -> dict[str, Mapping[str, Any]]:
        """Waits until each of these (of all that were sent, where none is named) has its outcome."""
        wanted = set(renewals or self.sent)
        while True:
            with suppress(BrokerError):
                outcomes = {cause_of(event): event for event in await self.events()}
                if wanted <= set(outcomes):
                    return outcomes
            await asyncio.sleep(0.2)

    async def books(self, *, failed: Collection[str] = (), again: Collection[str] = (), strangers: int = 0) -> None:
        """Every promise, once all that was sent has ended and nothing is left to be done.

        `failed` names the renewals that must have failed; `again`: those that were put back, or may fail at first;
        `strangers`: outcomes of messages that name no renewal.
        """
        outcomes = await self.ended()
        events, dead = await self.events(), await self._settled(outcomes)
        assert len({event["id"] for event in events if cause_of(event) == ""}) == strangers
        told = {one: outcomes[one]["data"]["outcome"] for one in self.sent}
        assert {one for one, outcome in told.items() if outcome == "failed"} == set(failed), outcomes
        assert broken_promises(self._account(events, dead, again)) == []
        for name, certificate_id in self.stored.items():
            bound = [one for one in self.sandbox.world.domains.values() if one.name == domain_of(name)]
            assert {one.certificate_id for one in bound} == {certificate_id}

    async def _settled(self, outcomes: Mapping[str, Mapping[str, Any]]) -> Sequence[Dead]:
        """Once the queues hold what they shall: the failed ones lie dead, and nothing else is left. The dead ones."""
        failed = {one for one, event in outcomes.items() if event["data"]["outcome"] == "failed" and one}
        while True:
            dead = await self.door.dead()
            if {one.renewal_id for one in dead} >= failed and await self.left() == 0:
                return dead
            await asyncio.sleep(0.2)

    async def left(self) -> int:
        """Messages that are ready or parked."""
        if isinstance(self.door, RabbitBroker):
            settings, retry = self.loaded.broker, self.loaded.retry
            parking = [parking_queue(settings, step) for step in retry.parking_seconds]
            async with self.door._connector.connected() as connection:
                return sum(ready for ready, _ in await counted(connection, settings.queue, *parking))
        state = await self.door.state()
        return state.ready + state.parked

    def _account(self, events: Sequence[Mapping[str, Any]], dead: Sequence[Dead], again: Collection[str]) -> Books:
        """What the oracle reads."""
        world, moments = self.sandbox.world, Moments.of(self.sandbox.world.changes)
        mine = [event for event in events if cause_of(event) in self.sent]
        lines = [line for worker in self.workers for line in worker.lines()]
        ends = [worker.killed_at for worker in self.workers if worker.killed_at is not None]
        gateway = self.loaded.gateways["apig"]
        logs = {worker.log.name: worker.log.read_text() for worker in self.workers}
        return Books(
            list(self.sent.values()),
            [ledger.heard(event, moments) if self.has_right_clock else Heard(event) for event in mine],
            world.changes,
            {name: self._places(name, one) for name, one in self.stored.items()},
            dead={str(one.renewal_id): one.reason for one in dead if one.renewal_id},
            calls=[call for call in world.journal if call.path.startswith("/v2/")],
            windows=[(limit.calls, limit.seconds) for limit in gateway.limits],
            in_vain=[key for _, key in self.sandbox.sight.in_vain],
            pauses=ledger.pauses(lines, moments) if self.workers else None,
            broken_off=ledger.broken_off(lines, moments),
            unrest=[*ledger.losses(lines, moments), *(ledger.unrest(at, at, moments) for at in ends)],
            may_be_told_twice=again,
            secrets=self._secrets(),
            texts={**logs, "the events": json.dumps(events), "the dead letters": ledger.headers_of(dead)},
        )

    def _places(self, name: str, certificate_id: str) -> Collection[str]:
        world = self.sandbox.world
        bound = [f"{one.instance_id}/{one.name}" for one in world.domains.values() if one.name == domain_of(name)]
        return {f"stored/{certificate_id}", *bound}

    def _secrets(self) -> Sequence[str]:
        keys = [line for issued in self.issued.values() for line in canaries(issued.private_key_pem)]
        return [*keys, self.sandbox.config.password, *self.sandbox.iam.tokens]

    async def idle(self, *, dead: int = 0) -> None:
        """Until nothing waits, is parked or in hand, and nothing was left: no worker may be there any more."""
        async with self.door.deliveries() as deliveries:
            left = asyncio.ensure_future(anext(deliveries))
            state = await self.door.state()
            while (state.ready, state.parked, state.dead) != (0, 0, dead):
                await asyncio.sleep(0.1)
                state = await self.door.state()
            assert not left.done()
            left.cancel()
            await asyncio.wait([left])

    async def dead(self, count: int = 1) -> Sequence[Dead]:
        while len(dead := await self.door.dead()) < count:
            await asyncio.sleep(0.1)
        return dead

    async def start(self, *, environ: Mapping[str, str] | None = None) -> Worker:
        """One more worker, as soon as it is ready. It is not stopped by itself: `worker` does that."""
        log, listen = self.folder / f"worker-{len(self.workers) + 1}.log", f"127.0.0.1:{free_port()}"
        with log.open("wb") as out:
            child = await asyncio.create_subprocess_exec(
                *(SCRIPT, "run", "--config", self.settings),
                env={**os.environ, "ROTATION_HTTP__LISTEN": listen, **(environ or {})},
                stderr=out,
            )
        self.workers.append(Worker(child, log, listen))
        return self.workers[-1]

    @asynccontextmanager
    async def worker(self, *, environ: Mapping[str, str] | None = None, wait: bool = True) -> AsyncIterator[Worker]:
        """Ends by SIGTERM, which must end in a clean drain, unless it was killed inside the block."""
        one = await self.start(environ=environ)
        try:
            if wait:
                await one.is_up()
            yield one
        except BaseException:
            with suppress(ProcessLookupError):
                one.child.kill()
            await one.child.wait()
            raise
        assert await one.stop() in (0, -signal.SIGKILL), one.log.read_text()

    @asynccontextmanager
    async def running(self, *, gateway: str | None = None) -> AsyncIterator[None]:
        """A worker in this very process, which reaches the cloud at `gateway`."""
        environ = {} if gateway is None else {"ROTATION_GATEWAYS__APIG__ENDPOINT": gateway}
        environ["ROTATION_HTTP__LISTEN"] = "127.0.0.1:0"
        stopping = asyncio.Event()
        work = asyncio.create_task(run(load(self.settings, environ), stopping=stopping))
        try:
            yield
        finally:
            stopping.set()
            await work


def cause_of(event: Mapping[str, Any]) -> str:
    """The renewal's id; empty where its message told none."""
    return str(event.get("causationid") or "")


def domain_of(certificate: str) -> str:
    return f"{certificate}.example.com"


def rabbit_at(url: str, **overrides: Any) -> Mapping[str, Any]:
    """Objects of a test's own; what hangs is given up soon."""
    settings = broker_settings(url=url, **{"timeout_seconds": 3, **overrides})
    return settings.model_dump(mode="json", by_alias=True, exclude_none=True)


@asynccontextmanager
async def staged(
    folder: Path,
    broker: Mapping[str, Any],
    names: Sequence[str] = ("shop",),
    *,
    door: str | None = None,
    config: SandboxConfig | None = None,
    gateway: Mapping[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[Stage]:
    """A stage inside the block. `door`: where the test itself meets the broker, where that is another way in."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(OddSandbox(config))
        stored = _laid_out(sandbox, names)
        settings = _written(sandbox, folder, broker, stored, gateway or {}, more)
        loaded = load(settings, {} if door is None else {"ROTATION_BROKER__URL": door})
        entrance = broker_of(loaded, kept_by_all)
        stack.push_async_callback(entrance.close)
        await entrance.declare()
        yield Stage(sandbox, folder, settings, stored, entrance)


def _laid_out(sandbox: Sandbox, names: Sequence[str]) -> Mapping[str, str]:
    world, begins = sandbox.world, datetime.now(UTC).replace(microsecond=0) - 60 * DAY
    group, stored = world.add_group(world.add_instance()), {}
    for name in names:
        issued = AUTHORITY.issue([domain_of(name)], not_before=begins)
        stored[name] = world.add_certificate(issued, f"name_{name}")
        world.bind(stored[name], world.add_domain(group, domain_of(name)))
    return stored


def _written(
    sandbox: Sandbox,
    folder: Path,
    broker: Mapping[str, Any],
    stored: Mapping[str, str],
    gateway: Mapping[str, Any],
    more: Mapping[str, Any],
) -> Path:
    roots = folder / "roots.pem"
    roots.write_text(AUTHORITY.root_pem)
    certificates = {
        name: {
            "producers": ["guest", "acme"],
            "deployments": [{"gateway": "apig", "certificate_id": one, "domains": "attached"}],
        }
        for name, one in stored.items()
    }
    sections = {
        "trust": {"allow_plain_keys": True, "ca_bundle": roots},
        "gateways": {"apig": apig_gateway(sandbox, folder, **gateway)},
        **more,
    }
    return write_settings(sandbox, folder, roots, broker, certificates, **sections)
