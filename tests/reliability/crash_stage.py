"""A whole worker between a durable broker and both clouds, all in memory: it is killed, and another one takes over."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from structlog.testing import capture_logs

from tests.reliability.books import Books, Heard, Sent, Verdict
from tests.reliability.crash_broker import PARKING, Desk, Store
from tests.reliability.crash_cloud import PROJECT, Cloud, Wire
from tests.reliability.crash_life import Life
from tests.reliability.crash_proof import Eyes, Judgement, Look, Shelf, never_bad
from tests.reliability.oracle import broken_promises, canaries
from tests.support.clouds import renewal
from worker.attempt import Attempts, Policy
from worker.broker.base import Broker, Message
from worker.consumer import Consumer
from worker.core.backoff import RetryPolicy
from worker.core.certificate import Rules
from worker.core.deployment import Binding, Certificate, Deployment, Strategy
from worker.gateways.base import Gateway
from worker.gateways.bycloud import ByCloud
from worker.gateways.bycloud.wire import ByCloudDialect
from worker.gateways.exchange import HttpClient
from worker.gateways.huawei_apig import HuaweiApig
from worker.gateways.huawei_apig.wire import ApigDialect
from worker.gateways.transport import Dialect, Transport
from worker.intake import Intake
from worker.limits import Limits, Window
from worker.rotation import Rotator
from worker.sandbox.ca import Authority, Issued
from worker.sandbox.world import World
from worker.telemetry import Metrics
from worker.trust.opening import TrustPolicy

AUTHORITY: Final = Authority.create()
NAMES: Final = ("a.example.com", "b.example.com", "c.example.com")
ATTEMPTS: Final = 4
WINDOWS: Final = ((8, 1.0), (60, 60.0))
LONGEST: Final = 15000.0
"""Seconds until all must be idle again."""


def issued(days_old: float) -> Issued:
    begins = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days_old)
    return AUTHORITY.issue(NAMES, not_before=begins)


FIRST: Final = issued(60)
NEW: Final = issued(1)


class Wireless(Transport):
    """Opens no session: the exchange needs none."""

    def _open_client(self) -> HttpClient:
        return cast("HttpClient", None)


@dataclass(frozen=True, slots=True)
class Key:
    """Credentials that are always good."""

    async def headers(self, _method: str, _path: str, _query: Mapping[str, str], _body: bytes) -> Mapping[str, str]:
        return {}

    def is_stale(self, _status: int, _code: str | None) -> bool:
        return False

    async def renew(self) -> None: ...


@dataclass(slots=True)
class Stage:
    """One certificate, `shop`; three domains or two listeners serve its first leaf."""

    strategy: Strategy
    world: World
    deployment: Deployment
    places: frozenset[str]
    cloud: Cloud
    store: Store = field(default_factory=Store)
    sent: list[Sent] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    may_be_told_twice: set[str] = field(default_factory=set)
    is_bad: Judgement = never_bad
    dies_looking: Judgement = never_bad
    dead: str = ""
    """The name of a binding that nobody can reach."""
    verdicts: list[Verdict] = field(default_factory=list)
    shelf: Shelf | None = None
    """Where the settings keep what was proven last."""
    broken: list[str] = field(default_factory=list)
    is_fed: bool = True
    """No more renewals are going to be sent."""

    def send(self, one: Issued = NEW, **overrides: Any) -> str:
        """A renewal, accepted by the broker; its id."""
        if self.strategy == "rebind":
            overrides = {"material": {"kind": "held"}, **overrides}
        priority = 9 if overrides.get("reason") == "key_compromise" else 0
        message = replace(renewal(one, **overrides), priority=priority)
        self.messages.append(message)
        self.store.put(message)
        renewal_id = str(json.loads(message.body)["id"])
        until = _utc_now() if overrides.get("allow_shorter_validity") else None
        begins, since = one.certificate.not_valid_before_utc, len(self.world.changes)
        self.sent.append(Sent(renewal_id, "shop", one.serial_number, begins, until, since))
        self.secrets += canaries(one.private_key_pem)
        return renewal_id

    def send_again(self, number: int) -> None:
        """The very same message as the `number`th one: a producer that was not sure."""
        self.store.put(self.messages[number])
        self.may_be_told_twice.add(self.sent[number].renewal_id)

    def replay(self) -> None:
        """`dead replay` of everything."""
        self.may_be_told_twice |= {one.renewal_id for one in self.store.dead()}
        self.store.replay()

    def served(self) -> set[int]:
        """Serial numbers, over all bindings."""
        latest = {change.place: change.serial for change in self.world.changes}
        return {latest[place] for place in self.places}

    async def live(self, *, dies_at: int | None = None) -> Life:
        """A worker's life, from its start until it dies or has nothing to do any more."""
        life, first_call = Life(dies_at), len(self.world.journal)
        self.lives.append(life)
        with capture_logs() as logs:
            await self._until_over(life)
        self.logs += [json.dumps(one, default=repr) for one in logs]
        self.broken += broken_promises(Books((), (), (), {}, calls=self.world.journal[first_call:], windows=WINDOWS))
        return life

    async def _until_over(self, life: Life) -> None:
        consumer = asyncio.create_task(worker(self, life).run())
        ends = {asyncio.create_task(life.over.wait()), asyncio.create_task(self._idle()), consumer}
        done, _ = await asyncio.wait(ends, timeout=LONGEST, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()
        life.over.set()
        await asyncio.gather(*ends, return_exceptions=True)
        assert done, "still busy after hours"
        assert not life.is_endless, "turns in circles"
        if consumer in done:
            consumer.result()

    async def _idle(self) -> None:
        while self.store.waiting() or not self.is_fed:
            await asyncio.sleep(1.0)

    def books(self) -> Books:
        heard = [Heard(one.event, one.changes) for one in self.store.told]
        dead = {one.renewal_id: one.reason or "" for one in self.store.dead()}
        waiting = {one.renewal_id for one in self.store.waiting()}
        told = json.dumps([one.event for one in heard])
        texts = {"the events": told, "the dead letters": "\n".join(dead.values()), "the logs": "\n".join(self.logs)}
        return Books(
            self.sent,
            heard,
            self.world.changes,
            {"shop": self.places},
            waiting,
            dead,
            in_vain=self.cloud.in_vain,
            may_be_told_twice=self.may_be_told_twice,
            verdicts=self.verdicts,
            waves=[one for one in self.deployment.waves if isinstance(one, int)] if self.deployment.moves else (),
            left=self.own() if self.strategy == "blue_green" and not waiting and not self.is_keeping else (),
            secrets=self.secrets,
            texts=texts,
        )

    def broken_promises(self) -> Sequence[str]:
        return [*self.broken, *broken_promises(self.books())]

    @property
    def is_keeping(self) -> bool:
        """The old one for a while."""
        return self.deployment.retire_after_seconds > 0

    def own(self) -> Sequence[str]:
        """What is stored under the deployment's name."""
        name = self.deployment.name or ""
        return [one.id for one in self.world.certificates.values() if one.name == name or one.name[:-12] == f"{name}_"]

    def count(self, *operations: str) -> int:
        return len(self.world.calls(*operations))

    def changes_made(self) -> int:
        return sum(call.method != "GET" for call in self.world.journal)


def worker(stage: Stage, life: Life, broker: object = None) -> Consumer:
    """A fresh process: nothing in it remembers an earlier one. `broker`: where it is not the one in memory."""
    gateway = _apig(stage, life) if stage.deployment.gateway == "apig" else _bycloud(stage, life)
    holds = frozenset({"shop"}) if stage.strategy == "rebind" else frozenset[str]()
    trust = TrustPolicy({"shop": frozenset({"acme"})}, allow_plain_keys=True, holds=holds)
    attempts = Attempts(
        cast("Broker", broker or Desk(stage.store, life, stage.world)),
        Intake(trust, Rules(), (), _utc_now),
        _rotator(stage, life, gateway),
        {"shop": Certificate("shop", (stage.deployment,))},
        Policy(RetryPolicy(PARKING, ATTEMPTS)),
        Metrics(),
        _utc_now,
        lambda: 0.0,
    )
    return Consumer(attempts)


def _rotator(stage: Stage, life: Life, gateway: Gateway) -> Rotator:
    async def look(at: Look) -> None:
        if stage.dies_looking(at):
            await life.ends()

    eyes = Eyes(stage.world, stage.verdicts, len(stage.lives), stage.is_bad, look, stage.dead)
    kept = {}
    if stage.shelf is not None:
        stage.shelf.life = life
        kept["shop"] = stage.shelf
    settle = {gateway.name: 4.0}
    return Rotator({gateway.name: gateway}, eyes, settle, kept=kept, looks=eyes.reach, asked=eyes.behind)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _apig(stage: Stage, life: Life) -> Gateway:
    return HuaweiApig("apig", _transport(stage, life, ApigDialect(_utc_now)), PROJECT, 2, lambda: 0.0)


def _bycloud(stage: Stage, life: Life) -> Gateway:
    return ByCloud("bycloud", _transport(stage, life, ByCloudDialect(_utc_now)), 60.0, lambda: 0.0)


def _transport(stage: Stage, life: Life, dialect: Dialect) -> Transport:
    return Wireless(
        gateway=stage.deployment.gateway,
        endpoint="http://127.0.0.1:9",
        limits=Limits([Window(calls, seconds) for calls, seconds in WINDOWS], 8),
        authenticator=Key(),
        dialect=dialect,
        timeout=30,
        deadline=60,
        ca_file=None,
        chance=lambda: 0.0,
        wall_clock=_utc_now,
        exchange=Wire(stage.cloud, life),
    )


def staged(strategy: Strategy, *, verified: bool = False, client_ca: str | None = None, name: str = "shop") -> Stage:
    """`verified`: one of the domains asks clients for a certificate. `name`: of what is stored."""
    world = World()
    if strategy in ("in_place", "per_domain", "blue_green"):
        deployment, places = _at_apig(world, strategy, verified=verified, client_ca=client_ca, name=name)
    else:
        deployment, places = _at_bycloud(world, strategy)
    return Stage(strategy, world, deployment, places, Cloud(world, 0.01))


def _at_apig(
    world: World, strategy: Strategy, *, verified: bool, client_ca: str | None, name: str
) -> tuple[Deployment, frozenset[str]]:
    instance = world.add_instance()
    group = world.add_group(instance)
    ids = [world.add_domain(group, one, client_verification=verified and one.startswith("b")) for one in NAMES]
    stored = world.add_certificate(FIRST, name, trusted_root_ca=client_ca)
    world.bind(stored, *ids)
    places = frozenset(f"{instance}/{one}" for one in NAMES)
    if strategy == "in_place":
        return Deployment("apig", strategy, stored, None, None, client_ca), places
    if strategy == "blue_green":
        listed = tuple(Binding("domain", one, instance) for one in NAMES)
        return Deployment("apig", strategy, None, "shop", listed, client_ca, waves=(1, 2, 1.0)), places
    single = tuple(Binding("domain", one, instance, None, group, one) for one in ids)
    return Deployment("apig", strategy, None, "shop_single", single), places


def _at_bycloud(world: World, strategy: Strategy) -> tuple[Deployment, frozenset[str]]:
    stored = world.add_upload(FIRST, "shop")
    listeners = [world.add_listener() for _ in range(2)]
    for one in listeners:
        world.bind_listener(stored, one)
    wanted = world.add_upload(NEW, "shop-renewed") if strategy == "rebind" else stored
    bindings = tuple(Binding("listener", one) for one in listeners)
    return Deployment("bycloud", strategy, wanted, None, bindings), frozenset(f"{one}/sni=False" for one in listeners)


async def until_idle(stage: Stage, *dies_at: int) -> Stage:
    """Lives that die at these effects, one after the other, and a last one that ends in peace."""
    for effect in dies_at:
        await stage.live(dies_at=effect)
    await stage.live()
    return stage
