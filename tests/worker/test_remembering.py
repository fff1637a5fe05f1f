"""What the metrics know that this process has not done itself: as much of it as the history tells."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.fleet.test_following import History
from tests.fleet.told import model_of
from tests.support.clouds import renewal, running, settings_for
from tests.support.values import certificate, deployment
from tests.support.virtual_time import run_virtual
from tests.worker.test_sweep import AUTHORITY, Shop, issued
from worker.app import broker_of
from worker.beside import beside
from worker.broker.base import Batch, Broker, BrokerError, BrokerLostError, TopologyError
from worker.building import certificates_of
from worker.fleet.following import keep_up
from worker.sandbox import Sandbox
from worker.telemetry import Metrics

SHOP = {"shop": certificate(deployment(), deployment(gateway="bycloud"))}
EXPIRY = "rotation_certificate_expiry_timestamp_seconds"
SUCCESS = "rotation_last_success_timestamp_seconds"


def told(at: int, ends: int, subject: str = "shop", **overrides: Any) -> dict[str, Any]:
    """An outcome event. Days of January 1970."""
    ends_at = f"1970-01-{ends:02}T00:00:00Z"
    leaf = {"fingerprint_sha256": "ab", "not_before": "1970-01-01T00:00:00Z", "not_after": ends_at}
    deployments = [{"gateway": "apig", "outcome": "succeeded"}, {"gateway": "bycloud", "outcome": "failed"}]
    data = {"outcome": "succeeded", "leaf": leaf, "deployments": deployments, **overrides}
    return {"id": f"{at}", "subject": subject, "time": f"1970-01-{at:02}T00:00:00Z", "data": data}


@dataclass
class Late(History):
    """Cannot be read at first."""

    troubles: list[BrokerError] = field(default_factory=list)

    async def following(self, after: int | None = None) -> AsyncGenerator[Batch]:
        if self.troubles:
            raise self.troubles.pop(0)
        async for batch in History.following(self, after):
            yield batch


def remembered(*oldest_first: Mapping[str, Any], troubles: Sequence[BrokerError] = ()) -> Metrics:
    metrics = Metrics()
    broker: Any = Late(list(oldest_first), connected_at=3.0, troubles=list(troubles))

    async def read() -> None:
        async with beside(keep_up(model_of(), broker, lambda event: metrics.remember(event, SHOP))):
            await asyncio.sleep(600)

    run_virtual(read())
    return metrics


def days(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Of January 1970."""
    value = metrics.registry.get_sample_value(name, labels)
    return None if value is None else value / 86400 + 1


def test_the_latest_success_counts_for_each_place() -> None:
    rolled_back = told(9, 30, outcome="failed", reason="rolled_back", deployments=[])
    both = [{"gateway": name, "outcome": "succeeded"} for name in ("apig", "bycloud")]
    metrics = remembered(told(2, 22), told(5, 25, deployments=both), told(8, 28), rolled_back)
    assert days(metrics, EXPIRY, certificate="shop", gateway="apig") == 28
    assert days(metrics, EXPIRY, certificate="shop", gateway="bycloud") == 25
    assert days(metrics, SUCCESS) == 8


def test_what_was_told_before_takes_no_later_ones_place() -> None:
    """While the history is being read a rotation may end."""
    metrics = remembered(told(8, 28), told(5, 25))
    assert days(metrics, EXPIRY, certificate="shop", gateway="apig") == 28
    assert days(metrics, SUCCESS) == 8


def test_what_succeeded_at_one_place_counts_there_and_what_the_platform_holds_has_succeeded_too() -> None:
    half = told(8, 28, outcome="failed", reason="binding_failed")
    metrics = remembered(told(3, 23), half, told(6, 29, leaf=None))
    assert days(metrics, EXPIRY, certificate="shop", gateway="apig") == 28
    assert days(metrics, SUCCESS) == 6


def test_what_the_settings_do_not_have_is_nobodys_label() -> None:
    elsewhere = [{"gateway": "gone", "outcome": "succeeded"}]
    metrics = remembered(told(9, 29, "stranger"), told(8, 28, deployments=elsewhere), {"data": "odd"}, {})
    assert [one for family in metrics.registry.collect() if family.name == EXPIRY for one in family.samples] == []


def test_a_history_that_is_away_or_not_there_yet_is_read_later() -> None:
    metrics = remembered(told(8, 28), troubles=[BrokerLostError("away"), TopologyError("no stream"), BrokerError("no")])
    assert days(metrics, SUCCESS) == 8


@asynccontextmanager
async def ended(broker: Broker) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await broker.close()


async def test_a_new_process_knows_of_ends_what_the_one_before_has_told(tmp_path: Any) -> None:
    async with Sandbox() as sandbox:
        shop, renewed = Shop(sandbox, tmp_path), issued()
        deployment = {"gateway": "apig", "certificate_id": shop.certificate, "domains": "attached"}
        settings = settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (deployment,)})
        async with running(settings) as worker:
            await worker.outcome(renewal(renewed))
        metrics, broker, known = Metrics(), broker_of(settings), certificates_of(settings)
        labels = {"certificate": "shop", "gateway": "apig"}
        async with (
            asyncio.timeout(30),
            ended(broker),
            running(settings),
            beside(keep_up(model_of(), broker, lambda event: metrics.remember(event, known))),
        ):
            while (ends := metrics.registry.get_sample_value(EXPIRY, labels)) is None:
                await asyncio.sleep(0.02)
    assert ends == renewed.certificate.not_valid_after_utc.timestamp()
