"""`python -m tests.bite [NAME…]`: makes every deliberate fault in a copy of the worker; the test it names must fail.

A name chooses the faults whose names begin so. Exit status 1 where a fault survives, or a test fails without one.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.bite.fault import ROOT, Fault
from tests.bite.faults import FAULTS

_AT_ONCE: Final = 2
_COPIED: Final = ("worker", "tests", "config", "docs", "pyproject.toml", "README.md", "Makefile", "Dockerfile")
_CAUGHT: Final = 1
"""pytest's exit status where tests have failed. Others say that it could not run them, which catches nothing."""


def copied(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    for name in _COPIED:
        if (source := ROOT / name).is_dir():
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)
    return folder


async def run(test: str, folder: Path) -> int:
    """The exit status of pytest, which imports the copy in `folder`, as all that it starts does."""
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--timeout", "60")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", *options, f"tests/{test}"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await child.wait()


async def passes(test: str, turns: asyncio.Semaphore) -> bool:
    async with turns:
        with tempfile.TemporaryDirectory() as name:
            return await run(test, copied(Path(name))) == 0


async def status_with(fault: Fault, turns: asyncio.Semaphore) -> int:
    async with turns:
        with tempfile.TemporaryDirectory() as name:
            source = fault.source(copied(Path(name)))
            source.write_text(fault.applied(source.read_text(encoding="utf-8")), encoding="utf-8")
            return await run(fault.test, Path(name))


def told(status: int, *, is_sound: bool) -> str:
    if not is_sound:
        return "TEST FAILS ANYWAY"
    if status == _CAUGHT:
        return "caught"
    return "SURVIVES" if status == 0 else f"NOT RUN (pytest ended with {status})"


async def bite(faults: Sequence[Fault]) -> bool:
    """Whether every fault was caught by a test that passes without it."""
    turns, began = asyncio.Semaphore(_AT_ONCE), time.monotonic()
    tests = sorted({one.test for one in faults})
    sound = dict(zip(tests, await asyncio.gather(*(passes(one, turns) for one in tests)), strict=True))
    statuses = await asyncio.gather(*(status_with(one, turns) for one in faults))
    verdicts = [told(status, is_sound=sound[one.test]) for one, status in zip(faults, statuses, strict=True)]
    for fault, verdict in zip(faults, verdicts, strict=True):
        print(f"{verdict:<18} {fault.name:<58} {fault.test.rpartition('::')[2]}")
    caught = verdicts.count("caught")
    print(f"{caught} of {len(faults)} faults caught by {len(tests)} tests in {time.monotonic() - began:.0f} s")
    return caught == len(faults)


def main(names: Sequence[str]) -> int:
    chosen = [one for one in FAULTS if one.name.startswith(tuple(names) or ("",))]
    is_sound = asyncio.run(bite(chosen))
    return 0 if chosen and is_sound else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
