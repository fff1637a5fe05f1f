"""`rotation-worker sandbox`: simulated clouds on loopback, until interrupted."""

import argparse
import asyncio

from worker.commands.exits import OK
from worker.commands.loading import log_level
from worker.commands.output import print_json
from worker.sandbox import SandboxConfig
from worker.sandbox.server import serve
from worker.telemetry import configure_logs


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--propagation", type=float, default=5.0, help="seconds until a change is served (default 5)")


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    config = SandboxConfig(propagation_seconds=args.propagation)
    asyncio.run(serve(config, print_json))
    return OK
