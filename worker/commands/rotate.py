"""`rotation-worker rotate`: one rotation here and now, without a broker."""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from worker.building import certificates_of, intake_of
from worker.commands.exits import FAILED, OK, TRY_AGAIN
from worker.commands.loading import log_level, settings_of
from worker.commands.material import Material, add_material, certificate_named, material_of_lineage, named_material
from worker.commands.next_steps import next_step_after
from worker.commands.output import print_json, shown
from worker.commands.progress import Part, Shown, progress
from worker.commands.refusals import in_json, say_next
from worker.core.deployment import Certificate, Deployment
from worker.core.errors import Failure, RotationError
from worker.core.events import outcome_data, rfc3339
from worker.core.outcome import BindingResult, Report, Timing
from worker.core.window import is_open, opens_at
from worker.forecast import Work
from worker.generations import rotator_of
from worker.settings import Settings
from worker.telemetry import Metrics, configure_logs
from worker.wall_clock import utc_now

_MOST_LINES: Final = 20


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("certificate", help="its name in the settings")
    add_material(parser, is_required=False)
    parser.epilog = "example: rotation-worker rotate shop --chain fullchain.pem --key privkey.pem"


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    with in_json(args):
        settings = settings_of(args)
        certificate_named(settings, args.certificate)
        named, started_at = named_material(args), utc_now()
        _say_whether_outside(certificates_of(settings)[args.certificate], started_at)
        report = asyncio.run(_rotate(settings, args, named))
    what_next = _what_next(report)
    if args.json:
        described = _described(report, args.certificate, started_at)
        print_json(described if what_next is None else {**described, "next": what_next})
    else:
        _print(args.certificate, report)
    if what_next is not None:
        say_next(what_next)
    return _status(report)


def _what_next(report: Report) -> str | None:
    """By what failed first; None where nothing did."""
    if report.outcome != "failed":
        return None
    return next_step_after(next((failure.reason for failure in report.failures), report.reason))


def _say_whether_outside(certificate: Certificate, now: datetime) -> None:
    """Whoever asks for it here wants it now."""
    windows = certificate.schedule.windows
    if windows and not is_open(windows, now):
        opens = rfc3339(opens_at(windows, now))
        sys.stderr.write(f"rotation-worker: {certificate.name}: outside its window, which opens at {opens}: goes on\n")


async def _rotate(settings: Settings, args: argparse.Namespace, named: Material | None) -> Report:
    async with progress() as shown_progress:
        try:
            material = named or material_of_lineage(settings, args.certificate)
            bundle = None if material is None else await intake_of(settings).checked(*material)
            async with rotator_of(settings, Metrics(), _Watching(shown_progress)) as rotator:
                return await rotator.rotate(certificates_of(settings)[args.certificate], bundle)
        except RotationError as error:
            return Report.refused(Failure.of(error))


@dataclass(frozen=True, slots=True)
class _Watching:
    """One part a deployment, and another one for what goes back there."""

    shown: Shown
    parts: dict[str, Part] = field(default_factory=dict)

    def planned(self, deployment: Deployment, work: Work) -> None:
        way = ", back" if work.goes_back else ""
        name = f"{deployment.gateway} ({deployment.strategy}){way}"
        self.parts[deployment.key] = self.shown.part(name, work.bindings, lambda _part: _seconds_left(work))

    def bound(self, deployment: Deployment, result: BindingResult) -> None:
        self.parts[deployment.key].ended(result.state.replace("_", " "))


def _seconds_left(work: Work) -> float | None:
    """None once it is over."""
    return work.seconds_left() if work in work.beside else None


def _described(report: Report, certificate: str, started_at: datetime) -> dict[str, object]:
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
        counts = Counter(result.state for result in deployment.bindings)
        summed = "".join(f", {count:,} {state.replace('_', ' ')}" for state, count in counts.items())
        print(f"  {deployment.deployment.gateway}: {deployment.outcome} ({deployment.reason}){summed}")
        for result in _worth_a_line(deployment.bindings):
            told = "" if result.failure is None else f": {result.failure.reason}: {result.failure.message}"
            print(shown(f"    {result.binding.name}: {result.state}{told}"))


def _worth_a_line(results: Sequence[BindingResult]) -> Sequence[BindingResult]:
    """Few are named one by one; of many, those with which something is wrong."""
    if len(results) <= _MOST_LINES:
        return results
    return [one for one in results if one.failure is not None or one.state == "rolled_back"]


def _status(report: Report) -> int:
    if report.outcome != "failed":
        return OK
    return TRY_AGAIN if any(failure.transient for failure in report.failures) else FAILED
