"""`rotation-worker dead list` and `dead replay`: what was given up, and putting it back."""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

from worker.broker.base import EXPOSED, Broker, Dead, Message
from worker.commands.exits import FAILED, OK
from worker.commands.loading import log_level, settings_of
from worker.commands.material import certificate_named
from worker.commands.output import print_json, print_table, shown
from worker.commands.reading import broker_to_read
from worker.commands.refusals import in_json
from worker.core.events import rfc3339
from worker.settings import Settings
from worker.telemetry import configure_logs
from worker.trust.keeping import looked_at
from worker.trust.opening import TrustPolicy

_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "replay"))
    parser.add_argument("ids", nargs="*", default=(), metavar="ID", help="only these (default: all)")
    parser.add_argument("--certificate", help="only this certificate's")


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    with in_json(args):
        return asyncio.run(_with_broker(settings_of(args), args))


async def _with_broker(settings: Settings, args: argparse.Namespace) -> int:
    broker = broker_to_read(settings)
    try:
        await broker.shield(partial(_exposes, settings))
        dead = sorted((one for one in await broker.dead() if args.certificate in (None, one.certificate)), key=_age)
        if args.certificate is not None and not dead:
            certificate_named(settings, args.certificate)
        return await _replay(broker, dead, args) if args.action == "replay" else _list(dead, args)
    finally:
        await broker.close()


def _exposes(settings: Settings, message: Message) -> bool | None:
    """The worker's own rule, for what no worker has seen."""
    look = looked_at(message, TrustPolicy({}, allow_plain_keys=settings.trust.allow_plain_keys))
    return None if look.may_keep else look.is_exposed


def _age(dead: Dead) -> datetime:
    return dead.since or _BEGINNING


def _chosen(dead: Sequence[Dead], args: argparse.Namespace) -> tuple[Sequence[Dead], Sequence[str]]:
    """Those named by their own id or by their renewal's, or all; and the names that none of them has."""
    named = set(args.ids)
    chosen = [one for one in dead if not named or {one.id, one.renewal_id} & named]
    return chosen, sorted(named - {one.id for one in chosen} - {str(one.renewal_id) for one in chosen})


def _list(dead: Sequence[Dead], args: argparse.Namespace) -> int:
    chosen, unknown = _chosen(dead, args)
    if args.json:
        print_json([_described(one) for one in chosen])
    else:
        print_table(
            ("id", "certificate", "renewal", "reason", "since", "warning"),
            (_described(one).values() for one in chosen),
            empty="Nothing was given up.",
        )
    if unknown:
        sys.stderr.write(f"rotation-worker: not found: {', '.join(map(shown, unknown))}\n")
    return FAILED if unknown else OK


def _described(dead: Dead) -> Mapping[str, object]:
    return {
        "id": dead.id,
        "certificate": dead.certificate,
        "renewal_id": dead.renewal_id,
        "reason": dead.reason,
        "since": None if dead.since is None else rfc3339(dead.since),
        "warning": EXPOSED if dead.is_exposed else None,
    }


async def _replay(broker: Broker, dead: Sequence[Dead], args: argparse.Namespace) -> int:
    chosen, unknown = _chosen(dead, args)
    withheld = [one.id for one in chosen if one.is_withheld]
    replayed = await broker.replay([one.id for one in chosen if not one.is_withheld])
    if args.json:
        print_json({"replayed": list(replayed), "withheld": withheld, "unknown": unknown})
    else:
        print(f"{len(replayed)} put back" + (f"; not found: {', '.join(map(shown, unknown))}" if unknown else ""))
        for one in withheld:
            print(f"{one}: its body was not kept, because it may hold a key: publish the renewal anew")
    return FAILED if unknown or (args.ids and withheld) else OK
