"""A private RabbitMQ node, shared by all processes of a test run; names of its own for each test."""

import fcntl
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aio_pika

from worker.broker.topology import topology
from worker.sandbox.rabbit_node import RabbitNode
from worker.settings.model import Broker, Retry


@contextmanager
def running(home: Path) -> Iterator[RabbitNode]:
    """A node of one's own inside the block."""
    node = RabbitNode.below(home)
    node.start()
    try:
        yield node
    finally:
        node.stop()


@contextmanager
def shared(folder: Path) -> Iterator[RabbitNode]:
    """One node for all processes that name the same folder: started by the first, stopped by the last."""
    node = _joined(folder)
    try:
        yield node
    finally:
        _leave(folder, node)


def _joined(folder: Path) -> RabbitNode:
    with _locked(folder) as register:
        known: dict[str, Any] = json.loads(register.read_text(encoding="ascii")) if register.exists() else {"users": 0}
        if known["users"]:
            node = RabbitNode(**{**known["node"], "home": Path(known["node"]["home"])})
        else:
            node = RabbitNode.below(folder / f"rabbitmq-{uuid.uuid4().hex[:8]}")
            node.start()
        described = {**asdict(node), "home": str(node.home)}
        register.write_text(json.dumps({"users": known["users"] + 1, "node": described}), encoding="ascii")
    return node


def _leave(folder: Path, node: RabbitNode) -> None:
    with _locked(folder) as register:
        known = json.loads(register.read_text(encoding="ascii"))
        register.write_text(json.dumps({**known, "users": known["users"] - 1}), encoding="ascii")
        if known["users"] == 1:
            node.stop()


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    with (folder / "rabbitmq.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder / "rabbitmq.json"


def broker_settings(**overrides: Any) -> Broker:
    """Settings with object names that no other test has."""
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    names = {
        "exchange": f"{prefix}.renewals",
        "queue": f"{prefix}.rotation",
        "parking_exchange": f"{prefix}.rotation.parked",
        "dead_queue": f"{prefix}.rotation.dead",
        "events_exchange": f"{prefix}.events",
        "history_stream": f"{prefix}.rotation.history",
    }
    return Broker.model_validate({**names, **overrides})


async def remove(url: str, settings: Broker, retry: Retry) -> None:
    """Deletes a test's objects: the broker may be somebody's."""
    objects = topology(settings, retry.parking_seconds)
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        for queue in objects.queues:
            await channel.queue_delete(queue.name)
        for exchange in objects.exchanges:
            await channel.exchange_delete(exchange.name)


def broker_table(url: str) -> Mapping[str, Any]:
    """`broker_settings` as a settings file has them."""
    settings = broker_settings(url=url)
    return settings.model_dump(mode="json", by_alias=True, exclude_none=True)
