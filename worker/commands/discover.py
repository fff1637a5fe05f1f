"""`rotation-worker discover`: what is stored and bound at a gateway, as settings ready to paste."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from worker.building import gateways_of
from worker.commands.exits import FAILED, OK
from worker.commands.loading import log_level, settings_of
from worker.commands.output import listed, print_json, shown
from worker.commands.pasting import as_settings
from worker.commands.refusals import in_json
from worker.core.errors import RotationError
from worker.gateways.base import Discovered
from worker.settings import Settings, SettingsError
from worker.telemetry import Metrics, configure_logs


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("gateway", help="its name in the settings")


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    try:
        with in_json(args):
            settings = settings_of(args)
            _gateway_named(settings, args.gateway)
            found = asyncio.run(_discover(settings, args.gateway))
    except RotationError as error:
        if not args.json:
            sys.stderr.write(shown(f"rotation-worker: {args.gateway}: {error.reason}: {error.message}") + "\n")
        return FAILED
    if args.json:
        print_json([_described(one) for one in found])
    else:
        print("\n".join(as_settings(settings, args.gateway, found)))
    return OK


def _gateway_named(settings: Settings, name: str) -> None:
    if name not in settings.gateways:
        raise SettingsError([f"gateways: none of the name that was asked for; there are: {listed(settings.gateways)}"])


async def _discover(settings: Settings, gateway: str) -> Sequence[Discovered]:
    async with gateways_of(settings, Metrics()) as gateways:
        return await gateways[gateway].discover()


def _described(found: Discovered) -> dict[str, object]:
    stored = found.stored
    return {
        "certificate_id": stored.certificate_id,
        "name": stored.name,
        "not_after": None if stored.not_after is None else stored.not_after.isoformat(),
        "is_uploaded": found.is_uploaded,
        "has_client_ca": stored.has_trusted_root_ca,
        "bindings": [
            {"kind": one.kind, "name": one.name, "instance_id": one.instance_id, "sni": one.sni}
            for one in found.bindings
        ],
    }
