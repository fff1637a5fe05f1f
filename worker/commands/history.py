"""`rotation-worker history`: past outcomes."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence

from worker.commands.arguments import positive
from worker.commands.exits import OK
from worker.commands.loading import log_level, settings_of
from worker.commands.material import certificate_named
from worker.commands.output import print_json, print_table
from worker.commands.reading import broker_to_read
from worker.commands.refusals import in_json
from worker.settings import Settings
from worker.telemetry import configure_logs


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("certificate", nargs="?", help="only this certificate's")
    parser.add_argument("--limit", type=positive, default=100, help="at most so many, the newest (default 100)")
    parser.epilog = "example: rotation-worker history shop --limit 10"


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    with in_json(args):
        settings = settings_of(args)
        events = asyncio.run(_read(settings, args.certificate, args.limit))
        if args.certificate is not None and not events:
            certificate_named(settings, args.certificate)
    if args.json:
        print_json(events)
    else:
        print_table(
            ("time", "certificate", "outcome", "reason", "serial", "seconds"),
            (_row(event) for event in events),
            empty="No outcome so far.",
        )
    return OK


async def _read(settings: Settings, certificate: str | None, limit: int) -> Sequence[Mapping[str, object]]:
    broker = broker_to_read(settings)
    try:
        return await broker.history(certificate, limit=limit)
    finally:
        await broker.close()


def _row(event: Mapping[str, object]) -> Sequence[object]:
    data = event.get("data")
    data = data if isinstance(data, Mapping) else {}
    leaf = data.get("leaf")
    serial = leaf.get("serial_number") if isinstance(leaf, Mapping) else None
    fields = ("certificate", "outcome", "reason")
    return (event.get("time"), *(data.get(name) for name in fields), serial, data.get("duration_seconds"))
