"""An error, told in the same way by every command: what is wrong, and in one line what to do next.

On stderr for people; with `--json` it is a document on stdout too, as a result is.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from worker.broker.base import BrokerError, TopologyError
from worker.commands.next_steps import next_step
from worker.commands.output import print_json, shown
from worker.core.errors import RotationError
from worker.settings import SettingsError
from worker.spool import SpoolError


@contextmanager
def in_json(args: argparse.Namespace) -> Iterator[None]:
    """What is refused inside the block is told as JSON, where that is wanted, and raised on: it ends the command."""
    try:
        yield
    except (SettingsError, BrokerError, SpoolError, RotationError) as error:
        if args.json:
            print_refusal(_reason(error), str(error), next_step(error))
        raise


def print_refusal(reason: str, message: str, what_next: str) -> None:
    """The document."""
    print_json({"error": {"reason": reason, "message": message}, "next": what_next})


def refused(args: argparse.Namespace, status: int, reason: str, message: str, what_next: str) -> int:
    """For what is no exception, or ends here; the exit status."""
    if args.json:
        print_refusal(reason, message, what_next)
    complain([message], what_next)
    return status


def complain(problems: Iterable[str], what_next: str, *, program: str = "rotation-worker") -> None:
    """A line each on stderr, and last of all what to do next."""
    for problem in problems:
        sys.stderr.write(f"{program}: {shown(problem)}\n")
    say_next(what_next)


def say_next(what_next: str) -> None:
    sys.stderr.write(f"next: {shown(what_next)}\n")


def _reason(error: Exception) -> str:
    match error:
        case RotationError():
            return error.reason
        case TopologyError():
            return "broker_topology"
        case BrokerError():
            return "broker_unavailable"
        case SpoolError():
            return "spool"
        case _:
            return "settings"
