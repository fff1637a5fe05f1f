"""A shop on real sockets, workers as processes of their own, and the books that must balance at the end."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from tests.reliability.oracle import Books, Heard, Sent, broken_promises
from tests.support.acme import SCRIPT
from tests.support.clouds import apig_gateway, renewal
from tests.support.ports import free_port
from tests.support.rabbit import broker_settings
from tests.support.service import write_settings
from worker.app import broker_of, run
from worker.broker.base import Broker, BrokerError, Dead, Message
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.ca import Authority, Issued
from worker.sandbox.world import Stored
from worker.settings import Settings
from worker.settings.loading import load

AUTHORITY = Authority.create()
DAY = timedelta(days=1)


async def until(is_so: Callable[[], bool]) -> None:
    """What other processes do can only be looked at, again and again; the test's timeout is the end."""
    while not is_so():
        await asyncio.sleep(0.02)


class Kept(dict[str, Stored]):
    """Stored certificates, which may be read as they were a while ago."""

    def __init__(self, stored: Mapping[str, Stored]) -> None:
        self.lag = 0.0
        """Seconds for which what is stored is read as it was before."""
        self._before: dict[str, tuple[float, Stored]] = {}
        super().__init__()
        for key, one in stored.items():
            self[key] = one

    def __setitem__(self, key: str, stored: Stored) -> None:
        if self.lag and key in self:
            self._before[key] = (time.monotonic() + self.lag, super().__getitem__(key))
        super().__setitem__(key, stored)

    def get(self, key: str, default: Any = None) -> Any:
        """As the cloud's calls read it."""
        end, before = self._before.get(key, (0.0, None))
        return before if time.monotonic() < end else super().get(key, default)


@dataclass(slots=True)
class Worker:
    """`rotation-worker run` as a process; its log is a file."""

    child: asyncio.subprocess.Process
    log: Path
    listen: str

    @property
    def pid(self) -> int:
        return self.child.pid

    def lines(self) -> Sequence[Mapping[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def told(self, event: str, **fields: object) -> int:
        """How often its log says so."""
        wanted = {"event": event, **fields}
        return sum(
            wanted.items() <= {name: str(value) if name == "error" else value for name, value in line.items()}.items()
            for line in self.lines()
        )

    async def tells(self, event: str, *, times: int = 1, **fields: object) -> None:
        await until(lambda: self.told(event, **fields) >= times)

    async def ready(self) -> tuple[int, Mapping[str, Any]]:
        """Status and body of `/readyz`; status 0 while it does not listen."""
        async with aiohttp.ClientSession() as session:
            with suppress(aiohttp.ClientConnectorError):
                async with session.get(f"http://{self.listen}/readyz") as answer:
                    return answer.status, await answer.json()
        return 0, {}

    async def is_up(self) -> None:
        while (await self.ready())[0] != HTTPStatus.OK:
            assert self.child.returncode is None, self.log.read_text()
            await asyncio.sleep(0.05)

    async def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        await self.child.wait()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status."""
        if self.child.returncode is None:
            self.child.send_signal(number)
        return await self.child.wait()


@dataclass(slots=True)
class Stage:
    """Several certificates at one APIG, each bound to one domain, and a queue that renews them."""

    sandbox: Sandbox
    folder: Path
    settings: Path
    stored: Mapping[str, str]
    """Certificate name → id at the gateway."""
    kept: Kept
    door: Broker
    """The queue, as others see it."""
    sent: dict[str, tuple[str, Issued]] = field(default_factory=dict)
    """Renewal id → certificate name and what was sent."""
    messages: dict[str, Message] = field(default_factory=dict)
    """Renewal id → as it was published."""
    _started: int = 0

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
        return await self._publish(*self.sent[renewal_id], {})

    async def _publish(self, certificate: str, issued: Issued, overrides: Mapping[str, Any]) -> str:
        message = renewal(issued, certificate, **overrides)
        renewal_id = str(json.loads(message.body)["id"])
        self.sent[renewal_id], self.messages[renewal_id] = (certificate, issued), message
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

    async def books(self, *, failed: Sequence[str] = (), strangers: int = 0) -> None:
        """Every promise, once all that was sent has ended.

        `failed` names the renewals that may have failed; `strangers`: outcomes of messages that name no renewal.
        """
        outcomes = await self.ended()
        ids: dict[str, set[str]] = {}
        for event in await self.events():
            ids.setdefault(cause_of(event), set()).add(str(event["id"]))
        assert len(ids.pop("", ())) == strangers
        assert {renewal_id: len(found) for renewal_id, found in ids.items() if len(found) > 1} == {}
        assert set(ids) == set(self.sent)
        for renewal_id in self.sent:
            outcome = outcomes[renewal_id]["data"]["outcome"]
            assert outcome == "failed" if renewal_id in failed else outcome in ("succeeded", "superseded"), outcomes[
                renewal_id
            ]["data"]
        if not self.kept.lag:  # else the cloud's own books are late, too
            assert broken_promises(await self._account(failed)) == []
        self._newest_is_served(failed)

    async def _account(self, failed: Sequence[str]) -> Books:
        """What the oracle reads. Who failed is in the dead queue by and by: `idle` counts that."""
        changes = self.sandbox.world.changes
        events = await self.events()
        return Books(
            [
                Sent(one, name, issued.serial_number, issued.certificate.not_valid_before_utc)
                for one, (name, issued) in self.sent.items()
            ],
            [Heard(event) for event in events if cause_of(event) in self.sent],
            changes,
            {
                name: {change.place for change in changes if change.certificate_id == certificate_id}
                for name, certificate_id in self.stored.items()
            },
            dead=dict.fromkeys(failed, "failed"),
            secrets=[issued.private_key_pem.splitlines()[1] for _, issued in self.sent.values()],
            texts=[json.dumps(event) for event in events],
        )

    def _newest_is_served(self, failed: Sequence[str]) -> None:
        world = self.sandbox.world
        for name, certificate_id in self.stored.items():
            sent = [issued for one, (whose, issued) in self.sent.items() if whose == name and one not in failed]
            if sent:
                newest = max(sent, key=lambda one: one.certificate.not_valid_before_utc)
                assert self.kept[certificate_id].leaf.serial_number == newest.serial_number, name
                assert [one.certificate_id for one in world.domains.values() if one.name == domain_of(name)] == [
                    certificate_id
                ]

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
        self._started += 1
        log, listen = self.folder / f"worker-{self._started}.log", f"127.0.0.1:{free_port()}"
        with log.open("wb") as out:
            child = await asyncio.create_subprocess_exec(
                *(SCRIPT, "run", "--config", self.settings),
                env={**os.environ, "ROTATION_HTTP__LISTEN": listen, **(environ or {})},
                stderr=out,
            )
        return Worker(child, log, listen)

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
        sandbox = await stack.enter_async_context(Sandbox(config))
        stored = _laid_out(sandbox, names)
        settings = _written(sandbox, folder, broker, stored, gateway or {}, more)
        loaded = load(settings, {} if door is None else {"ROTATION_BROKER__URL": door})
        entrance = broker_of(loaded)
        stack.push_async_callback(entrance.close)
        await entrance.declare()
        kept = sandbox.world.certificates = Kept(sandbox.world.certificates)
        yield Stage(sandbox, folder, settings, stored, kept, entrance)


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
