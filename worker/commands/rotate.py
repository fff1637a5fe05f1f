"""`rotation-worker rotate`: one rotation here and now, without a broker."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from worker.beside import beside
from worker.building import certificates_of, intake_of, rotator_of, utc_now
from worker.commands.exits import FAILED, OK, TRY_AGAIN
from worker.commands.loading import log_level, settings_of
from worker.commands.material import Material, add_material, certificate_named, material_of_lineage, named_material
from worker.commands.output import print_json, remaining, shown
from worker.commands.refusals import in_json
from worker.core.deployment import Certificate, Deployment
from worker.core.errors import Failure, RotationError
from worker.core.events import outcome_data, rfc3339
from worker.core.outcome import BindingResult, Report, Timing
from worker.core.window import is_open, opens_at
from worker.forecast import Work
from worker.settings import Settings
from worker.telemetry import Metrics, configure_logs

_BETWEEN_ESTIMATES: Final = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("certificate", help="its name in the settings")
    add_material(parser, is_required=False)


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    with in_json(args):
        settings = settings_of(args)
        certificate_named(settings, args.certificate)
        named, started_at = named_material(args), utc_now()
        _say_whether_outside(certificates_of(settings)[args.certificate], started_at)
        report = asyncio.run(_rotate(settings, args, named))
    if args.json:
        print_json(_described(report, args.certificate, started_at))
    else:
        _print(args.certificate, report)
    return _status(report)


def _say_whether_outside(certificate: Certificate, now: datetime) -> None:
    """Whoever asks for it here wants it now."""
    windows = certificate.schedule.windows
    if windows and not is_open(windows, now):
        opens = rfc3339(opens_at(windows, now))
        sys.stderr.write(f"rotation-worker: {certificate.name}: outside its window, which opens at {opens}: goes on\n")


async def _rotate(settings: Settings, args: argparse.Namespace, named: Material | None) -> Report:
    async with _bars(is_shown=not args.json) as bars:
        try:
            material = named or material_of_lineage(settings, args.certificate)
            bundle = None if material is None else await intake_of(settings).checked(*material)
            async with rotator_of(settings, Metrics(), bars) as rotator:
                return await rotator.rotate(certificates_of(settings)[args.certificate], bundle)
        except RotationError as error:
            return Report.refused(Failure.of(error))


@dataclass(frozen=True, slots=True)
class _Bars:
    """One bar a deployment."""

    progress: Progress
    tasks: dict[str, tuple[TaskID, Work]]

    def planned(self, deployment: Deployment, work: Work) -> None:
        task = self.progress.add_task(deployment.gateway, total=work.bindings, left=remaining(work.seconds_left()))
        self.tasks[deployment.key] = task, work

    def bound(self, deployment: Deployment, result: BindingResult) -> None:
        task, _ = self.tasks[deployment.key]
        self.progress.advance(task, -1 if result.state == "rolled_back" else 1)

    async def keep_estimating(self) -> None:
        """Time passes while nothing is bound, too. A task, because limits are known to their loop's thread alone."""
        while True:
            await asyncio.sleep(_BETWEEN_ESTIMATES)
            for task, work in self.tasks.values():
                self.progress.update(task, left=remaining(work.seconds_left()) if work in work.beside else "")


@asynccontextmanager
async def _bars(*, is_shown: bool) -> AsyncIterator[_Bars]:
    """On a terminal only; nothing elsewhere."""
    is_shown = is_shown and sys.stderr.isatty()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=console, disable=not is_shown) as progress:
        bars = _Bars(progress, {})
        async with beside(bars.keep_estimating()):
            yield bars


def _described(report: Report, certificate: str, started_at: datetime) -> object:
    finished_at = utc_now()
    timing = Timing(started_at, finished_at, (finished_at - started_at).total_seconds())
    return outcome_data(report, None, certificate, timing).model_dump(mode="json")


def _print(certificate: str, report: Report) -> None:
    print(f"{certificate}: {report.outcome} ({report.reason}), {report.gateway_calls} gateway calls")
    for warning in report.warnings:
        print(f"  warning: {warning}")
    if report.failure is not None:
        print(shown(f"  {report.failure.message}"))
    for deployment in report.deployments:
        print(f"  {deployment.deployment.gateway}: {deployment.outcome} ({deployment.reason})")
        for result in deployment.bindings:
            told = "" if result.failure is None else f": {result.failure.reason}: {result.failure.message}"
            print(shown(f"    {result.binding.name}: {result.state}{told}"))


def _status(report: Report) -> int:
    if report.outcome != "failed":
        return OK
    return TRY_AGAIN if any(failure.transient for failure in report.failures) else FAILED
