"""Outcome events as workers tell them, and a model that hears of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from tests.support.values import certificate, day, deployment
from worker.broker.base import BrokerState, Dead, Message
from worker.core.deployment import Certificate
from worker.core.events import rfc3339
from worker.fleet.model import FleetInputs, FleetModel
from worker.fleet.progress import RunningRotations

NOW: Final = day(20)


def told_deployment(**overrides: Any) -> dict[str, Any]:
    bindings = {"total": 2, "attached": 2, "unchanged": 0, "failed": 0, "rolled_back": 0}
    return {
        "gateway": "apig",
        "certificate_id": "c1",
        "strategy": "in_place",
        "outcome": "succeeded",
        "reason": "rotated",
        "replaced": True,
        "previous": {"serial_number": "1", "not_after": rfc3339(day(22))},
        "bindings": bindings,
        "failures": [],
        **overrides,
    }


def event(
    renewal_id: str = "r1",
    outcome: str = "succeeded",
    at: datetime = NOW,
    *deployments: Mapping[str, Any],
    certificate: str | None = "shop",
    **overrides: Any,
) -> dict[str, Any]:
    leaf = {"serial_number": "2", "not_before": rfc3339(day(19)), "not_after": rfc3339(day(29))}
    reason = {"succeeded": "rotated", "failed": "binding_failed", "superseded": "downgrade"}[outcome]
    data = {
        "certificate": certificate,
        "renewal_id": renewal_id,
        "outcome": outcome,
        "reason": reason,
        "leaf": leaf,
        "attempt": 1,
        "renewed_at": rfc3339(at - timedelta(seconds=9)),
        "duration_seconds": 4.5,
        "gateway_calls": 7,
        "deployments": list(deployments),
        **overrides,
    }
    return {"id": f"{renewal_id}-{outcome}", "subject": certificate, "time": rfc3339(at), "data": data}


@dataclass
class Outside:
    """What a model asks now and then, and how often it has asked for the dead letters."""

    state: BrokerState = field(default_factory=lambda: BrokerState(is_connected=True, is_active=True))
    letters: Sequence[Dead] = ()
    reads: int = 0
    now: datetime = NOW

    async def counts(self) -> BrokerState:
        return self.state

    async def dead(self) -> Sequence[Dead]:
        self.reads += 1
        return self.letters


def letter(name: str, renewal_id: str, at: datetime = NOW) -> Dead:
    return Dead(name, Message(b"{}", ""), "not_found", "shop", renewal_id, at)


def model_of(outside: Outside | None = None, **certificates: Certificate) -> FleetModel:
    """Its history is read already."""
    asked = outside or Outside()
    known = certificates or {"shop": certificate(deployment())}
    progress = RunningRotations(known, lambda: asked.now)
    inputs = FleetInputs(asked.counts, asked.dead, lambda: (), lambda: False, lambda: asked.now)
    model = FleetModel(known, progress, inputs)
    model.end_of_history()
    return model
