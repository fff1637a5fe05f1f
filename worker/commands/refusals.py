"""With `--json` a refusal is a document on stdout, as a result is."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from worker.broker.base import BrokerError, TopologyError
from worker.commands.output import print_json
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
            print_json({"error": {"reason": _reason(error), "message": str(error)}})
        raise


def refused(args: argparse.Namespace, status: int, reason: str, message: str) -> int:
    """The same for what is no exception; the exit status."""
    if args.json:
        print_json({"error": {"reason": reason, "message": message}})
    else:
        sys.stderr.write(f"rotation-worker: {message}\n")
    return status


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
