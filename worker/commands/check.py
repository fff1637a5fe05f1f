"""`rotation-worker check`: settings, broker rights and gateway credentials, each named."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, dataclass

from worker.app import broker_of, certificates_of, gateways_of, intake_of
from worker.broker.base import BrokerError
from worker.commands.exits import OK, WRONG_SETTINGS
from worker.commands.loading import log_level, settings_of
from worker.commands.output import print_json, shown
from worker.commands.refusals import in_json
from worker.core.errors import RotationError
from worker.settings import Settings, SettingsError
from worker.settings.loading import check_secret_files
from worker.settings.resolve import broker_url
from worker.telemetry import Metrics, configure_logs


def configure(_parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the checklist."""

    what: str
    is_good: bool
    message: str = ""


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    with in_json(args):
        findings = _findings(args)
    if args.json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark, told = "✓" if finding.is_good else "✗", finding.message and f": {finding.message}"
            print(shown(f"{mark} {finding.what}{told}"))
    return OK if all(finding.is_good for finding in findings) else WRONG_SETTINGS


def _findings(args: argparse.Namespace) -> Sequence[Finding]:
    try:
        settings = settings_of(args)
        check_secret_files(settings)
        certificates_of(settings)
        intake_of(settings)
        broker_url(settings.broker)
    except SettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"rotation-worker: {problem}\n")
        return [Finding("settings", is_good=False, message=problem) for problem in error.problems]
    return [Finding("settings", is_good=True), *asyncio.run(_outside(settings))]


async def _outside(settings: Settings) -> Sequence[Finding]:
    broker = broker_of(settings)
    try:
        findings = [await _tried("broker", broker.declare())]
    finally:
        await broker.close()
    async with gateways_of(settings, Metrics()) as gateways:
        findings += [await _tried(f"gateway {name}", gateway.check()) for name, gateway in gateways.items()]
    return findings


async def _tried(what: str, attempt: Awaitable[None]) -> Finding:
    try:
        await attempt
    except RotationError as error:
        return Finding(what, is_good=False, message=f"{error.reason}: {error.message}")
    except BrokerError as error:
        return Finding(what, is_good=False, message=str(error))
    return Finding(what, is_good=True)
