"""`rotation-worker dead list`, `dead replay` and `dead drop`: what was given up, putting it back, or away for good."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from worker.awaiting import Awaited
from worker.beside import beside
from worker.broker.base import EXPOSED, Broker, BrokerError, Dead
from worker.broker.facts import Told
from worker.commands.arguments import seconds
from worker.commands.exits import FAILED, OK, WRONG_USE
from worker.commands.loading import log_level, settings_of
from worker.commands.material import certificate_named
from worker.commands.next_steps import next_step_after
from worker.commands.output import print_json, print_table, shown
from worker.commands.progress import Shown, progress
from worker.commands.reading import broker_to_read
from worker.commands.refusals import complain, in_json, refused, say_next
from worker.core.events import rfc3339
from worker.core.past import moment
from worker.settings import Settings
from worker.settlement import Identity
from worker.shielding import judge_of
from worker.telemetry import configure_logs

_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
_UNKNOWN: Final = Told("unknown", "not_told")
_WHICH: Final = "`rotation-worker dead list` shows which there are"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "replay", "drop"))
    parser.add_argument("ids", nargs="*", default=(), metavar="ID", help="only these (default: all; of drop: none)")
    parser.add_argument("--certificate", help="only this certificate's")
    parser.add_argument(
        "--wait", type=seconds, help="of replay: seconds to wait for what becomes of each (default: it does not wait)"
    )
    parser.epilog = "example: rotation-worker dead replay --certificate shop --wait 600"


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    if args.action == "drop" and not args.ids:
        return refused(args, WRONG_USE, "usage", "dead drop: name the ids of what is to be dropped", _WHICH)
    with in_json(args):
        return asyncio.run(_with_broker(settings_of(args), args))


async def _with_broker(settings: Settings, args: argparse.Namespace) -> int:
    broker = broker_to_read(settings)
    try:
        while await broker.shield(judge_of(settings)):
            pass
        dead = sorted((one for one in await broker.dead() if args.certificate in (None, one.certificate)), key=_age)
        if args.certificate is not None and not dead:
            certificate_named(settings, args.certificate)
        if args.action == "list":
            return _list(dead, args)
        return await (_replay if args.action == "replay" else _drop)(broker, dead, args)
    finally:
        await broker.close()


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
        complain([_not_found(unknown)], _WHICH)
    return FAILED if unknown else OK


def _not_found(unknown: Sequence[str]) -> str:
    return f"not found: {', '.join(map(shown, unknown))}"


def _described(dead: Dead) -> Mapping[str, object]:
    return {
        "id": dead.id,
        "certificate": dead.certificate,
        "renewal_id": dead.renewal_id,
        "reason": dead.reason,
        "since": None if dead.since is None else rfc3339(dead.since),
        "warning": EXPOSED if dead.is_exposed else None,
    }


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of it. `ended`: each that was put back, with its outcome; None where nobody waited for them."""

    replayed: Sequence[str]
    withheld: Sequence[str]
    unknown: Sequence[str]
    """Names of none that was there; and what was chosen, and was gone when it was to be put back."""
    ended: Sequence[tuple[Dead, Told]] | None = None

    @property
    def is_good(self) -> bool:
        return not self.unknown and not self.bad

    @property
    def bad(self) -> Sequence[Told]:
        return [told for _, told in self.ended or () if told.outcome in ("failed", "unknown")]

    @property
    def what_next(self) -> str:
        """Empty where all is well."""
        return next_step_after(self.bad[0].reason) if self.bad else _WHICH if self.unknown else ""


async def _drop(broker: Broker, dead: Sequence[Dead], args: argparse.Namespace) -> int:
    chosen, unknown = _chosen(dead, args)
    gone = set(await broker.drop([one.id for one in chosen]) if chosen else ())
    dropped = [one for one in chosen if one.id in gone]
    unknown = [*unknown, *(one.id for one in chosen if one.id not in gone)]
    if args.json:
        print_json({"dropped": [_described(one) for one in dropped], "unknown": unknown})
    for one in () if args.json else dropped:
        print(shown(f"dropped {one.id}: {one.certificate or 'no certificate known'}, {one.reason}"))
    if unknown:
        complain([_not_found(unknown)], _WHICH)
    return FAILED if unknown else OK


async def _replay(broker: Broker, dead: Sequence[Dead], args: argparse.Namespace) -> int:
    chosen, unknown = _chosen(dead, args)
    withheld = [one.id for one in chosen if one.is_withheld]
    kept = [one for one in chosen if not one.is_withheld]
    async with progress() as parts:
        replayed = await _put_back(broker, kept, parts) if kept else ()
        lost = [one.id for one in kept if one.id not in set(replayed)]
        done = Replay(replayed, withheld, [*unknown, *lost])
        if args.wait is not None:
            back = [one for one in kept if one.id in set(replayed)]
            done = replace(done, ended=await _ended(broker, back, args.wait, parts) if back else ())
    _tell(done, as_json=args.json)
    return OK if done.is_good and not (args.ids and withheld) else FAILED


async def _put_back(broker: Broker, kept: Sequence[Dead], parts: Shown) -> Sequence[str]:
    part = parts.part("dead letters", len(kept))
    return await broker.replay([one.id for one in kept], lambda _id: part.ended("put back"))


async def _ended(broker: Broker, back: Sequence[Dead], patience: float, parts: Shown) -> Sequence[tuple[Dead, Told]]:
    """All at once, each for so long."""
    with suppress(BrokerError):  # what was put back is told all the same
        if not await broker.is_served():
            complain(["no worker is at work: what was put back waits in the queue"], "start `rotation-worker run`")
    part, awaited = parts.part("outcomes", len(back)), Awaited(broker, patience)

    async def outcome(one: Dead) -> tuple[Dead, Told]:
        told = await awaited.outcome(Identity.of(one.message).event_ids, one.certificate, after=_given_up(one))
        part.ended((told or _UNKNOWN).outcome)
        return one, told or _UNKNOWN

    async with beside(awaited.look_on()):
        return await asyncio.gather(*map(outcome, back))


def _given_up(dead: Dead) -> datetime | None:
    """When its outcome was told that it had before; where the broker gave it up, when that was."""
    return moment(dead.message.given_up_at) or dead.since


def _tell(done: Replay, *, as_json: bool) -> None:
    if as_json:
        ended = {} if done.ended is None else {"outcomes": [_described_end(*one) for one in done.ended]}
        counted = {"replayed": list(done.replayed), "withheld": done.withheld, "unknown": done.unknown}
        print_json({**counted, **ended, **({"next": done.what_next} if done.what_next else {})})
    else:
        print(f"{len(done.replayed)} put back" if done.replayed else "Nothing to put back.")
        if done.ended:
            rows = (_described_end(*one).values() for one in done.ended)
            print_table(("id", "certificate", "renewal", "outcome", "reason"), rows, empty="")
    for one in done.withheld:
        complain([f"{one}: its body was not kept, because it may hold a key"], "publish the renewal anew")
    if done.unknown:
        complain([_not_found(done.unknown)], _WHICH)
    if done.bad:
        say_next(done.what_next)


def _described_end(dead: Dead, told: Told) -> Mapping[str, object]:
    about = {"id": dead.id, "certificate": dead.certificate, "renewal_id": dead.renewal_id}
    return {**about, "outcome": told.outcome, "reason": told.reason}
