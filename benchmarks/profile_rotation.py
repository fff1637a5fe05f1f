"""Where a rotation's processor time goes: the worker under cProfile, with the minimum rotation.

`python -m benchmarks.profile_rotation [--messages N] [--lines N]`. A profile makes Python code look dearer than it is
beside what is written in C: it tells where to look, and `floor` tells what it was worth.
"""

import argparse
import cProfile
import pstats
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.recording import iam
from benchmarks.rig import Contestant, Rig, rig, run_once, worker_settings
from benchmarks.standin import Standin

_CHECKS: Final = tuple(
    f"worker/core/{name}.py"
    for name in ("certificate", "pem", "reading", "case", "rules", "leaf_rules", "chain_rules", "private_key")
)
_PARTS: Final = (
    ("HTTP client", ("/aiohttp/", "/yarl/", "/multidict/")),
    ("transport: limits", ("worker/limits/", "worker/effort.py")),
    ("transport: calls, bodies", ("worker/gateways/transport.py", "gateways/exchange.py", "gateways/bodies.py")),
    ("gateway: reads, binding", ("worker/gateways/",)),
    ("certificate checks", (*_CHECKS, "/cryptography/", "worker/trust/")),
    ("planning, reading back", ("worker/core/", "worker/rotation.py")),
    ("metrics, logs", ("/prometheus_client/", "/structlog/", "worker/telemetry.py")),
    ("what the page shows", ("worker/fleet/", "worker/web/", "worker/forecast.py", "worker/under_way.py")),
    ("AMQP", ("/aio_pika/", "/aiormq/", "/pamqp/", "worker/broker/")),
    ("consumer", ("worker/",)),
    ("event loop", ("/asyncio/", "/selectors.py", "/uvloop/")),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile_rotation", description=__doc__)
    parser.add_argument("--messages", type=int, default=600)
    parser.add_argument("--lines", type=int, default=45)
    parser.add_argument("--keep", type=Path, help="where to keep the profile, for pstats")
    parser.add_argument("--inside", nargs=2, metavar=("SETTINGS", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        return _profiled(*args.inside)
    with rig(args.messages) as ready, iam() as iam_endpoint:
        out = ready.folder / "profile"

        def command(rig: Rig, standin: Standin) -> Sequence[str]:
            settings = str(worker_settings(rig, standin, iam_endpoint))
            return [sys.executable, "-m", "benchmarks.profile_rotation", "--inside", settings, str(out)]

        run_once(ready, Contestant("profiled", command), latency=0.0)
        if args.keep is not None:
            shutil.copy(out, args.keep)
        for part, seconds in by_part(pstats.Stats(str(out))).most_common():
            print(f"{seconds / args.messages * 1e6:8.0f} us  {part}")
        for order in ("tottime", "cumulative"):
            stats = pstats.Stats(str(out))
            stats.sort_stats(order).print_stats(args.lines)
    return 0


def by_part(stats: pstats.Stats) -> Counter[str]:
    """Own time; what is written in C counts for whoever calls it."""
    found: Counter[str] = Counter()
    for (file, _, _), (_, _, own, _, callers) in stats.stats.items():  # type: ignore[attr-defined]
        if file == "~" and callers:
            for (caller, _, _), told in callers.items():
                found[_part(caller)] += told[2]
        else:
            found[_part(file)] += own
    return found


def _part(file: str) -> str:
    return next((part for part, places in _PARTS if any(place in file for place in places)), "others")


def _profiled(settings: str, out: str) -> int:
    import worker.app  # noqa: F401, PLC0415 - the profile begins with the service, not with imports
    from worker.cli import main as rotation_worker  # noqa: PLC0415 - likewise

    sys.argv[1:] = ["run", "--config", settings]
    with cProfile.Profile(time.thread_time) as profile:
        status = rotation_worker()
    profile.dump_stats(out)
    return status


if __name__ == "__main__":
    sys.exit(main())
