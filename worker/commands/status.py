"""`rotation-worker status`: the fleet as a running worker shows it."""

import argparse
import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from worker.commands.addresses import ALONE, UP, check_url, next_to
from worker.commands.exits import FAILED, OK, UNAVAILABLE
from worker.commands.loading import log_level, settings_of
from worker.commands.next_steps import by_text
from worker.commands.output import print_json, print_table, remaining, shown
from worker.commands.refusals import in_json, refused
from worker.core.errors import RotationError
from worker.core.past import moment
from worker.fleet.grouping import GROUPS
from worker.fleet.standing import LEFT_FAILED
from worker.gateways.asking import Asking
from worker.reasons import GIVEN_UP, meanings
from worker.settings import SettingsError
from worker.settings.credentials import read_secret
from worker.settings.http import Http
from worker.settings.listening import host_of, is_loopback
from worker.telemetry import configure_logs
from worker.tls import Identity, cause, verifying

_LONGEST: Final = 256 * 1024 * 1024
_SECONDS: Final = 30.0
_NEVER: Final = float("inf")
_MOST: Final = 200
_EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - to be replaced by loopback
_GRANTED: Final = (
    "name a file with its token with --token-file, or a certificate of its http.client_ca_file with --cert-file and"
    " --key-file"
)
_PORTS: Final = {"http": 80, "https": 443}
_NAME_IT: Final = "name a file that has the worker's token, on one line, with --token-file"
_OPTION: Final = "correct that option; `rotation-worker status --help` tells of each"
_WHICH: Final = "`rotation-worker status` lists those that there are"
Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Worker:
    """Where one is asked, and by whom."""

    url: str
    ca_file: Path | None
    token_file: Path | None
    identity: Identity | None
    is_token_named: bool
    """With --token-file; else the settings name it."""

    def asking(self) -> Asking:
        return Asking(self.url, self.ca_file, _SECONDS, longest=_LONGEST, identity=self.identity)

    @property
    def headers(self) -> Mapping[str, str]:
        if self.token_file is None:
            return {}
        place, what_next = ("--token-file", _NAME_IT) if self.is_token_named else ("http.token_file", "")
        try:
            return {"Authorization": f"Bearer {read_secret(self.token_file, place).reveal()}"}
        except RotationError as error:
            raise SettingsError([error.message], next_step=by_text(error.message, what_next)) from None


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("certificate", nargs="?", help="only this one, with its bindings and its past")
    parser.add_argument("--all", action="store_true", help=f"more than the {_MOST} certificates that fare worst")
    parser.add_argument("--url", help="where the worker serves its page (default: http.listen of the settings)")
    parser.add_argument("--token-file", type=Path, help="its token (default: http.token_file of the settings)")
    parser.add_argument("--cert-file", type=Path, help="instead of a token: a certificate of its http.client_ca_file")
    parser.add_argument("--key-file", type=Path, help="the key of --cert-file")
    parser.add_argument("--ca-file", type=Path, help="whom to trust for https:// (default: the system's CAs)")
    parser.add_argument("--insecure", action="store_true", help="send the token over http://, for all to read")
    parser.epilog = "example: rotation-worker status shop"


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    with in_json(args):
        worker = _worker(args)
        headers = worker.headers
    try:
        status, told = asyncio.run(_asked(worker, args.certificate, headers))
    except RotationError as error:
        return refused(args, UNAVAILABLE, error.reason, f"{worker.url}: {error.message}", next_to(worker.url))
    if status != HTTPStatus.OK or not isinstance(told, dict):
        return _refused(args, worker.url, status, told)
    if args.json:
        print_json(told)
    elif args.certificate is None:
        _print_fleet(told, is_all=args.all)
    else:
        _print_certificate(told)
    return OK


def _worker(args: argparse.Namespace) -> _Worker:
    """Whoever names the place needs no settings."""
    if args.url is None:
        http = settings_of(args).http
        url, token_file = _url_of(http), args.token_file or http.token_file
    else:
        url = args.url.rstrip("/")
        token_file = args.token_file or _token_at(url, args)
        check_url(url, is_token_sent=token_file is not None and not args.insecure)
    identity = _identity(args)
    if identity is not None and url.startswith("http://"):
        raise SettingsError(["--cert-file: only https:// knows client certificates"], next_step=_OPTION)
    _check_usable("--ca-file", args.ca_file, None)
    _check_usable("--cert-file, --key-file", None, identity)
    return _Worker(url, args.ca_file, token_file, identity, args.token_file is not None)


def _token_at(url: str, args: argparse.Namespace) -> Path | None:
    """Of settings that are named, where they are those of the worker that is."""
    if args.config is None and "ROTATION_CONFIG" not in os.environ:
        return None
    try:
        http = settings_of(args).http
        return http.token_file if _is_at(url, http) else None
    except (SettingsError, ValueError):  # a port that is none
        return None


