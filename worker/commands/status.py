"""`rotation-worker status`: the fleet as a running worker shows it."""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from worker.commands.exits import FAILED, OK, UNAVAILABLE
from worker.commands.loading import log_level, settings_of
from worker.commands.output import print_json, print_table, remaining, shown
from worker.commands.refusals import in_json, refused
from worker.core.errors import RotationError
from worker.fleet.values import replay_command
from worker.gateways.asking import Asking
from worker.settings import SettingsError
from worker.settings.credentials import read_secret
from worker.settings.http import Http
from worker.settings.listening import host_of
from worker.telemetry import configure_logs

_LONGEST: Final = 256 * 1024 * 1024
_SECONDS: Final = 30.0
_WORST_FIRST: Final = ("dead", "failed", "parked", "rotating", "unknown", "served")
_MOST: Final = 200
_EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - to be replaced by loopback
_UP: Final = "see whether `rotation-worker run` is at work there; --url names another place"
_GRANTED: Final = "name the file that its http.token_file is, with --token-file"
_WHICH: Final = "`rotation-worker status` lists those that there are"
Facts = Mapping[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("certificate", nargs="?", help="only this one, with its bindings and its past")
    parser.add_argument("--all", action="store_true", help=f"more than the {_MOST} certificates that fare worst")
    parser.add_argument("--url", help="where the worker serves its page (default: http.listen of the settings)")
    parser.add_argument("--token-file", type=Path, help="its token (default: http.token_file of the settings)")
    parser.add_argument("--ca-file", type=Path, help="whom to trust for https:// (default: the system's CAs)")
    parser.epilog = "example: rotation-worker status shop"


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    with in_json(args):
        url, token_file = _place(args)
        headers = _headers(token_file)
    try:
        status, told = asyncio.run(_asked(url, args, headers))
    except RotationError as error:
        return refused(args, UNAVAILABLE, error.reason, f"{url}: {error.message}", _UP)
    if status != HTTPStatus.OK or not isinstance(told, dict):
        return _refused(args, url, status, told)
    if args.json:
        print_json(told)
    elif args.certificate is None:
        _print_fleet(told, is_all=args.all)
    else:
        _print_certificate(told)
    return OK


def _place(args: argparse.Namespace) -> tuple[str, Path | None]:
    """Whoever names the place needs no settings."""
    if args.url is not None:
        if not args.url.startswith(("http://", "https://")):
            raise SettingsError(["--url: http://HOST:PORT or https://HOST:PORT is the form"])
        return args.url.rstrip("/"), args.token_file
    http = settings_of(args).http
    return _url_of(http), args.token_file or http.token_file


def _url_of(http: Http) -> str:
    host, port = host_of(http.listen), http.listen.rpartition(":")[2]
    if host in _EVERYWHERE:
        host = "::1" if ":" in host else "127.0.0.1"
    scheme = "http" if http.cert_file is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _headers(token_file: Path | None) -> Mapping[str, str]:
    if token_file is None:
        return {}
    try:
        return {"Authorization": f"Bearer {read_secret(token_file, '--token-file').reveal()}"}
    except RotationError as error:
        raise SettingsError([error.message]) from None


async def _asked(url: str, args: argparse.Namespace, headers: Mapping[str, str]) -> tuple[int, object]:
    asking = Asking(url, args.ca_file, _SECONDS, longest=_LONGEST)
    named = "" if args.certificate is None else f"?certificate={quote(args.certificate, safe='')}"
    try:
        return await asking("GET", f"/status.json{named}", headers, b"")
    finally:
        await asking.close()


def _refused(args: argparse.Namespace, url: str, status: int, told: object) -> int:
    error = told.get("error") if isinstance(told, dict) else None
    is_ours = isinstance(error, dict) and {"reason", "message"} <= set(error)
    reason, message = (error["reason"], error["message"]) if error and is_ours else ("unexpected_answer", "")
    if status == HTTPStatus.UNAUTHORIZED:
        return refused(args, UNAVAILABLE, "unauthorized", f"{url}: it wants another token", _GRANTED)
    if reason == "unknown_certificate":
        return refused(args, FAILED, reason, f"{shown(args.certificate)}: not in that worker's settings", _WHICH)
    return refused(args, UNAVAILABLE, reason, f"{url}: answered {status}: {shown(message)}".rstrip(": "), _UP)


def _print_fleet(fleet: Facts, *, is_all: bool) -> None:
    """What is to be looked at comes last, where it is seen."""
    every = sorted(fleet["certificates"], key=_worst_last)
    certificates = every if is_all else every[-_MOST:]
    if len(certificates) < len(every):
        print(f"{len(every) - len(certificates):,} more fare better: --all lists them, too")
    columns = ("certificate", "state", "serial", "days left", "bindings", "outcome", "reason", "at")
    print_table(columns, map(_row, certificates), empty="No certificate is in the settings.")
    _print_running(fleet["running"])
    _print_waiting(fleet)
    _print_gateways(fleet["gateways"])
    _print_sum(fleet)


def _worst_last(one: Facts) -> tuple[int, float, str]:
    days = one["days_left"]
    return -_WORST_FIRST.index(one["state"]), 0.0 if days is None else -days, one["name"]


def _row(one: Facts) -> Sequence[object]:
    last, days = one["last"] or {}, one["days_left"]
    told = last.get("outcome"), last.get("reason"), last.get("at")
    left = "" if days is None else str(int(days)) + ("" if one["level"] in ("good", "soon") else f" ({one['level']})")
    return (one["name"], one["state"], ", ".join(one["serial_numbers"]), left, _bound(one["bindings"]), *told)


def _bound(counts: Facts) -> str:
    served = f"{counts['attached'] + counts['unchanged']}/{counts['total']}"
    return served + (f", {counts['failed']} failed" if counts["failed"] else "")


def _print_running(running: Sequence[Facts]) -> None:
    if running:
        print()
        rows = (
            (one["certificate"], one["phase"], _gone(one), one["calls"], _left(one["seconds_left"])) for one in running
        )
        print_table(("running", "phase", "bindings", "calls", "still takes"), rows, empty="")


def _gone(one: Facts) -> str:
    total = "?" if one["total"] is None else one["total"]
    return f"{one['done']}/{total}" + (f", {one['failed']} failed" if one["failed"] else "")


def _left(seconds: float | None) -> str:
    return "" if seconds is None else remaining(seconds)


def _print_waiting(told: Facts) -> None:
    if told["parked"]:
        print()
        rows = ((one["certificate"], one["reason"], one["attempt"], one["until"]) for one in told["parked"])
        print_table(("parked", "reason", "attempt", "comes again"), rows, empty="")
    if told["dead"]:
        print()
        dead = ((one["certificate"], one["reason"], one["since"], _what_next(one)) for one in told["dead"])
        print_table(("given up", "reason", "since", "to try it again"), dead, empty="")


def _what_next(dead: Facts) -> str:
    if dead["is_exposed"]:
        return "issue a new key and publish it: this one was sent in the open"
    if dead["is_withheld"] or not dead["id"]:
        return "publish the renewal anew" if dead["is_withheld"] else "rotation-worker dead list"
    return replay_command(dead["id"])


def _print_gateways(gateways: Sequence[Facts]) -> None:
    print()
    columns = ("gateway", "state", "budget used", "under way", "waiting", "still takes")
    print_table(columns, map(_gateway, gateways), empty="No gateway is in the settings.")


def _gateway(one: Facts) -> Sequence[object]:
    state = "up" if one["is_up"] else f"down, asked again in {one['probe_in'] or 0:.0f} s"
    state += f", held for {one['held_for']:.0f} s" if one["held_for"] else ""
    budget = ", ".join(f"{it['used']}/{it['limit']} in {it['seconds']:g} s" for it in one["budgets"])
    under_way = f"{one['under_way']} of {one['concurrency']}"
    return one["name"], state, budget, under_way, one["waiting"], _left(one["seconds_left"] or None)


def _print_sum(fleet: Facts) -> None:
    states = ", ".join(f"{fleet['states'][state]:,} {state}" for state in _WORST_FIRST if state in fleet["states"])
    queue = f"{fleet['ready']:,} in the queue, {fleet['parked_in_all']:,} parked, {fleet['dead_in_all']:,} given up"
    print(f"\n{fleet['role']}; {len(fleet['certificates']):,} certificates: {states or 'none'}; {queue}")
    for warning in _warnings(fleet):
        sys.stderr.write(f"rotation-worker: {shown(warning)}\n")


def _warnings(fleet: Facts) -> Iterator[str]:
    if fleet["is_reading_history"]:
        yield "the worker still reads what was told before it started: ask again in a moment"
    if fleet["history_problem"] is not None:
        yield f"what was told before the worker started is missing: {fleet['history_problem']}"


def _print_certificate(told: Facts) -> None:
    columns = ("certificate", "state", "serial", "days left", "bindings", "outcome", "reason", "at")
    print_table(columns, [_row(told["certificate"])], empty="")
    for deployment in told["deployments"]:
        print()
        standing, listed = deployment["standing"], deployment["bindings"]
        rows = ((one["name"], one["instance_id"], one["state"], one["reason"], one["message"]) for one in listed)
        nothing = f"{standing['key']}: {_bound(standing['bindings'])} bindings, none of them known by name"
        print_table((standing["key"], "instance", "state", "reason", "message"), rows, empty=nothing)
    _print_running(told["running"])
    _print_waiting(told)
    print()
    past = (
        (one["at"], one["outcome"], one["reason"], one["serial_number"], f"{one['duration']:.1f}", one["renewal_id"])
        for one in told["history"]
    )
    print_table(("told at", "outcome", "reason", "serial", "seconds", "renewal"), past, empty="No outcome so far.")
