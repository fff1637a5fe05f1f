"""`rotation-worker sandbox`: simulated clouds on loopback, until interrupted."""

import argparse
import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

from worker.commands.exits import OK
from worker.commands.loading import log_level
from worker.commands.output import print_json
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.control import FAULT
from worker.sandbox.playground import serve
from worker.telemetry import configure_logs


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--propagation", type=float, default=5.0, help="seconds until a change is served (default 5)")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(_manual())


def _manual() -> Iterator[str]:
    """How to use it, and how to make it fail."""
    yield "It prints one JSON document: endpoints, made-up credentials, what is stored and bound, and files in a folder"
    yield "that lives as long as it does: a CA, a renewed chain with its key, and settings. Then, elsewhere:"
    yield "  rotation-worker rotate shop --config SETTINGS --chain CHAIN --key KEY"
    yield ""
    yield "To make the clouds fail, post a fault to the `control` endpoint; its root tells all that there is:"
    yield """  curl -d '{"operation": "attach_domains", "status": 429, "times": 3}' CONTROL/faults"""
    yield "  curl CONTROL/journal        every call so far, without keys"
    yield "Fields of a fault:"
    yield from (f"  {name:13} {told}" for name, told in FAULT.items())
    yield "Operations:"
    yield from (f"  {name}" for name in sorted(Sandbox().world.operations))


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    config = SandboxConfig(propagation_seconds=args.propagation)
    with tempfile.TemporaryDirectory(prefix="rotation-sandbox-") as folder:
        asyncio.run(serve(config, Path(folder), print_json))
    return OK
