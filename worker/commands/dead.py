"""`rotation-worker dead list` and `dead replay`: what was given up, and putting it back."""

import argparse
import asyncio
from collections.abc import Sequence

from worker.app import broker_of
from worker.broker.base import Broker, Dead
from worker.commands.exits import FAILED, OK
from worker.commands.loading import log_level, settings_of
from worker.commands.output import print_json, print_table
from worker.commands.refusals import in_json
from worker.settings import Settings
from worker.telemetry import configure_logs


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "replay"))
    parser.add_argument("ids", nargs="*", metavar="ID", help="replay: these (default: all)")
    parser.add_argument("--certificate", help="only this certificate's")


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    with in_json(args):
        return asyncio.run(_with_broker(settings_of(args), args))


async def _with_broker(settings: Settings, args: argparse.Namespace) -> int:
    broker = broker_of(settings)
    try:
        dead = [one for one in await broker.dead() if args.certificate in (None, one.certificate)]
        return await _replay(broker, dead, args) if args.action == "replay" else _list(dead, as_json=args.json)
    finally:
        await broker.close()


def _list(dead: Sequence[Dead], *, as_json: bool) -> int:
    if as_json:
        print_json([_described(one) for one in dead])
    else:
        print_table(
            ("id", "certificate", "renewal", "reason", "since"),
            ((one.id, one.certificate, one.renewal_id, one.reason, one.since) for one in dead),
            empty="Nothing was given up.",
        )
    return OK


def _described(dead: Dead) -> dict[str, object]:
    return {
        "id": dead.id,
        "certificate": dead.certificate,
        "renewal_id": dead.renewal_id,
        "reason": dead.reason,
        "since": dead.since,
    }


async def _replay(broker: Broker, dead: Sequence[Dead], args: argparse.Namespace) -> int:
    """Named ones by their own id or by their renewal's."""
    named = set(args.ids)
    chosen = [one for one in dead if not named or {one.id, one.renewal_id} & named]
    unknown = named - {one.id for one in chosen} - {str(one.renewal_id) for one in chosen}
    withheld = [one.id for one in chosen if one.is_withheld]
    replayed = await broker.replay([one.id for one in chosen if not one.is_withheld])
    if args.json:
        print_json({"replayed": list(replayed), "withheld": withheld, "unknown": sorted(unknown)})
    else:
        print(f"{len(replayed)} put back" + (f"; not found: {', '.join(sorted(unknown))}" if unknown else ""))
        for one in withheld:
            print(f"{one}: its body was not kept, because it may hold a key: publish the renewal anew")
    return FAILED if unknown or (named and withheld) else OK
