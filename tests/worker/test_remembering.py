"""What the metrics know after a restart: as much of it as the history tells."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.clouds import renewal, running, settings_for
from tests.support.virtual_time import run_virtual
from tests.worker.test_sweep import AUTHORITY, Shop, issued
from worker.app import broker_of, gateways_by_certificate
from worker.broker.base import BrokerError, BrokerLostError
from worker.remembering import remember
from worker.sandbox import Sandbox
from worker.telemetry import Metrics

GATEWAYS = {"shop": {"apig", "bycloud"}}
EXPIRY = "rotation_certificate_expiry_timestamp_seconds"
SUCCESS = "rotation_last_success_timestamp_seconds"


def told(at: int, ends: int, certificate: str = "shop", **overrides: Any) -> dict[str, Any]:
    """An outcome event. Days of January 1970."""
    ends_at = f"1970-01-{ends:02}T00:00:00Z"
    leaf = {"fingerprint_sha256": "ab", "not_before": "1970-01-01T00:00:00Z", "not_after": ends_at}
    deployments = [{"gateway": "apig", "outcome": "succeeded"}, {"gateway": "bycloud", "outcome": "failed"}]
    data = {"outcome": "succeeded", "leaf": leaf, "deployments": deployments, **overrides}
    return {"subject": certificate, "time": f"1970-01-{at:02}T00:00:00Z", "data": data}


@dataclass(slots=True)
class Past:
    """A broker of which only the history is asked for. `troubles` come first."""

    events: Sequence[Mapping[str, Any]]
    troubles: list[BrokerError] = field(default_factory=list)

    async def history(self, *, limit: int) -> Sequence[Mapping[str, Any]]:
        if self.troubles:
            raise self.troubles.pop(0)
        return self.events[:limit]


def remembered(*newest_first: Mapping[str, Any], troubles: Sequence[BrokerError] = ()) -> Metrics:
    metrics, past = Metrics(), Past(newest_first, list(troubles))
    run_virtual(remember(past, metrics, GATEWAYS))  # type: ignore[arg-type]
    return metrics


def days(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Of January 1970."""
    value = metrics.registry.get_sample_value(name, labels)
    return None if value is None else value / 86400 + 1


def test_the_latest_success_counts_for_each_place() -> None:
    rolled_back = told(9, 30, outcome="failed", reason="rolled_back", deployments=[])
    both = [{"gateway": name, "outcome": "succeeded"} for name in ("apig", "bycloud")]
    metrics = remembered(rolled_back, told(8, 28), told(5, 25, deployments=both), told(2, 22))
    assert days(metrics, EXPIRY, certificate="shop", gateway="apig") == 28
    assert days(metrics, EXPIRY, certificate="shop", gateway="bycloud") == 25
    assert days(metrics, SUCCESS) == 8


def test_what_the_settings_do_not_have_is_nobodys_label() -> None:
    elsewhere = [{"gateway": "gone", "outcome": "succeeded"}]
    metrics = remembered(told(9, 29, "stranger"), told(8, 28, deployments=elsewhere), {"data": "odd"}, {})
    assert [one for family in metrics.registry.collect() if family.name == EXPIRY for one in family.samples] == []


def test_a_history_that_is_away_is_read_later_and_one_that_may_not_be_read_is_left() -> None:
    metrics = remembered(told(8, 28), troubles=[BrokerLostError("away"), BrokerLostError("still")])
    assert days(metrics, SUCCESS) == 8
    assert days(remembered(told(8, 28), troubles=[BrokerError("forbidden")]), SUCCESS) == 1


async def test_a_new_process_knows_of_ends_what_the_one_before_has_told(tmp_path: Any) -> None:
    async with Sandbox() as sandbox:
        shop, renewed = Shop(sandbox, tmp_path), issued()
        deployment = {"gateway": "apig", "certificate_id": shop.certificate, "domains": "attached"}
        settings = settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (deployment,)})
        async with running(settings) as worker:
            await worker.outcome(renewal(renewed))
        metrics, broker = Metrics(), broker_of(settings)
        async with asyncio.timeout(30):
            await remember(broker, metrics, gateways_by_certificate(settings))
        await broker.close()
    ends = metrics.registry.get_sample_value(EXPIRY, {"certificate": "shop", "gateway": "apig"})
    assert ends == renewed.certificate.not_valid_after_utc.timestamp()
