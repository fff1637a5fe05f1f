"""`rotation-worker discover`: what is stored and bound at a gateway, as settings ready to paste."""

import argparse
import asyncio
import json
from collections.abc import Sequence

from worker.app import gateways_of
from worker.commands.exits import FAILED, OK, WRONG_SETTINGS
from worker.commands.loading import log_level, settings_of
from worker.commands.output import print_json
from worker.core.deployment import Binding
from worker.core.errors import RotationError
from worker.gateways.base import Discovered
from worker.settings import Settings
from worker.telemetry import Metrics, configure_logs


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("gateway", help="its name in the settings")


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    settings = settings_of(args)
    if args.gateway not in settings.gateways:
        print(f"The settings have no gateway of that name; they have: {', '.join(sorted(settings.gateways)) or 'none'}")
        return WRONG_SETTINGS
    try:
        found = asyncio.run(_discover(settings, args.gateway))
    except RotationError as error:
        print(f"{args.gateway}: {error.reason}: {error.message}")
        return FAILED
    if args.json:
        print_json([_described(one) for one in found])
    else:
        print("\n".join(_as_settings(args.gateway, settings.gateways[args.gateway].kind, one) for one in found))
    return OK


async def _discover(settings: Settings, gateway: str) -> Sequence[Discovered]:
    async with gateways_of(settings, Metrics()) as gateways:
        return await gateways[gateway].discover()


def _described(found: Discovered) -> dict[str, object]:
    stored = found.stored
    return {
        "certificate_id": stored.certificate_id,
        "name": stored.name,
        "not_after": None if stored.not_after is None else stored.not_after.isoformat(),
        "bindings": [
            {"kind": one.kind, "name": one.name, "instance_id": one.instance_id, "sni": one.sni}
            for one in found.bindings
        ],
    }


def _as_settings(gateway: str, kind: str, found: Discovered) -> str:
    stored = found.stored
    lines = [
        f"# {stored.name}, expires {stored.not_after or 'unknown'}, bound {len(found.bindings)} times",
        f"[certificates.{json.dumps(stored.name)}]",
        'producers = ["CHANGE-ME"]',
        f"[[certificates.{json.dumps(stored.name)}.deployments]]",
        f"gateway = {json.dumps(gateway)}",
        f"certificate_id = {json.dumps(stored.certificate_id)}",
    ]
    if kind == "huawei_apig":
        names = ", ".join(sorted({one.name for one in found.bindings})) or "nothing"
        lines += [f'domains = "attached"   # now: {names}']
    else:
        lines += ['strategy = "rebind"', f"listeners = [{', '.join(_listener(one) for one in found.bindings)}]"]
    return "\n".join([*lines, ""])


def _listener(binding: Binding) -> str:
    return f'{{id = "{binding.name}", sni = {str(binding.sni).lower()}}}'
