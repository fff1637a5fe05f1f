"""What the metrics know that this process has not done itself: as much of it as the history tells."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fleet.test_following import History
from tests.fleet.told import model_of
from tests.support.clouds import renewal, running, settings_for
from tests.support.judging import kept_by_all
from tests.support.values import certificate, deployment, leaf
from tests.support.virtual_time import run_virtual
from tests.worker.test_sweep import AUTHORITY, Shop, issued
from worker.beside import beside
from worker.broker import broker_of
from worker.broker.base import Batch, Broker, BrokerError, BrokerLostError, TopologyError
from worker.building import certificates_of
from worker.core.deployment import Binding
from worker.core.errors import Failure
from worker.core.events import outcome_event
from worker.core.outcome import BindingResult, DeploymentReport, Previous, Report, Timing
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


HELD = {"shop": certificate(deployment(strategy="rebind"), deployment(strategy="rebind", certificate_id="c2"))}


def test_when_what_the_platform_holds_ends_is_what_the_platform_tells_the_first_of_several() -> None:
    placed = [
        {"gateway": "apig", "strategy": "rebind", "outcome": "succeeded", "not_after": f"1970-01-{day}T00:00:00Z"}
        for day in (27, 26)
    ]
    metrics = Metrics()
    metrics.remember(told(6, 29, leaf=None, deployments=placed), HELD)
    assert days(metrics, EXPIRY, certificate="shop", gateway="apig") == 26
    untold = [{"gateway": "apig", "strategy": "rebind", "outcome": "succeeded"}]
    metrics.remember(told(7, 29, deployments=untold), HELD)
    assert days(metrics, EXPIRY, certificate="shop", gateway="apig") == 26, "the leaf is not what it holds"


def test_so_it_is_when_this_process_itself_has_bound_it() -> None:
    first, second = HELD["shop"].deployments
    ends = [datetime(1970, 1, day, tzinfo=UTC) for day in (27, 26)]
    reports = [
        DeploymentReport(to, "succeeded", "rotated", not_after=at) for to, at in zip((first, second), ends, strict=True)
    ]
    metrics, now = Metrics(), datetime(1970, 1, 6, tzinfo=UTC)
    metrics.ended("shop", Report("succeeded", "rotated", None, reports), Timing(now, now, 1.0))
    assert days(metrics, EXPIRY, certificate="shop", gateway="apig") == 26


@pytest.mark.parametrize(("reason", "ends"), [("still_old", 9), ("not_reachable", 9), ("not_found", 30)])
def test_what_was_put_and_not_proven_is_no_end_to_rely_on_neither_now_nor_after_a_restart(
    reason: str, ends: int
) -> None:
    """Until then an older one ends, which may be served still."""
    now, to = datetime(1970, 1, 6, tzinfo=UTC), SHOP["shop"].deployments[0]
    renewed = leaf(not_before=now, not_after=datetime(1970, 1, 30, tzinfo=UTC))
    results = [BindingResult(Binding("domain", "a"), "failed", Failure(reason, "told", transient=True))]
    previous = Previous("1", datetime(1970, 1, 9, tzinfo=UTC))
    put = DeploymentReport(to, "failed", reason, "c1", replaced=True, previous=previous, bindings=results)
    report, timing = Report("failed", reason, renewed, [put]), Timing(now, now, 1.0)
    itself, restarted = Metrics(), Metrics()
    itself.ended("shop", report, timing)
    restarted.remember(outcome_event(report, "r1", "shop", timing, None, id_source="r1"), SHOP)
    assert [days(one, EXPIRY, certificate="shop", gateway="apig") for one in (itself, restarted)] == [ends, ends]


def test_a_certificate_that_was_taken_out_is_forgotten_and_known_anew_when_it_comes_again() -> None:
    metrics = Metrics()
    metrics.remember(told(8, 28), SHOP)
    metrics.forget_certificate("shop", "apig")
    metrics.forget_certificate("shop", "nowhere")
    assert days(metrics, EXPIRY, certificate="shop", gateway="apig") is None
    metrics.remember(told(5, 25), SHOP)
    assert days(metrics, EXPIRY, certificate="shop", gateway="apig") == 25
    assert days(metrics, EXPIRY, certificate="shop", gateway="nowhere") is None


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
        metrics, broker, known = Metrics(), broker_of(settings, kept_by_all), certificates_of(settings)
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
