"""`make bench`: every benchmark, or those named; a table and `benchmarks/results.json` at the end."""

import argparse
import importlib
import sys
from pathlib import Path
from typing import Final

from benchmarks.report import Row, show, write

ALL: Final = ("limit", "growth", "scale", "lag", "page", "hostile", "memory", "floor", "peers")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; default: all")
    parser.add_argument("--quick", action="store_true", help="smaller figures, to see that everything runs")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_name("results.json"), metavar="FILE")
    args = parser.parse_args()
    rows: list[Row] = []
    for name in args.names or ALL:
        print(f"{name}…", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"benchmarks.{name}").run(quick=args.quick)
    show(rows)
    write(rows, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
