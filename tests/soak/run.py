"""One soak: broker, clouds, workers, a producer, all of it broken by schedule; and the evidence of what came of it."""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp
from yarl import URL

from tests.broker.proxy import Proxy, proxied
from tests.reliability.oracle import canaries
from tests.soak.accounts import Evidence
from tests.soak.breaking import Breaker, CloudControl, Done, Links, Way
from tests.soak.cloud import LATENCY
from tests.soak.estate import APIG_LIMITS, BYCLOUD_LIMITS, PRODUCER, STRANGER, Item, windows
from tests.soak.load import Producer
from tests.soak.nodes import USERS, Nodes
from tests.soak.schedule import schedule
from tests.soak.workers import Workers
from tests.support.cluster import clustered
from tests.support.judging import kept_by_all
from tests.support.ledger import headers_of
from tests.support.service import toml
from worker.broker import broker_of
from worker.broker.base import Broker, BrokerError
from worker.sandbox.ca import Authority
from worker.sandbox.world import Call, Change
from worker.settings.loading import load
from worker.trust.keys import made, read_key

QUIET_WITHIN: Final = 180.0
"""Seconds after the last fault until everything that was sent has ended."""
_ANY_NUMBER: Final = 1_000_000
_SETTLED: Final = 2.0
"""RabbitMQ 3.10 loses what it confirmed in a queue that is killed right after its declaration."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for. `rate`: renewals a second; `healthy`: no faults at all."""

    folder: Path
    seed: int
    minutes: float = 10.0
    certificates: int = 20
    rate: float = 1.0
    nodes: int = 1
    healthy: bool = False


@dataclass(slots=True)
class Scene:
    """All that is up."""

    plan: Plan
    told: Mapping[str, Any]
    """What the cloud says of itself."""
    items: Sequence[Item]
    control: CloudControl
    nodes: Nodes
    producer: Producer
    workers: Workers
    door: Broker
    """As an administrator sees the broker."""
    breaker: Breaker
    quiet_after: float = 0.0
    own_complaints: list[str] = field(default_factory=list)


async def soak(plan: Plan) -> tuple[Evidence, Scene]:
    """From nothing to the evidence."""
    async with standing(plan) as scene:
        watching = asyncio.create_task(scene.workers.watch())
        try:
            await scene.workers.start_all()
            await _broken_under_load(scene)
            await scene.producer.close()
            scene.quiet_after = await _until_quiet(scene)
            watching.cancel()
            await scene.workers.stop_all()
        finally:
            watching.cancel()
            await scene.workers.kill_all()
        return await _evidence(scene), scene


async def _broken_under_load(scene: Scene) -> None:
    plan, seconds = scene.plan, scene.plan.minutes * 60
    steps = [] if plan.healthy else schedule(plan.seed, seconds)
    async with asyncio.TaskGroup() as group:
        group.create_task(scene.producer.run(plan.rate, seconds))
        group.create_task(scene.breaker.carry_out(steps))
        progress = group.create_task(_progress(scene))
        group.create_task(_ended(progress, seconds))


async def _ended(progress: asyncio.Task[None], seconds: float) -> None:
    await asyncio.sleep(seconds)
    progress.cancel()


async def _progress(scene: Scene) -> None:
    while True:
        await asyncio.sleep(60)
        print(f"  {len(scene.producer.orders)} renewals, {len(scene.breaker.done)} faults", file=sys.stderr, flush=True)


async def _until_quiet(scene: Scene) -> float:
    """Seconds until all that was accepted has its outcome and nothing waits; what does not come is in the books."""
    began = time.monotonic()
    while time.monotonic() - began < QUIET_WITHIN:
        with suppress(BrokerError):
            if await _waiting(scene) == 0:
                told = {str(event["data"]["renewal_id"]) for event in await _events(scene.door)}
                if all(one.renewal_id in told for one in scene.producer.orders.values() if one.accepted):
                    return time.monotonic() - began
        await asyncio.sleep(1)
    scene.own_complaints.append(f"not quiet {QUIET_WITHIN:g} seconds after the last fault")
    return time.monotonic() - began


