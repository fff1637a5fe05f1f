"""The command line: finds the command, loads only what it needs, and turns expected errors into exit statuses."""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from worker import __version__
from worker.commands.crashes import frames, where
from worker.commands.exits import BAD_MATERIAL, INTERNAL, INTERRUPTED, OK, UNAVAILABLE, UNWRITABLE, WRONG_SETTINGS
from worker.commands.parsing import Parser
from worker.commands.stdout import make_stdout_forgiving
from worker.hardening import deny_dumps
from worker.stderr import make_stderr_unfailing

COMMANDS: Final = {
    "run": "the service: consumes renewals until it is told to stop",
    "publish": "seals in what an ACME client renewed and hands it to the broker; made for hooks",
    "sweep": "compares what lies on disk with what the gateways hold, and puts right what differs",
    "rotate": "one rotation here and now, without a broker",
    "plan": "what a rotation would do, by reading only",
    "discover": "lists what is stored and bound at a gateway, as settings ready to paste",
    "status": "the fleet as a running worker shows it: certificates, rotations under way, gateways",
    "history": "past outcomes",
    "check": "settings, broker rights and gateway credentials, each named",
    "topology": "declares the broker objects, or prints them as definitions",
    "dead": "what was given up and why; puts it back, or drops it",
    "keygen": "key pairs for a worker or a producer, as JWK files",
    "sandbox": "simulated clouds on loopback, with real TLS listeners",
    "demo": "sandbox, broker, worker and renewals in one, with a live table",
}


class Command(Protocol):
    """A module of `worker.commands`."""

    def configure(self, parser: argparse.ArgumentParser) -> None: ...

    def execute(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status."""
    deny_dumps()
    make_stderr_unfailing()
    make_stdout_forgiving()
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] not in COMMANDS:
        _overview(words).parse_args(words)
        return 0
    with _leaving_when_told(is_service=words[0] == "run"):
        # Only the wanted command is imported: a hook must not wait for what it does not use.
        module: Command = importlib.import_module(f"worker.commands.{words[0]}")
        parser = Parser(words, prog=f"rotation-worker {words[0]}", description=COMMANDS[words[0]])
        _add_common(parser)
        module.configure(parser)
        return _execute(module, _parsed(parser, words[1:]))


@contextmanager
def _leaving_when_told(*, is_service: bool) -> Iterator[None]:
    """A service that is told to stop before it has begun anything ends well; from then on its own handlers count."""
    signals = (signal.SIGTERM, signal.SIGINT) if is_service else ()
    before = {number: signal.signal(number, lambda *_told: os._exit(OK)) for number in signals}
    if is_service:  # to read its settings again, which it can only once it has read them
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _parsed(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Options and other words in any order: `dead replay --config FILE ID` is `dead replay ID --config FILE`.

    Behind `--` all is taken as it is, which argparse knows only of its plain way.
    """
    return parser.parse_args(words) if "--" in words else parser.parse_intermixed_args(words)


def _overview(words: Sequence[str]) -> argparse.ArgumentParser:
    """Of no command: help, the version, or an error that names the command that may have been meant."""
    parser = Parser(words, prog="rotation-worker", epilog="example: rotation-worker demo")
    parser.add_argument("--version", action="version", version=__version__)
    listed = argparse.ArgumentParser
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=listed)
    for command, about in COMMANDS.items():
        subparsers.add_parser(command, help=about)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="the settings (default: $ROTATION_CONFIG, else config/worker.toml)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")


def _execute(module: Command, args: argparse.Namespace) -> int:
    try:
        return _expected(module, args)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as bug:  # noqa: BLE001 - Python would print its text, which may quote the input
        from worker.commands.next_steps import next_step  # noqa: PLC0415 - as below
        from worker.commands.refusals import refused  # noqa: PLC0415

        if args.verbose:
            sys.stderr.writelines(f"{frame}\n" for frame in frames(bug))
        told = where(bug)
        return refused(args, INTERNAL, "internal_error", f"internal error: {told}", next_step(bug))


def _expected(module: Command, args: argparse.Namespace) -> int:
    """What can be expected to go wrong, as exit statuses."""
    from worker.broker.base import BrokerError, TopologyError  # noqa: PLC0415 - after the parser: `--help` needs nothing of it
    from worker.commands.next_steps import next_step, next_step_of_the_system  # noqa: PLC0415
    from worker.commands.refusals import complain, refused  # noqa: PLC0415
    from worker.core.errors import RefusedError  # noqa: PLC0415
    from worker.settings import SettingsError  # noqa: PLC0415

    try:
        return module.execute(args)
    except SettingsError as error:
        complain(error.problems, next_step(error))
        return WRONG_SETTINGS
    except RefusedError as error:
        complain([f"{error.reason}: {error.message}"], next_step(error))
        return BAD_MATERIAL
    except BrokerError as error:
        complain([f"broker: {error}"], next_step(error))
        return WRONG_SETTINGS if isinstance(error, TopologyError) else UNAVAILABLE
    except OSError as error:
        what_next = next_step_of_the_system(error)
        if what_next is None:
            raise
        told = f"{error.filename or 'what it writes'}: {os.strerror(error.errno or 0)}"
        return refused(args, UNWRITABLE, "system", told, what_next)
