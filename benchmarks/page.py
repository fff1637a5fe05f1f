"""What the status page of a large fleet costs: opened, searched, and kept open by as many as may while things move."""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from statistics import median, quantiles
from typing import Any, Final, TypeVar

import aiohttp

from benchmarks.lag import loop_lags
from benchmarks.report import Row, at_most
from benchmarks.subject import NAME, certificate
from worker.broker.base import BrokerState
from worker.core.deployment import Certificate
from worker.core.events import rfc3339
from worker.cycles import spared
from worker.fleet.model import FleetInputs, FleetModel
from worker.fleet.progress import RunningRotations
from worker.settings.http import Http
from worker.telemetry import Metrics, quiet_logs
from worker.web.live import MOST_READERS
from worker.web.server import Health, serving

_GROUP: Final = "page"
_MANY: Final = 10_000
_A_SECOND: Final = 20
"""Outcomes."""
_AT_MOST: Final = 50.0
_TIMES: Final = 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kept:
    """What it took to keep so many pages open."""

    lags: Sequence[float]
    share: float
    """Of one processor."""
    events: int
    megabytes: float


def run(*, quick: bool) -> list[Row]:
    quiet_logs()
    return asyncio.run(_measured(_MANY // 10 if quick else _MANY, 5.0 if quick else 30.0))


async def _measured(many: int, seconds: float) -> list[Row]:
    model = _model(many)
    rows: list[Row] = []
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        elsewhere = partial(_elsewhere, pool)
        async with serving(Health(_state, Metrics()), Http(listen="127.0.0.1:0"), model) as port:
            await elsewhere(_opened, port, "/livez", 1)
            with spared():
                for name, path in (("opened", "/"), ("searched", "/?q=shop-0123")):
                    rows += await _rows(elsewhere, many, name, port, path)
                alone = await _kept_open(elsewhere, model, port, 0, seconds / 3)
                kept = await _kept_open(elsewhere, model, port, MOST_READERS, seconds)
    p99 = quantiles(kept.lags, n=100)[98] * 1000
    name, note = f"{MOST_READERS} pages of {many:,} open", f"{_A_SECOND} outcomes a second; {kept.events} news"
    return [
        *rows,
        at_most(_GROUP, f"{name}: the loop's lag, p99", p99, "ms", _AT_MOST, note),
        Row(_GROUP, f"{name}: the loop's lag, most", max(kept.lags) * 1000, "ms"),
        Row(_GROUP, f"{name}: of a processor", kept.share * 100, "%", note=f"{alone.share:.0%} without a reader"),
        Row(_GROUP, f"{name}: sent", kept.megabytes / seconds, "MB/s"),
    ]


async def _rows(
    elsewhere: Callable[..., Awaitable[Sequence[float]]], many: int, name: str, port: int, path: str
) -> Sequence[Row]:
    async with loop_lags() as lags:
        [first] = await elsewhere(_opened, port, path, 1)
    again = median(await elsewhere(_opened, port, path, _TIMES))
    of = f"{many:,} certificates {name}"
    return [
        at_most(_GROUP, f"{of} the first time", first * 1000, "ms", 1000),
        at_most(_GROUP, f"{of} again", again * 1000, "ms", 1000, f"median of {_TIMES}"),
        at_most(_GROUP, f"{of} the first time: the loop's lag, most", max(lags) * 1000, "ms", _AT_MOST),
    ]


async def _elsewhere(pool: ProcessPoolExecutor, work: Callable[..., T], *arguments: object) -> T:
    """In another process, which is no part of what is measured."""
    return await asyncio.get_running_loop().run_in_executor(pool, partial(work, *arguments))


def _opened(port: int, path: str, times: int) -> list[float]:
    """Seconds until all of it was there."""
    took = []
    for _ in range(times):
        began, connection = time.monotonic(), HTTPConnection("127.0.0.1", port)
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        connection.close()
        took.append(time.monotonic() - began)
    return took


async def _kept_open(
    elsewhere: Callable[..., Awaitable[Any]], model: FleetModel, port: int, readers: int, seconds: float
) -> Kept:
    async with _moving(model), loop_lags() as lags:
        began = time.process_time()
        events, size = await elsewhere(_followed, port, readers, seconds)
        share = (time.process_time() - began) / seconds
    return Kept(lags, share, events, size / 1e6)


@asynccontextmanager
async def _moving(model: FleetModel) -> AsyncIterator[None]:
    """Something ends all the time."""

    async def move() -> None:
        names = list(model.certificates)
        for number in range(1_000_000):
            name = names[number * 7919 % len(names)]
            model.recall(_event(name, f"moved-{number}", datetime.now(UTC)))
            await asyncio.sleep(1 / _A_SECOND)

    task = asyncio.create_task(move())
    try:
        yield
    finally:
        task.cancel()


def _followed(port: int, readers: int, seconds: float) -> tuple[int, int]:
    """How many events came, and how many bytes."""
    return asyncio.run(_follow(port, readers, seconds))


async def _follow(port: int, readers: int, seconds: float) -> tuple[int, int]:
    told: list[bytes] = []

    async def read(session: aiohttp.ClientSession) -> None:
        async with session.get(f"http://127.0.0.1:{port}/live") as answer:
            while piece := await answer.content.readany():
                told.append(piece)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        tasks = [asyncio.create_task(read(session)) for _ in range(readers)]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return sum(piece.count(b"event: ") for piece in told), sum(map(len, told))


def _model(many: int) -> FleetModel:
    """As a worker has it that has read the history."""
    known = {name: _certificate(name) for name in (f"shop-{number:05d}" for number in range(many))}
    progress = RunningRotations(known, lambda: datetime.now(UTC))
    model = FleetModel(known, progress, FleetInputs(_state, _no_letters, tuple, lambda: False, progress.now))
    for number, name in enumerate(known):
        model.recall(_event(name, f"told-{number}", datetime.now(UTC) - timedelta(minutes=number)))
    model.end_of_history()
    return model


def _certificate(name: str) -> Certificate:
    entry = certificate(name, f"id-{name}")
    two = replace(entry.deployments[0], certificate_id=f"another-{name}")
    return replace(entry, deployments=(*entry.deployments, two))


def _event(name: str, renewal_id: str, at: datetime) -> Mapping[str, object]:
    leaf = {"serial_number": str(hash(renewal_id) % 2**63), "not_before": rfc3339(at - timedelta(hours=1))}
    counts = {"total": 20, "attached": 20, "unchanged": 0, "failed": 0, "rolled_back": 0}
    ends = rfc3339(at + timedelta(days=90))
    data = {
        "outcome": "succeeded",
        "reason": "rotated",
        "renewal_id": renewal_id,
        "renewed_at": rfc3339(at - timedelta(seconds=9)),
        "duration_seconds": 4.5,
        "gateway_calls": 14,
        "leaf": {**leaf, "not_after": ends},
        "deployments": [
            {"gateway": NAME, "certificate_id": one, "strategy": "in_place", "outcome": "succeeded", "bindings": counts}
            for one in (f"id-{name}", f"another-{name}")
        ],
    }
    return {"id": renewal_id, "subject": name, "time": rfc3339(at), "data": data}


async def _state() -> BrokerState:
    return BrokerState(is_connected=True, is_active=True)


async def _no_letters() -> Sequence[Any]:
    return ()
