"""Is the limit reached, and never passed? One certificate with many domains, as the stand-in has counted."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import uvloop

from benchmarks.report import Row, at_most
from benchmarks.standin import running
from benchmarks.subject import Account, bundle_of, certificate, gateway, issue, rotated
from tests.support.virtual_time import VirtualLoop
from worker.cycles import spared
from worker.effort import Effort, current_effort, spending
from worker.limits import Limits, Window
from worker.sandbox.ca import Authority
from worker.telemetry import quiet_logs

_GROUP: Final = "limit"
_AT_MOST: Final = 1.05
_SLOW: Final = ((60, 60.0), (1000, 3600.0))
"""ByCloud's."""


@dataclass(frozen=True, slots=True)
class Case:
    """One certificate with so many domains, so many of them in a call."""

    calls_per_second: int
    chunk: int
    domains: int
    latency: float = 0.03
    concurrency: int = 16
    """Calls under way: 8 of 34 ms each would be 235 a second, which leaves nothing to catch up with."""
    loop: Callable[[], asyncio.AbstractEventLoop] | None = None

    @property
    def name(self) -> str:
        kind = "" if self.loop is None else ", uvloop"
        return (
            f"{self.calls_per_second}/s, chunk {self.chunk}, {self.latency * 1000:g} ms, {self.domains:,} domains{kind}"
        )


def run(*, quick: bool) -> list[Row]:
    quiet_logs()
    rows: list[Row] = []
    for case in _cases(quick=quick):
        rows += _measured(case)
    return rows + _both_windows(1200 if quick else 10_000)


def _cases(*, quick: bool) -> list[Case]:
    """At 20 calls/s and a domain a call, 10,000 domains take 500 seconds."""
    few, many = (400, 2000) if quick else (10_000, 10_000)
    uv = uvloop.new_event_loop
    return [
        Case(20, 1, few),
        Case(20, 20, many * (2 if quick else 1)),
        Case(200, 1, many),
        Case(200, 20, 10_000),
        Case(200, 1, many, loop=uv),
        Case(200, 1, many, latency=0.0, loop=uv),
        Case(200, 1, many, latency=0.0),
    ]


def _measured(case: Case) -> list[Row]:
    with running(latency=case.latency, domains=case.domains, limits=[(case.calls_per_second, 1.0)]) as standin:

        async def rotation() -> float:
            account = Account(((case.calls_per_second, 1.0),), case.chunk, case.concurrency)
            async with gateway(standin, account) as opened:
                bundle = bundle_of(issue(Authority.create()))
                with spared():  # as in the service when it has started
                    report, seconds = await rotated(opened, certificate("big", "big"), bundle)
            assert report.outcome == "succeeded", report.reason
            return seconds

        with asyncio.Runner(loop_factory=case.loop) as runner:
            seconds = runner.run(rotation())
        told = standin.report(1.0)
    calls, most = told["total"], told["most"]["1"]
    assert told["attached"] >= case.domains, "every domain is attached"
    ideal = calls / case.calls_per_second
    return [
        at_most(_GROUP, case.name, seconds / ideal, "of the ideal", _AT_MOST, f"{calls} calls in {seconds:.2f} s"),
        at_most(_GROUP, f"{case.name}: refused", told["refused"], "calls", 0),
        at_most(_GROUP, f"{case.name}: most in any second", most, "calls", case.calls_per_second),
    ]


def _both_windows(calls: int) -> list[Row]:
    """Two windows at once, in simulated time: 60 a minute and 1,000 an hour."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        came, seconds = runner.run(_simulated(calls))
    ideal = max(calls / limit * span for limit, span in _SLOW)
    name = "60/minute and 1,000/hour, simulated"
    note = f"{calls} calls in {seconds / 3600:.2f} h"
    rows = [at_most(_GROUP, name, seconds / ideal, "of the ideal", _AT_MOST, note)]
    for limit, span in _SLOW:
        rows.append(at_most(_GROUP, f"{name}: most in any {span:g} s", _most_within(came, span), "calls", limit))
    return rows


async def _simulated(calls: int) -> tuple[list[float], float]:
    """When calls came at the far end: each some way into its 30 ms."""
    limits, clock = Limits([Window(*one) for one in _SLOW], 8), asyncio.get_running_loop().time
    came: list[float] = []

    async def call(number: int) -> None:
        async with limits.slot() as turn:
            turn.sending()
            current_effort().calls += 1  # as the transport does: a long job is paced
            on_the_way = 0.03 * (number % 7) / 7
            await asyncio.sleep(on_the_way)
            came.append(clock())
            await asyncio.sleep(0.03 - on_the_way)

    with spending(Effort()):
        async with asyncio.TaskGroup() as group:
            for number in range(calls):
                group.create_task(call(number))
    return sorted(came), clock()


def _most_within(came: list[float], span: float) -> int:
    most, first = 0, 0
    for last, at in enumerate(came):
        while came[first] <= at - span:
            first += 1
        most = max(most, last - first + 1)
    return most
