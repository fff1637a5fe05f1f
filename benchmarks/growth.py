"""How the cost of a rotation grows with its domains: time, calls, memory; without a limit that is felt.

Compared is processor time, which a busy machine does not change much; the time by the clock is told beside it.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.report import Row, at_most
from benchmarks.standin import Standin, running
from benchmarks.subject import Account, bundle_of, certificate, gateway, issue, memory, rotated
from worker.cycles import spared
from worker.sandbox.ca import Authority
from worker.telemetry import quiet_logs

_GROUP: Final = "growth"
_SIZES: Final = (10, 100, 1_000, 10_000)
_MEASURE: Final = 100
_NOISE: Final = 1.1
"""Linear, but for what a busy machine adds."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one rotation: medians; megabytes beyond what the process held before."""

    domains: int
    seconds: float
    processor: float
    calls: int
    megabytes: float


def run(*, quick: bool) -> list[Row]:
    rows: list[Row] = []
    for chunk in (20, 1):
        with running() as standin:
            costs = [_in_a_child(standin, chunk, size, 3 if quick else 7) for size in _SIZES]
        rows += _compared(chunk, costs)
    return rows


def _in_a_child(standin: Standin, chunk: int, domains: int, rounds: int) -> Cost:
    """A process of its own for each size: a process tells only the most that it ever held."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_cost, standin, chunk, domains, rounds).result()


def _cost(standin: Standin, chunk: int, domains: int, rounds: int) -> Cost:
    quiet_logs()
    return asyncio.run(_measured(standin, chunk, domains, rounds))


async def _measured(standin: Standin, chunk: int, domains: int, rounds: int) -> Cost:
    bundle, calls = bundle_of(issue(Authority.create())), 0
    seconds, processor = [], []
    async with gateway(standin, Account(chunk=chunk)) as opened:
        await rotated(opened, certificate("first", f"d10-first-{domains}"), bundle)
        with spared():  # as in the service when it has started
            before, _ = memory()
            for number in range(rounds):
                one = certificate(f"c{number}", f"d{domains}-{chunk}-{number}")
                began = time.process_time()
                report, spent = await rotated(opened, one, bundle)
                assert report.outcome == "succeeded", report.reason
                processor.append(time.process_time() - began)
                seconds.append(spent)
                calls = report.gateway_calls
    return Cost(domains, median(seconds), median(processor), calls, memory()[1] - before)


def _compared(chunk: int, costs: Sequence[Cost]) -> list[Row]:
    """Each size's cost of a domain, as a multiple of that at 100."""
    measure = next(one for one in costs if one.domains == _MEASURE)
    rows: list[Row] = []
    for one in costs:
        name = f"{one.domains:,} domains, chunk {chunk}"
        times = f"{one.processor * 1000:.1f} ms, {one.seconds * 1000:.1f} by the clock"
        note = f"{times}, {one.calls} calls, {one.megabytes:.1f} MB more"
        ratio = (one.processor / one.domains) / (measure.processor / measure.domains)
        if one.domains > _MEASURE:
            rows.append(at_most(_GROUP, name, ratio, f"of a domain's time at {_MEASURE}", _NOISE, note))
        else:
            rows.append(Row(_GROUP, name, ratio, f"of a domain's time at {_MEASURE}", note=note))
    longest = costs[-1]
    rows.append(Row(_GROUP, f"memory a domain, chunk {chunk}", longest.megabytes * 1024 / longest.domains, "KB"))
    return rows
