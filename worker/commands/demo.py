"""`rotation-worker demo`: everything at once, with a live table; ends with the handshakes."""

import argparse
import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from worker.commands.exits import FAILED, INTERRUPTED, OK
from worker.commands.output import print_json
from worker.sandbox.demo import CALLS_PER_SECOND, Board, Demo, started
from worker.sandbox.demo_broker import DemoBroker, demo_broker
from worker.telemetry import quiet_logs

_STYLES = {
    "succeeded": "green",
    "failed": "red",
    "superseded": "yellow",
    "rotating": "cyan",
    "going back": "magenta",
    "waiting": "dim",
}


def configure(_parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


def execute(args: argparse.Namespace) -> int:
    quiet_logs()
    console = Console(stderr=args.json)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rotation-demo-")))
        try:
            broker = stack.enter_context(demo_broker(folder))
            console.print(f"Broker: {broker.about}. APIG allows {CALLS_PER_SECOND} calls a second.")
            demo = asyncio.run(_show(folder, broker, console))
        except KeyboardInterrupt:
            console.print("Interrupted; everything is stopped.")
            return INTERRUPTED
    if args.json:
        print_json(
            [
                {"certificate": name, "outcome": line.state, "reason": line.reason, "served": line.served}
                for name, line in demo.board.lines.items()
            ]
        )
    _sum_up(demo, console)
    return OK if demo.is_good else FAILED


async def _show(folder: Path, broker: DemoBroker, console: Console) -> Demo:
    async with started(folder, broker) as demo:
        with Live(_table(demo.board), console=console, refresh_per_second=5, transient=True) as live:
            async for board in demo.follow():
                live.update(_table(board))
        await demo.shake_hands()
        console.print(_table(demo.board))
        return demo


def _table(board: Board) -> Table:
    table = Table("certificate", "bindings", "outcome", "reason", "served", box=None, pad_edge=False)
    for name, line in board.lines.items():
        handled = f"{line.handled}/{line.entry.bindings}"
        table.add_row(name, handled, f"[{_STYLES[line.state]}]{line.state}[/]", line.reason, line.served)
    return table


def _sum_up(demo: Demo, console: Console) -> None:
    lines = demo.board.lines.values()
    counts = {state: sum(line.state == state for line in lines) for state in ("succeeded", "failed", "superseded")}
    calls = len(demo.sandbox.world.journal)
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    console.print(f"{told}; {calls} calls, {demo.sandbox.apig_throttle.refused} of them refused for being too many.")
    for event in demo.events:
        for deployment in event["data"]["deployments"]:
            for failure in deployment["failures"]:
                code = f" ({failure['code']})" if failure["code"] else ""
                console.print(f"{event['subject']}: {failure['name']}: {failure['reason']}{code}")
            if went := deployment["bindings"]["rolled_back"]:
                console.print(f"{event['subject']}: {went} domains went back to the certificate that they had.")
