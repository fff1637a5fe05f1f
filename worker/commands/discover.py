"""`rotation-worker discover`: what is stored and bound at a gateway, as settings ready to paste."""

import argparse
import asyncio
from collections.abc import Sequence

from worker.commands.exits import FAILED, OK
from worker.commands.loading import log_level, settings_of
from worker.commands.material import unknown
from worker.commands.next_steps import next_step
from worker.commands.output import print_json
from worker.commands.pasting import as_settings
from worker.commands.refusals import complain, in_json
from worker.core.errors import RotationError
from worker.gateways.base import Discovered
from worker.generations import gateways_of
from worker.settings import Settings
from worker.telemetry import Metrics, configure_logs


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("gateway", help="its name in the settings")
    parser.epilog = "example: rotation-worker discover apig-main --config /etc/rotation-worker/worker.toml"


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    try:
        with in_json(args):
            settings = settings_of(args)
            _gateway_named(settings, args.gateway)
            found = asyncio.run(_discover(settings, args.gateway))
    except RotationError as error:
        complain([f"{args.gateway}: {error.reason}: {error.message}"], next_step(error))
        return FAILED
    if args.json:
        print_json([_described(one) for one in found])
    else:
        print("\n".join(as_settings(settings, args.gateway, found)))
    return OK


def _gateway_named(settings: Settings, name: str) -> None:
    if name not in settings.gateways:
        raise unknown("gateways", name, settings.gateways)


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
        "has_client_ca": bool(stored.has_trusted_root_ca),
        "bindings": [
            {"kind": one.kind, "name": one.name, "instance_id": one.instance_id, "sni": one.sni}
            for one in found.bindings
        ],
    }
