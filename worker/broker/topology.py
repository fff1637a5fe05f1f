"""The broker objects as data: what the worker declares, checks, or prints as definitions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from worker.settings.model import Broker

AGAIN = "again"
"""Routing key of a copy that goes back to the work queue at once."""
DEAD = "dead"
"""Routing key of a copy that was given up."""

NOTE = "note"
"""Routing key of a note to whoever takes over."""

_WORKER: Final = "rotation-worker"
_PRODUCER: Final = "rotation-producer"


@dataclass(frozen=True, slots=True)
class Exchange:
    name: str
    kind: Literal["topic", "direct"]


@dataclass(frozen=True, slots=True)
class Queue:
    name: str
    arguments: Mapping[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueBinding:
    exchange: str
    queue: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class Topology:
    exchanges: Sequence[Exchange]
    queues: Sequence[Queue]
    bindings: Sequence[QueueBinding]


def parking_key(step: float) -> str:
    """Routing key of a copy that comes back after `step` seconds."""
    return f"{step:.15g}"


def parking_queue(settings: Broker, step: float) -> str:
    return f"{settings.parking_exchange}.{parking_key(step)}"


def topology(settings: Broker, parking_seconds: Sequence[float]) -> Topology:
    """Everything, in an order that can be declared.

    Copies (parked, given up, put back) and notes go through one exchange of their own: so the worker needs the right
    to write to it and to the events alone, and none to the default exchange, which reaches every queue.
    """
    steps = {step: parking_queue(settings, step) for step in parking_seconds}
    copies = settings.parking_exchange
    return Topology(
        exchanges=(
            Exchange(settings.exchange, "topic"),
            Exchange(copies, "direct"),
            Exchange(settings.events_exchange, "topic"),
        ),
        queues=(
            # Nothing may take a dead letter away but a person: it is looked at often, and each look is a delivery.
            Queue(settings.dead_queue, {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000}),
            Queue(settings.queue, _work(settings)),
            *(Queue(name, _parking(settings, step)) for step, name in steps.items()),
            Queue(
                settings.history_stream,
                {"x-queue-type": "stream", "x-max-age": f"{settings.history_days}D"},
            ),
        ),
        bindings=(
            *(QueueBinding(settings.exchange, settings.queue, key) for key in settings.binding_keys),
            QueueBinding(copies, settings.queue, AGAIN),
            QueueBinding(copies, settings.dead_queue, DEAD),
            *(QueueBinding(copies, name, parking_key(step)) for step, name in steps.items()),
            QueueBinding(settings.events_exchange, settings.history_stream, "#"),
            # Not by way of the events: those who listen there have no use for notes.
            QueueBinding(copies, settings.history_stream, NOTE),
        ),
    )


def _work(settings: Broker) -> Mapping[str, str | int | bool]:
    return {
        "x-queue-type": "quorum",
        "x-single-active-consumer": True,
        "x-delivery-limit": settings.delivery_limit,
        **_dead_lettered("", settings.dead_queue),
    }


def _parking(settings: Broker, step: float) -> Mapping[str, str | int | bool]:
    return {"x-queue-type": "quorum", "x-message-ttl": int(step * 1000), **_dead_lettered("", settings.queue)}


def _dead_lettered(exchange: str, key: str) -> Mapping[str, str]:
    """At least once: which the broker does only for queues that refuse instead of dropping when they are full."""
    return {
        "x-dead-letter-exchange": exchange,
        "x-dead-letter-routing-key": key,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def definitions(
    settings: Broker, parking_seconds: Sequence[float], vhost: str = "/", unsigned: Sequence[str] = ()
) -> Mapping[str, object]:
    """A RabbitMQ definitions file: all objects, and users with no more rights than they need, yet without passwords.

    One user for all who sign their renewals, and one for each of the `unsigned`, who are known by the user's name.
    """
    permissions = _permissions(settings, [parking_queue(settings, step) for step in parking_seconds], vhost, unsigned)
    wanted = topology(settings, parking_seconds)
    return {
        "vhosts": [{"name": vhost}],
        "users": [
            {"name": name, "password_hash": "", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": []}
            for name in (one["user"] for one in permissions)
        ],
        "permissions": permissions,
        "exchanges": [
            {"name": one.name, "vhost": vhost, "type": one.kind, "durable": True, "auto_delete": False, "arguments": {}}
            for one in wanted.exchanges
        ],
        "queues": [
            {"name": one.name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": dict(one.arguments)}
            for one in wanted.queues
        ],
        "bindings": [
            {
                "source": one.exchange,
                "vhost": vhost,
                "destination": one.queue,
                "destination_type": "queue",
                "routing_key": one.routing_key,
                "arguments": {},
            }
            for one in wanted.bindings
        ],
    }


def _permissions(
    settings: Broker, parking: Sequence[str], vhost: str, unsigned: Sequence[str]
) -> Sequence[Mapping[str, str]]:
    """The worker writes events and copies, and reads its own queues; a producer writes renewals, and reads nothing.

    Parking queues and the renewals' exchange the worker only looks at. Since 4.2.7 and 4.3.1 RabbitMQ shows an object
    to those alone who have some right to it; of them reading does least there. Source: its pull request 16272.
    """
    return [
        {
            "user": _WORKER,
            "vhost": vhost,
            "configure": "^$",
            "write": _any_of(settings.events_exchange, settings.parking_exchange),
            "read": _any_of(settings.queue, settings.dead_queue, settings.history_stream, *parking, settings.exchange),
        },
        *(
            {"user": name, "vhost": vhost, "configure": "^$", "write": _any_of(settings.exchange), "read": "^$"}
            for name in dict.fromkeys((_PRODUCER, *unsigned))
            if name != _WORKER
        ),
    ]


def _any_of(*names: str) -> str:
    escaped = "|".join(name.replace(".", r"\.") for name in names)
    return f"^({escaped})$"
