"""`rotation-worker sandbox`: simulated clouds on loopback, until interrupted."""

import argparse
import asyncio
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Final

from worker.commands.exits import OK, WRONG_USE
from worker.commands.loading import log_level
from worker.commands.output import print_json
from worker.commands.refusals import refused
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.control import FAULT
from worker.sandbox.flaws import FLAW
from worker.sandbox.playground import serve
from worker.telemetry import configure_logs

_LAST_PORT: Final = 65_532
"""That leaves room for the three after it."""
_NOT_OURS: Final = (errno.EADDRNOTAVAIL, errno.EACCES, errno.EAFNOSUPPORT)
_OURS: Final = "name an address of this machine, such as 127.0.0.2"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--propagation", type=float, default=5.0, help="seconds until a change is served (default 5)")
    parser.add_argument(
        "--address", action="append", help="of the TLS listeners; may be given twice (default 127.0.0.1)"
    )
    parser.add_argument("--domains", type=count, default=1, help="on the one certificate at APIG (default 1)")
    parser.add_argument(
        "--limit",
        action="append",
        type=limit,
        metavar="CALLS/SECONDS",
        help="of APIG and of ByCloud, each for itself; may be given several times (default none)",
    )
    parser.add_argument("--latency", type=seconds, default=0.0, help="seconds before every answer (default 0)")
    parser.add_argument("--host", default="127.0.0.1", help="where the endpoints listen (default 127.0.0.1)")
    parser.add_argument(
        "--port",
        type=port,
        default=0,
        help="of the control endpoint; the clouds have the next three (default free ones)",
    )
    parser.add_argument("--folder", type=Path, help="for its files, which stay (default one that goes with it)")
    parser.epilog = "\n".join(_manual())


# Named as argparse names them to whoever mistypes one: "invalid limit value".
def count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= _LAST_PORT:
        raise ValueError
    return number


def seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < inf:
        raise ValueError
    return number


def limit(text: str) -> tuple[int, float]:
    calls, _, span = text.partition("/")
    if not seconds(span):
        raise ValueError
    return count(calls), seconds(span)


def _manual() -> Iterator[str]:
    """How to use it, and how to make it fail."""
    yield "example: rotation-worker sandbox --domains 500 --limit 20/1 --latency 0.03"
    yield ""
    yield "It prints one JSON document: endpoints, made-up credentials, what is stored and bound, and files in a folder"
    yield "that lives as long as it does: a CA, a renewed chain with its key, and settings. Then, elsewhere:"
    yield "  rotation-worker rotate shop --config SETTINGS --chain CHAIN --key KEY"
    yield ""
    yield "To make the clouds fail, post a fault to the `control` endpoint; its root tells all that there is:"
    yield """  curl -d '{"operation": "attach_domains", "status": 429, "times": 3}' CONTROL/faults"""
    yield """  curl -d '{"operation": "apig", "status": 503, "times": null}' CONTROL/faults   it is down"""
    yield "  curl -X DELETE CONTROL/faults   and up again"
    yield "  curl CONTROL/journal        every call so far, without keys"
    yield "Fields of a fault:"
    yield from (f"  {name:13} {told}" for name, told in FAULT.items())
    yield ""
    yield "To make the TLS listeners serve something else than what is bound, post a flaw:"
    yield """  curl -d '{"kind": "leaf_only", "name": "www.example.com", "times": 3}' CONTROL/flaws"""
    yield "  curl CONTROL/flaws          all of them, and at how many handshakes each was shown"
    yield "  curl -X DELETE CONTROL/flaws"
    yield "Fields of a flaw:"
    yield from (f"  {name:13} {told}" for name, told in FLAW.items())
    yield ""
    yield "Operations:"
    yield from (f"  {name}" for name in sorted(Sandbox().world.operations))


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    limits = args.limit or ()
    config = SandboxConfig(
        propagation_seconds=args.propagation,
        addresses=args.address or ("127.0.0.1",),
        apig_limits=limits,
        bycloud_limits=limits,
        latency=args.latency,
        host=args.host,
        port=args.port,
    )
    with _folder(args.folder) as folder:
        try:
            asyncio.run(serve(config, folder, print_json, args.domains))
        except OSError as error:
            if args.address is None or error.errno not in _NOT_OURS:
                raise
            return refused(args, WRONG_USE, "address_unusable", f"--address: {os.strerror(error.errno)}", _OURS)
    return OK


@contextmanager
def _folder(named: Path | None) -> Iterator[Path]:
    if named is not None:
        named.mkdir(parents=True, exist_ok=True)
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="rotation-sandbox-") as folder:
        yield Path(folder)
