"""`rotation-worker sweep`: one pass over the lineages on disk, and what is behind or has drifted put right at once."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.progress import Progress

from worker.app import rotator_of, sweeper_of
from worker.commands.exits import FAILED, OK
from worker.commands.loading import log_level, settings_of
from worker.commands.material import certificate_named
from worker.commands.output import print_json, print_table
from worker.commands.refusals import in_json
from worker.core.outcome import Report
from worker.settings import Settings, SettingsError
from worker.sweep import Finding, Sweeper
from worker.telemetry import Metrics, configure_logs

_AT_ONCE: Final = 8


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("certificate", nargs="?", help="its name in the settings; all that have a lineage without it")


@dataclass(frozen=True, slots=True)
class Swept:
    """What was found of one certificate, and what came of putting it right."""

    finding: Finding
    report: Report | None = None

    @property
    def is_good(self) -> bool:
        return self.finding.state != "failed" and (self.report is None or self.report.outcome != "failed")

    @property
    def reason(self) -> str | None:
        failure = self.finding.failure
        if self.report is not None:
            return self.report.reason
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
        rows = [(one.finding.certificate, one.finding.state, _ended(one), one.reason) for one in swept]
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
        async with rotator_of(settings, Metrics()) as rotator, asyncio.TaskGroup() as group:
            sweeper = sweeper_of(settings, rotator)

            async def one(name: str) -> Swept:
                async with turns:
                    swept = await _swept(sweeper, name)
                progress.advance(bar)
                return swept

            tasks = [group.create_task(one(name)) for name in names]
    return [task.result() for task in tasks]


async def _swept(sweeper: Sweeper, name: str) -> Swept:
    finding = await sweeper.look(name)
    if not finding.is_to_be_put_right:
        return Swept(finding)
    return Swept(finding, await sweeper.rotator.rotate(sweeper.certificates[name], finding.bundle))


def _ended(one: Swept) -> str | None:
    return None if one.report is None else one.report.outcome


def _described(one: Swept) -> dict[str, object]:
    failure = one.finding.failure
    return {
        "certificate": one.finding.certificate,
        "found": one.finding.state,
        "outcome": _ended(one),
        "reason": one.reason,
        "message": None if failure is None else failure.message,
    }
