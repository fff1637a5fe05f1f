"""`rotation-worker demo`: everything at once, with a live table; ends with the handshakes."""

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from worker.broker.base import BrokerError
from worker.commands.exits import FAILED, INTERRUPTED, OK, UNAVAILABLE
from worker.commands.output import console, print_json
from worker.commands.progress import progress
from worker.commands.refusals import refused, say_next
from worker.sandbox.demo import CALLS_PER_SECOND, Board, Demo, started
from worker.sandbox.demo_broker import DemoBroker, demo_broker
from worker.sandbox.demo_world import STAGED
from worker.telemetry import quiet_logs

_ANOTHER_BROKER = "start the broker of ROTATION_TEST_AMQP_URL, or unset it: then the demo brings one of its own"
_STYLES = {
    "succeeded": "green",
    "failed": "red",
    "superseded": "yellow",
    "rotating": "cyan",
    "going back": "magenta",
    "waiting": "dim",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: rotation-worker demo"


def execute(args: argparse.Namespace) -> int:
    quiet_logs()
    # What is not the result is for people.
    told = console(sys.stderr if args.json else sys.stdout)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rotation-demo-")))
        try:
            broker = stack.enter_context(demo_broker(folder))
            told.print(f"Broker: {broker.about}. APIG allows {CALLS_PER_SECOND} calls a second.")
            told.print(STAGED)
            demo = asyncio.run(_show(folder, broker))
        except KeyboardInterrupt:
            told.print("Interrupted; everything is stopped.")
            return INTERRUPTED
        except BrokerError as error:
            return refused(args, UNAVAILABLE, "broker_unavailable", f"broker: {error}", _ANOTHER_BROKER)
    told.print(_table(demo.board))
    if args.json:
        print_json(
            [
                {"certificate": name, "outcome": line.state, "reason": line.reason, "served": line.served}
                for name, line in demo.board.lines.items()
            ]
        )
    _sum_up(demo, told)
    if not demo.is_good:
        say_next("report it with what is told above: it should have ended otherwise")
    return OK if demo.is_good else FAILED


async def _show(folder: Path, broker: DemoBroker) -> Demo:
    async with started(folder, broker) as demo:
        async with progress(lambda: _table(demo.board)) as parts:
            part = parts.part("renewals", len(demo.board.lines))
            async for board in demo.follow():
                part.is_now(line.state for line in board.lines.values() if line.is_over)
        await demo.shake_hands()
        return demo


def _table(board: Board) -> Table:
    table = Table("certificate", "bindings", "outcome", "reason", "served", box=None, pad_edge=False)
    for name, line in board.lines.items():
        handled = f"{line.handled}/{line.entry.bindings}"
        table.add_row(name, handled, f"[{_STYLES[line.state]}]{line.state}[/]", line.reason, line.served)
    return table


def _sum_up(demo: Demo, told: Console) -> None:
    lines = demo.board.lines.values()
    counts = {state: sum(line.state == state for line in lines) for state in ("succeeded", "failed", "superseded")}
    calls = len(demo.sandbox.world.journal)
    summed = ", ".join(f"{count} {state}" for state, count in counts.items())
    told.print(f"{summed}; {calls} calls, {demo.sandbox.apig_throttle.refused} of them refused for being too many.")
    for event in demo.events:
        for deployment in event["data"]["deployments"]:
            for failure in deployment["failures"]:
                code = f" ({failure['code']})" if failure["code"] else ""
                told.print(f"{event['subject']}: {failure['name']}: {failure['reason']}{code}")
            if went := deployment["bindings"]["rolled_back"]:
                told.print(f"{event['subject']}: {went} domains went back to the certificate that they had.")
