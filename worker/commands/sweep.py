"""`rotation-worker sweep`: one pass over the lineages on disk, and what is behind or has drifted put right at once."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.progress import Progress

from worker.app import rotator_of, sweeper_of, utc_now
from worker.broker.base import Broker, BrokerError, Message
from worker.broker.recall import Told
from worker.commands.exits import FAILED, OK
from worker.commands.loading import log_level, settings_of
from worker.commands.material import certificate_named
from worker.commands.output import print_json, print_table
from worker.commands.reading import broker_to_read
from worker.commands.refusals import in_json
from worker.settings import Settings, SettingsError
from worker.sweep import Finding, Sweeper
from worker.telemetry import Metrics, configure_logs

_AT_ONCE: Final = 8
_PATIENCE: Final = 10.0
"""Seconds for the broker to say whether a worker is at work."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("certificate", nargs="?", help="its name in the settings; all that have a lineage without it")


@dataclass(frozen=True, slots=True)
class Queue:
    """The broker, where there is one to be asked, and whether a worker is at work: then that one rotates, and alone."""

    broker: Broker | None
    is_served: bool

    async def past(self, certificate: str) -> Sequence[Mapping[str, object]]:
        return () if self.broker is None else await self.broker.history(certificate)


@dataclass(frozen=True, slots=True)
class Swept:
    """What was found of one certificate, and what came of putting it right."""

    finding: Finding
    ended: Told | None = None

    @property
    def is_good(self) -> bool:
        return self.finding.state != "failed" and (self.ended is None or self.ended.outcome != "failed")

    @property
    def outcome(self) -> str | None:
        return None if self.ended is None else self.ended.outcome

    @property
    def reason(self) -> str | None:
        failure = self.finding.failure
        if self.ended is not None:
            return self.ended.reason
        return None if failure is None else failure.reason


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    with in_json(args):
        settings = settings_of(args)
        names = _names(settings, args.certificate)
        swept = asyncio.run(_sweep(settings, names, is_shown=not args.json))
    if args.json:
        print_json([_described(one) for one in swept])
    else:
        rows = [(one.finding.certificate, one.finding.state, one.outcome, one.reason) for one in swept]
        print_table(("certificate", "found", "then", "reason"), rows, empty="No certificate has a lineage.")
    return OK if all(one.is_good for one in swept) else FAILED


def _names(settings: Settings, wanted: str | None) -> Sequence[str]:
    with_lineage = sorted(name for name, one in settings.certificates.items() if one.lineage is not None)
    if wanted is None:
        return with_lineage
    certificate_named(settings, wanted)
    if wanted not in with_lineage:
        raise SettingsError([f"certificates.{wanted}.lineage: missing, there is nothing on disk to compare with"])
    return [wanted]


async def _sweep(settings: Settings, names: Sequence[str], *, is_shown: bool) -> Sequence[Swept]:
    turns = asyncio.Semaphore(_AT_ONCE)
    progress = Progress(console=Console(stderr=True), disable=not (is_shown and sys.stderr.isatty()))
    with progress:
        bar = progress.add_task("sweep", total=len(names))
        async with (
            _queue_of(settings) as queue,
            rotator_of(settings, Metrics()) as rotator,
            asyncio.TaskGroup() as group,
        ):
            sweeper = sweeper_of(settings, rotator)

            async def one(name: str) -> Swept:
                async with turns:
                    swept = await _swept(sweeper, name, queue)
                progress.advance(bar)
                return swept

            tasks = [group.create_task(one(name)) for name in names]
    return [task.result() for task in tasks]


@asynccontextmanager
async def _queue_of(settings: Settings) -> AsyncIterator[Queue]:
    """Where nobody can be asked, no worker is at work: it would find out as well, and change nothing."""
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(_PATIENCE):
                broker = broker_to_read(settings)
                stack.push_async_callback(broker.close)
                is_served = await broker.is_served()
        except (BrokerError, TimeoutError):
            yield Queue(None, is_served=False)
        else:
            yield Queue(broker, is_served=is_served)


async def _carried_out(broker: Broker, renewal_id: str, message: Message) -> Told:
    """By the worker: however long it takes."""
    await broker.publish_own(message)
    while True:
        events = [event for event in await broker.history() if event.get("causationid") == renewal_id]
        if events and isinstance(data := events[0].get("data"), dict):
            return Told(str(data.get("outcome")), str(data.get("reason")))
        await asyncio.sleep(1)


async def _swept(sweeper: Sweeper, name: str, queue: Queue) -> Swept:
    finding = await sweeper.look_back(name, queue.past)
    if not finding.is_to_be_put_right:
        return Swept(finding)
    if queue.broker is not None and queue.is_served:
        return Swept(finding, await _carried_out(queue.broker, *sweeper.renewal(name, utc_now())))
    report = await sweeper.rotator.rotate(sweeper.certificates[name], finding.bundle)
    return Swept(finding, Told(report.outcome, report.reason))


def _described(one: Swept) -> dict[str, object]:
    failure = one.finding.failure
    return {
        "certificate": one.finding.certificate,
        "found": one.finding.state,
        "outcome": one.outcome,
        "reason": one.reason,
        "message": None if failure is None else failure.message,
    }
