"""What is measured of the broker, for those who watch its queues."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.support.clouds import QUICK, renewal, settings_for
from tests.support.judging import kept_by_all
from tests.support.ports import free_port
from worker.app import run
from worker.broker import broker_of
from worker.broker.base import BrokerState
from worker.limits import Used
from worker.sandbox import Sandbox
from worker.sandbox.ca import Authority
from worker.sandbox.world import Fault
from worker.telemetry import Metrics
from worker.web.server import GatewayState, Health

LONG_AGO: Final = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30)


async def test_what_is_parked_and_what_was_given_up_is_counted() -> None:
    async def state() -> BrokerState:
        return BrokerState(is_connected=True, is_active=True, parked=2, dead=3)

    request: Any = None
    page = (await Health(state, Metrics()).metrics_page(request)).body
    assert isinstance(page, bytes)
    assert {b"rotation_parked 2.0", b"rotation_dead 3.0"} <= set(page.splitlines())


@pytest.mark.parametrize(
    ("is_connected", "reasons"), [(True, ["draining"]), (False, ["the broker is not connected", "draining"])]
)
async def test_a_worker_that_drains_is_not_ready(*, is_connected: bool, reasons: list[str]) -> None:
    async def state() -> BrokerState:
        return BrokerState(is_connected=is_connected, is_active=True)

    stopping, request = asyncio.Event(), None
    health: Any = Health(state, Metrics(), is_stopping=stopping.is_set)
    assert (await health.readyz(request)).status == (200 if is_connected else 503)
    stopping.set()
    answer = await health.readyz(request)
    assert (answer.status, json.loads(answer.body)) == (503, {"status": "not ready", "reasons": reasons})


async def test_a_worker_that_cannot_read_the_history_is_not_ready() -> None:
    async def state() -> BrokerState:
        return BrokerState(is_connected=True, is_active=True, is_remembering=False)

    request: Any = None
    answer: Any = await Health(state, Metrics()).readyz(request)
    told = {"status": "not ready", "reasons": ["the history cannot be read"]}
    assert (answer.status, json.loads(answer.body)) == (503, told)


async def test_a_worker_that_is_told_to_stop_says_so_while_it_finishes_what_is_in_hand(tmp_path: Path) -> None:
    async with Sandbox() as sandbox, aiohttp.ClientSession() as session:
        world, authority, port = sandbox.world, Authority.create(), free_port()
        certificate_id = world.add_certificate(authority.issue(["a.example.com"], not_before=LONG_AGO), "shop")
        world.faults.append(Fault("show_certificate", "hang"))
        deployment = {"gateway": "apig", "certificate_id": certificate_id, "domains": "attached"}
        more = {"http": {"listen": f"127.0.0.1:{port}"}, "retry": {**QUICK, "drain_seconds": 2}}
        settings, stopping = settings_for(sandbox, authority, tmp_path, {"shop": [deployment]}, **more), asyncio.Event()
        worker, broker = asyncio.create_task(run(settings, stopping=stopping)), broker_of(settings, kept_by_all)
        await broker.publish_renewal(renewal(authority.issue(["a.example.com"])))
        while not world.calls("show_certificate"):
            await asyncio.sleep(0.02)
        stopping.set()
        async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            assert (answer.status, (await answer.json())["reasons"]) == (503, ["draining"])
        await worker
        await broker.close()


async def test_a_window_of_a_gateways_budget_is_told_as_long_as_it_is_there_and_never_left_out_in_between() -> None:
    gateways = {"apig": GatewayState(True, 0.0, budgets=[Used(1.0, 20, 7), Used(60.0, 100, 9)])}

    async def state() -> BrokerState:
        return BrokerState(is_connected=True, is_active=True)

    health, request = Health(state, Metrics(), lambda: gateways), None
    told = health.metrics.registry.get_sample_value
    await health.readyz(request)  # type: ignore[arg-type]
    kept = health.metrics.budget.labels("apig", "1", "window")
    gateways["apig"] = GatewayState(True, 0.0, budgets=[Used(1.0, 20, 8)])
    await health.readyz(request)  # type: ignore[arg-type]
    assert health.metrics.budget.labels("apig", "1", "window") is kept, "a scrape in its thread saw it all the time"
    windows = [{"gateway": "apig", "window_seconds": seconds, "source": "window"} for seconds in ("1", "60")]
    assert [told("rotation_gateway_budget_used_calls", one) for one in windows] == [8.0, None]
    assert [told("rotation_gateway_budget_calls", one) for one in windows] == [20.0, None]


async def test_a_gateway_that_is_held_is_named_with_the_seconds_that_are_left_and_is_no_reason() -> None:
    async def state() -> BrokerState:
        return BrokerState(is_connected=True, is_active=True)

    gateways = {"held": GatewayState(True, 3590.0, 3586.2), "free": GatewayState(True, 0.0)}
    health, request = Health(state, Metrics(), lambda: gateways), None
    answer: Any = await health.readyz(request)  # type: ignore[arg-type]
    assert answer.status == 200
    assert json.loads(answer.body) == {"status": "ready", "role": "consuming", "gateways_held": {"held": 3587}}
    told = health.metrics.registry.get_sample_value
    assert [told("rotation_gateway_held_seconds", {"gateway": name}) for name in gateways] == [3586.2, 0.0]