def _is_at(url: str, http: Http) -> bool:
    """Which port a system has chosen, no settings tell."""
    asked, own = urlsplit(url), urlsplit(_url_of(http))
    hosts = [asked.hostname or "", own.hostname or ""]
    is_host = hosts[0] == hosts[1] or all(is_loopback(host) for host in hosts)
    return asked.scheme == own.scheme and is_host and own.port in (0, asked.port or _PORTS.get(asked.scheme))


def _check_usable(named: str, ca_file: Path | None, identity: Identity | None) -> None:
    try:
        verifying(ca_file, identity)
    except OSError as error:
        why = cause(error)
        raise SettingsError([f"{named}: cannot be used ({why})"], next_step=by_text(why, _OPTION)) from None


def _identity(args: argparse.Namespace) -> Identity | None:
    if (args.cert_file is None) != (args.key_file is None):
        raise SettingsError(["--cert-file: goes with --key-file, and neither without the other"], next_step=_OPTION)
    return None if args.cert_file is None else Identity(args.cert_file, args.key_file)


def _url_of(http: Http) -> str:
    host, port = host_of(http.listen), http.listen.rpartition(":")[2]
    if host in _EVERYWHERE:
        host = "::1" if ":" in host else "127.0.0.1"
    scheme = "http" if http.cert_file is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


async def _asked(worker: _Worker, certificate: str | None, headers: Mapping[str, str]) -> tuple[int, object]:
    asking = worker.asking()
    named = "" if certificate is None else f"?certificate={quote(certificate, safe='')}"
    try:
        return await asking("GET", f"/status.json{named}", headers, b"")
    finally:
        await asking.close()


def _refused(args: argparse.Namespace, url: str, status: int, told: object) -> int:
    error = told.get("error") if isinstance(told, dict) else None
    is_ours = isinstance(error, dict) and {"reason", "message"} <= set(error)
    reason, message = (error["reason"], error["message"]) if error and is_ours else ("unexpected_answer", "")
    if status == HTTPStatus.UNAUTHORIZED:
        return refused(args, UNAVAILABLE, "unauthorized", f"{url}: it does not know who asks", _GRANTED)
    if reason == "unknown_certificate":
        return refused(args, FAILED, reason, f"{shown(args.certificate)}: not in that worker's settings", _WHICH)
    is_path_given = status == HTTPStatus.NOT_FOUND and urlsplit(url).path
    told = f"{url}: answered {status}: {shown(message)}".rstrip(": ")
    return refused(args, UNAVAILABLE, reason, told, ALONE if is_path_given else UP)


def _print_fleet(fleet: Facts, *, is_all: bool) -> None:
    """What is to be looked at comes last, where it is seen."""
    every = sorted(fleet["certificates"], key=_worst_first, reverse=True)
    certificates = every if is_all else every[-_MOST:]
    if len(certificates) < len(every):
        print(f"{len(every) - len(certificates):,} more fare better: --all lists them, too")
    columns = ("certificate", "state", "serial", "days left", "bindings", "outcome", "reason", "at")
    print_table(columns, map(_row, certificates), empty="No certificate is in the settings.")
    _print_running(fleet["running"])
    _print_waiting(fleet)
    _print_gateways(fleet["gateways"])
    _print_sum(fleet)


def _worst_first(one: Facts) -> tuple[int, float, str]:
    """As on the page."""
    ends = moment(one["not_after"])
    return GROUPS.index(one["group"]), _NEVER if ends is None else ends.timestamp(), one["name"]


def _row(one: Facts) -> Sequence[object]:
    last, days = one["last"] or {}, one["days_left"]
    told = last.get("outcome"), last.get("reason"), last.get("at")
    left = "" if days is None else str(int(days)) + ("" if one["level"] in ("good", "soon") else f" ({one['level']})")
    return (one["name"], one["state"], _serials(one), left, _bound(one["bindings"]), *told)


def _serials(one: Facts) -> str:
    told, unknown = one["serial_numbers"], one.get("serials_unknown", 0)
    return ", ".join([*told, *([f"{unknown} not known"] if told and unknown else [])])


def _bound(counts: Facts) -> str:
    served = f"{counts['attached'] + counts['unchanged']}/{counts['total']}"
    return served + (f", {counts['failed']} failed" if counts["failed"] else "")


def _print_running(running: Sequence[Facts]) -> None:
    if running:
        print()
        columns = ("running", "phase", "bindings", "calls", "still takes", "refused")
        print_table(columns, map(_runs, running), empty="")