async def _events(door: Broker) -> list[Any]:
    return list(reversed(await door.history(limit=_ANY_NUMBER)))


async def _waiting(scene: Scene) -> int:
    """Ready, parked or in hand."""
    rows = (await scene.nodes.ctl(scene.nodes.nodes[0], "list_queues", "name", "messages")).splitlines()
    counts = {name: int(count) for name, count in (row.split("\t") for row in rows[1:])}
    return sum(count for name, count in counts.items() if not name.endswith((".dead", ".history")))


@asynccontextmanager
async def standing(plan: Plan) -> AsyncIterator[Scene]:
    """Everything is there inside the block, and nothing works yet."""
    folder, passwords = plan.folder, {user: f"canary-{secrets.token_hex(16)}" for user in USERS} | {"guest": "guest"}
    async with AsyncExitStack() as stack:
        running = stack.enter_context(clustered(folder / "rabbitmq", plan.nodes))
        entrance = await stack.enter_async_context(proxied(running[0].url))
        nodes = Nodes(running, passwords, entrance)
        await nodes.prepared()
        told, pid = await stack.enter_async_context(_cloud(folder, plan.certificates))
        ways = {name: await stack.enter_async_context(proxied(told[name])) for name in ("apig", "iam", "bycloud")}
        items = [Item(**one) for one in told["items"]]
        authority = Authority.create("Soak")
        settings = _settings(folder, told, items, authority, ways, nodes)
        door = await _opened(stack, settings, nodes.url("guest"))
        await door.declare()
        await asyncio.sleep(_SETTLED)
        out = await _opened(stack, settings, nodes.url(PRODUCER))
        key = read_key(folder / "worker.pub.jwk", is_private=False, signs=False)
        producer = Producer(out, items, authority, key, Random(f"{plan.seed} load"))  # noqa: S311 - to be had again
        control = CloudControl(told["control"], pid)
        workers = Workers(settings, folder)
        way = Way(ways, {name: told[name] for name in ways}, control)
        breaker = Breaker(
            {
                "worker": workers.break_one,
                "broker": nodes.break_one,
                "link": Links(entrance).break_one,
                "cloud": control.break_answers,
                "way": way.break_one,
            }
        )
        yield Scene(plan, told, items, control, nodes, producer, workers, door, breaker)


async def _opened(stack: AsyncExitStack, settings: Path, url: str) -> Broker:
    broker = broker_of(load(settings, {"ROTATION_BROKER__URL": url}), kept_by_all)
    stack.push_async_callback(broker.close)
    return broker


@asynccontextmanager
async def _cloud(folder: Path, count: int) -> AsyncIterator[tuple[Mapping[str, Any], int]]:
    with (folder / "cloud.log").open("wb") as out:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.soak.cloud", folder, str(count)), stderr=out, stdout=out
        )
    try:
        while not (folder / "cloud.json").exists():
            assert child.returncode is None, (folder / "cloud.log").read_text()
            await asyncio.sleep(0.05)
        yield json.loads((folder / "cloud.json").read_text(encoding="utf-8")), child.pid
    finally:
        with suppress(ProcessLookupError):
            child.terminate()
        await child.wait()


def _settings(
    folder: Path,
    told: Mapping[str, Any],
    items: Sequence[Item],
    authority: Authority,
    ways: Mapping[str, Proxy],
    nodes: Nodes,
) -> Path:
    made(folder, "worker", signs=False)
    (folder / "roots.pem").write_text(authority.root_pem, encoding="ascii")
    url = str(_through(nodes.entrance, nodes.url("worker", heartbeat=2)))
    for name, content in {"password": told["password"], "secret": told["secret"]}.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(content, encoding="ascii")
    sections = {
        "broker": {"url": url, "timeout_seconds": 5, "prefetch": 16},
        "retry": {"parking_seconds": [1, 3, 8], "deadline_seconds": 20, "drain_seconds": 5, "attempts": 60},
        "trust": {
            "allow_plain_keys": True,
            "ca_bundle": folder / "roots.pem",
            "recipient_keys": [folder / "worker.jwk"],
        },
        "gateways": _gateways(folder, told, ways),
        "certificates": {
            item.name: {"producers": ["nobody" if item.name == STRANGER else PRODUCER], "deployments": item.deployments}
            for item in items
        },
    }
    path = folder / "worker.toml"
    path.touch(mode=0o600)
    path.write_text("\n".join(f"{name} = {toml(section)}" for name, section in sections.items()) + "\n")
    return path


