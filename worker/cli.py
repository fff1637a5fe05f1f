"""The command line: finds the command, loads only what it needs, and turns expected errors into exit statuses."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from worker import __version__
from worker.commands.exits import INTERRUPTED, UNAVAILABLE, WRONG_SETTINGS

COMMANDS: Final = {
    "run": "the service: consumes renewals until it is told to stop",
    "publish": "seals in what an ACME client renewed and hands it to the broker; made for hooks",
    "rotate": "one rotation here and now, without a broker",
    "plan": "what a rotation would do, by reading only",
    "discover": "lists what is stored and bound at a gateway, as settings ready to paste",
    "history": "past outcomes",
    "check": "settings, broker rights and gateway credentials, each named",
    "topology": "declares the broker objects, or prints them as definitions",
    "dead": "what was given up and why; puts it back",
    "sandbox": "simulated clouds on loopback, with real TLS listeners",
    "demo": "sandbox, broker, worker and renewals in one, with a live table",
}


class Command(Protocol):
    """A module of `worker.commands`."""

    def configure(self, parser: argparse.ArgumentParser) -> None: ...

    def execute(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = next((word for word in words if word in COMMANDS), None)
    parser = _parser()
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    module: Command | None = None
    for command, about in COMMANDS.items():
        subparser = subparsers.add_parser(command, help=about, description=about, allow_abbrev=False)
        _add_common(subparser)
        if command == name:
            # Only the wanted command is imported: a hook must not wait for what it does not use.
            module = importlib.import_module(f"worker.commands.{command}")
            module.configure(subparser)
    args = parser.parse_args(words)
    return 0 if module is None else _execute(module, args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rotation-worker", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="the settings (default: $ROTATION_CONFIG, else config/worker.toml)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")


def _execute(module: Command, args: argparse.Namespace) -> int:
    from worker.broker.base import BrokerError, TopologyError  # noqa: PLC0415 - after the parser: `--help` needs nothing of it
    from worker.settings import SettingsError  # noqa: PLC0415

    try:
        return module.execute(args)
    except SettingsError as error:
        for problem in error.problems:
            _complain(problem)
        return WRONG_SETTINGS
    except TopologyError as error:
        _complain(f"broker: {error}")
        return WRONG_SETTINGS
    except BrokerError as error:
        _complain(f"broker: {error}")
        return UNAVAILABLE
    except KeyboardInterrupt:
        return INTERRUPTED


def _complain(text: str) -> None:
    sys.stderr.write(f"rotation-worker: {text}\n")
