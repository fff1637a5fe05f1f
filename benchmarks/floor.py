"""The worker against the least that any worker must do: a bare script with the same calls and no check at all."""

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.recording import iam, recorded
from benchmarks.report import Row, at_least
from benchmarks.rig import Contestant, Pass, Rig, Steps, compare, cpu, rate, rig, worker_settings
from benchmarks.standin import Standin

SCRIPT: Final = Path(sys.executable).with_name("rotation-worker")
_GROUP: Final = "floor"
_GOAL: Final = 0.80


def run(*, quick: bool) -> list[Row]:
    count, rounds = (300, 1) if quick else (1500, 5)
    rows: list[Row] = []
    with rig(count) as bare, iam() as iam_endpoint:
        ready = recorded(bare, SCRIPT, iam_endpoint)
        contestants = contestants_for(ready, iam_endpoint)
        rows += _calls(ready)
        for latency in (0.0, 0.05):
            print(f" at {latency * 1000:g} ms", file=sys.stderr, flush=True)
            rows += _rows(compare(ready, contestants, latency=latency, rounds=rounds), latency)
    return rows


def worker(iam_endpoint: str) -> Contestant:
    """With every check it makes; on uvloop where that is installed and the worker uses it."""

    def command(rig: Rig, standin: Standin) -> Sequence[str]:
        return [str(SCRIPT), "run", "--config", str(worker_settings(rig, standin, iam_endpoint))]

    return Contestant("worker", command)


def script(name: str, steps: Steps, *options: str) -> Contestant:
    def command(rig: Rig, standin: Standin) -> Sequence[str]:
        return [sys.executable, "-m", "benchmarks.bare", str(rig.spec(standin, steps)), *options]

    return Contestant(name, command)


def least(steps: Steps) -> Steps:
    """The calls that change something."""
    return [[call for call in step if call.method != "GET"] for step in steps if any(c.method != "GET" for c in step)]


def contestants_for(ready: Rig, iam_endpoint: str) -> Sequence[Contestant]:
    found = [
        worker(iam_endpoint),
        script("script, same calls", ready.steps),
        script("script, 11 calls", least(ready.steps)),
    ]
    if importlib.util.find_spec("uvloop") is not None:
        found.append(script("script on uvloop, same calls", ready.steps, "--uvloop"))
    return found


def _calls(ready: Rig) -> list[Row]:
    """The order in which they go out, calls that go together joined by a plus."""
    words = [f"{len(step)} {step[0].method}" if len(step) > 1 else step[0].method for step in ready.steps]
    count = sum(len(step) for step in ready.steps)
    return [Row(_GROUP, "calls a rotation", count, "calls", note=" → ".join(words))]


def _rows(found: Mapping[str, Sequence[Pass]], latency: float) -> list[Row]:
    at = f"at {latency * 1000:g} ms"
    ours = rate(found["worker"])
    rows = [
        Row(_GROUP, f"{name}, {at}", rate(passes), "rotations/s", note=_note(passes)) for name, passes in found.items()
    ]
    for name, passes in found.items():
        ratio, words = ours / rate(passes) if rate(passes) else 0.0, f"worker / {name}, {at}"
        note = f"CPU {cpu(found['worker']) / cpu(passes):.2f} times"
        if name == "script, same calls":
            rows.append(at_least(_GROUP, words, ratio, "", _GOAL, note))
        elif name != "worker":
            rows.append(Row(_GROUP, words, ratio, "", note=note))
    return rows


def _note(passes: Sequence[Pass]) -> str:
    return f"median of {len(passes)}; {cpu(passes) * 1000:.2f} ms CPU each"