def _through(entrance: Proxy, url: str) -> URL:
    place = URL(entrance.url)
    return URL(url).with_host(str(place.host)).with_port(place.port)


def _gateways(folder: Path, told: Mapping[str, Any], ways: Mapping[str, Proxy]) -> Mapping[str, Any]:
    patience = {"call_timeout_seconds": 4, "settle_seconds": 4}
    password = {"kind": "password", "iam_endpoint": ways["iam"].url.rstrip("/"), "password_file": folder / "password"}
    return {
        "apig": {
            "kind": "huawei_apig",
            "endpoint": ways["apig"].url.rstrip("/"),
            "project_id": told["project_id"],
            "limits": windows(APIG_LIMITS),
            "auth": {**password, **{name: told[name] for name in ("account", "user", "project")}},
            **patience,
        },
        "bycloud": {
            "kind": "bycloud",
            "endpoint": ways["bycloud"].url.rstrip("/"),
            "region": told["region"],
            "limits": windows(BYCLOUD_LIMITS),
            "auth": {"kind": "api_key", "key_id": told["key_id"], "secret_file": folder / "secret"},
            **patience,
        },
    }


async def _evidence(scene: Scene) -> Evidence:
    """Everything that is known; also written down, as others may want to read it."""
    folder, door = scene.plan.folder, scene.door
    books, events, dead = await _cloud_books(scene), await _events(door), await door.dead()
    (folder / "journal.json").write_text(json.dumps(books, indent=0), encoding="utf-8")
    (folder / "events.json").write_text(json.dumps(events, indent=0), encoding="utf-8")
    offset = time.time() - time.monotonic()
    logs = {life.log.name: life.log.read_text(errors="replace") for life in scene.workers.lives}
    orders = list(scene.producer.orders.values())
    private = [line for order in orders for line in canaries(order.private_key_pem)]
    known = [scene.told["password"], scene.told["secret"], *scene.nodes.passwords.values(), *books["tokens"]]
    return Evidence(
        orders,
        scene.items,
        events,
        {str(one.renewal_id): one.reason for one in dead},
        [Call(**{**one, "at": one["at"] + offset}) for one in books["calls"]],
        [_change(one, offset) for one in books["changes"]],
        waiting=await _waiting(scene),
        windows={"apig": APIG_LIMITS, "bycloud": BYCLOUD_LIMITS},
        latency=LATENCY,
        in_vain=[(at + offset, key) for at, key in books["in_vain"]],
        unrest=_unrest(scene.breaker.done, offset),
        secrets=[*private, *known],
        texts={**logs, "the events": json.dumps(events), "the dead letters": headers_of(dead)},
        memory={life.log.name: life.samples for life in scene.workers.lives},
        complaints=[*scene.workers.complaints, *scene.own_complaints],
    )


def _unrest(done: Sequence[Done], offset: float) -> Sequence[tuple[float, float]]:
    """When workers were killed, frozen, or cut off from the broker, or the broker was."""
    return [(one.began + offset, one.ended + offset) for one in done if one.step.actor in ("worker", "broker", "link")]


async def _cloud_books(scene: Scene) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{scene.control.control}/books") as answer:
        return await answer.json()


def _change(told: Mapping[str, Any], offset: float) -> Change:
    dates = {name: datetime.fromisoformat(told[name]) for name in ("not_before", "not_after")}
    return Change(**{**told, **dates, "at": told["at"] + offset})
