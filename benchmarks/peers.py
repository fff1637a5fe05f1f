"""The worker against what people take instead: task frameworks, and the vendor's SDK in threads.

Each peer makes the 11 calls that change something, publishes a confirmed event, and acks. The worker makes its reads
and its checks besides: where a peer is ahead, the note tells by how much less it does.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from benchmarks.floor import SCRIPT, least, worker
from benchmarks.recording import iam, recorded
from benchmarks.report import Row, at_least
from benchmarks.rig import Contestant, Pass, Rig, compare, cpu, rate, rig
from benchmarks.standin import Standin

_GROUP: Final = "peers"
_LATENCIES: Final = (0.0, 0.05)


def run(*, quick: bool) -> list[Row]:
    count, rounds = (200, 1) if quick else (800, 3)
    rows: list[Row] = []
    with rig(count) as bare, iam() as iam_endpoint:
        ready = recorded(bare, SCRIPT, iam_endpoint)
        contestants = [worker(iam_endpoint), *peers()]
        for latency in _LATENCIES:
            print(f" at {latency * 1000:g} ms", file=sys.stderr, flush=True)
            rows += _rows(compare(ready, contestants, latency=latency, rounds=rounds), latency)
    return rows


def peers() -> Sequence[Contestant]:
    return [
        Contestant("FastStream", _module("faststream")),
        Contestant("Celery, 8 processes", _module("celery", "prefork"), _module("celery", "enqueue")),
        Contestant("Celery, 32 threads", _module("celery", "threads"), _module("celery", "enqueue")),
        Contestant("dramatiq, 32 threads", _module("dramatiq", "run"), _module("dramatiq", "enqueue")),
        Contestant("official SDK, 32 threads", _module("sdk")),
    ]


def _module(name: str, *options: str) -> Callable[[Rig, Standin], Sequence[str]]:
    def command(rig: Rig, standin: Standin) -> Sequence[str]:
        spec = str(rig.spec(standin, least(rig.steps)))
        # The SDK writes below HOME when it is imported.
        home = f"HOME={rig.folder}"
        return ["/usr/bin/env", home, sys.executable, "-m", f"benchmarks.peer_{name}", spec, *options]

    return command


def _rows(found: Mapping[str, Sequence[Pass]], latency: float) -> list[Row]:
    at = f"at {latency * 1000:g} ms"
    ours = found["worker"]
    rows = [
        Row(_GROUP, f"{name}, {at}", rate(passes), "rotations/s", note=_note(passes)) for name, passes in found.items()
    ]
    return rows + [
        at_least(_GROUP, f"worker / {name}, {at}", rate(ours) / rate(passes), "", 1.0, _less(ours, passes))
        for name, passes in found.items()
        if name != "worker"
    ]


def _note(passes: Sequence[Pass]) -> str:
    return f"median of {len(passes)}; {cpu(passes) * 1000:.2f} ms CPU, {passes[0].calls:.0f} calls each"


def _less(ours: Sequence[Pass], theirs: Sequence[Pass]) -> str:
    """What the peer leaves out."""
    fewer = ours[0].calls - theirs[0].calls
    return f"{fewer:.0f} calls fewer, no check of message, certificate, key, binding" if fewer > 0 else ""