def _runs(one: Facts) -> Sequence[object]:
    refused = _refusal(one.get("refusal"))  # a worker of before tells none
    return one["certificate"], one["phase"], _gone(one), one["calls"], _left(one["seconds_left"]), refused


def _refusal(refusal: Facts | None) -> str:
    if refusal is None:
        return ""
    answer = f" {refusal['status']}" if refusal["status"] else ""
    return f"{refusal['operation']}: {refusal['reason']}{answer}, since {refusal['since']}"


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
    if dead["remedy"] == "new_key":
        return "issue a new key and publish it: this one was sent in the open"
    told = "publish the renewal anew" if dead["remedy"] == "publish" else str(dead["command"])
    is_certain = dead.get("is_certain", True)  # a worker of before tells none
    return told if is_certain else f"{told} (it may be gone)"


def _print_gateways(gateways: Sequence[Facts]) -> None:
    print()
    columns = ("gateway", "state", "budget used", "under way", "waiting", "still takes")
    print_table(columns, map(_gateway, gateways), empty="No gateway is in the settings.")


def _gateway(one: Facts) -> Sequence[object]:
    probe = f"in {ceil(one['probe_in'])} s" if one["probe_in"] else "once a renewal needs it"
    state = "up" if one["is_up"] else f"down, asked again {probe}"
    state += f", held for {one['held_for']:.0f} s" if one["held_for"] else ""
    budget = ", ".join(map(_budget, one["budgets"]))
    under_way = f"{one['under_way']} of {one['concurrency']}"
    return one["name"], state, budget, under_way, one["waiting"], _left(one["seconds_left"] or None)


def _budget(one: Facts) -> str:
    source = "" if one.get("source", "window") == "window" else f" ({one['source']})"  # an older worker tells none
    return f"{one['used']}/{one['limit']} in {one['seconds']:g} s{source}"


def _print_sum(fleet: Facts) -> None:
    sizes = Counter(one["group"] for one in fleet["certificates"])
    groups = ", ".join(f"{sizes[group]:,} {group}" for group in GROUPS if sizes[group])
    queue = f"{fleet['ready']:,} in the queue, {fleet['parked_in_all']:,} parked, {fleet['dead_in_all']:,} given up"
    number = len(fleet["certificates"])
    print(f"\n{fleet['role']}; {number:,} certificate{'s' if number != 1 else ''}: {groups or 'none'}; {queue}")
    for warning in _warnings(fleet):
        sys.stderr.write(f"rotation-worker: {shown(warning)}\n")


def _warnings(fleet: Facts) -> Iterator[str]:
    if fleet["is_reading_history"]:
        yield "the worker still reads what was told before it started: ask again in a moment"
    if fleet["history_problem"] is not None:
        yield f"what was told before the worker started is missing: {fleet['history_problem']}"


def _print_meaning(told: Facts) -> None:
    """Of each reason why it failed, once: what it means, and what to do."""
    last = told["certificate"]["last"] or {}
    failed = [last["reason"]] if last.get("outcome") == "failed" else []
    failed += [it["reason"] for one in told["deployments"] for it in one["bindings"] if it["reason"] is not None]
    if failed and last.get("message"):
        print(f"\n{shown(last['message'])}")
    for reason in dict.fromkeys(failed):
        if (known := meanings().get(reason)) is not None:
            print(f"\n{reason}: {known.text}\n  what to do: {known.advice}.")
    if told["certificate"]["state"] in LEFT_FAILED:
        print(f"\n{GIVEN_UP}")


def _gist(reason: str) -> str:
    known = meanings().get(reason)
    return reason if known is None else known.gist


def _print_certificate(told: Facts) -> None:
    columns = ("certificate", "state", "serial", "days left", "bindings", "outcome", "reason", "at")
    print_table(columns, [_row(told["certificate"])], empty="")
    _print_meaning(told)
    for deployment in told["deployments"]:
        print()
        standing, listed = deployment["standing"], deployment["bindings"]
        rows = ((one["name"], one["instance_id"], one["state"], one["reason"], one["message"]) for one in listed)
        nothing = f"{standing['key']}: {_bound(standing['bindings'])} bindings, none of them known by name"
        print_table((standing["key"], "instance", "state", "reason", "message"), rows, empty=nothing)
    _print_running(told["running"])
    _print_waiting(told)
    for parked in told["parked"]:
        print(f"\n{parked['certificate']} waits: {shown(parked['message'] or _gist(parked['reason']))}")
    print()
    past = (
        (one["at"], one["outcome"], one["reason"], one["serial_number"], f"{one['duration']:.1f}", one["renewal_id"])
        for one in told["history"]
    )
    print_table(("told at", "outcome", "reason", "serial", "seconds", "renewal"), past, empty="No outcome so far.")
