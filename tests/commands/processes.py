"""The command line as a process of its own."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


async def run(
    *words: str | Path, stderr: int = asyncio.subprocess.PIPE, before: Sequence[str] = ()
) -> tuple[int, str, str]:
    """Exit status, stdout and stderr, which is empty where it went elsewhere. `before`: what starts it."""
    child = await asyncio.create_subprocess_exec(
        *(*before, sys.executable, "-m", "worker", *map(str, words)),
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )
    said, complained = await child.communicate()
    return child.returncode or 0, said.decode(), (complained or b"").decode()


async def run_code(code: str, *words: str | Path) -> tuple[int, str, str]:
    """The same of a piece of Python."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, *map(str, words)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await child.communicate()
    return child.returncode or 0, said.decode(), complained.decode()


@dataclass(frozen=True, slots=True)
class Ended:
    """`screen`: all that a terminal was told; of a command whose stdout was none, `said` is what was there."""

    status: int
    said: str
    screen: str


async def run_on_terminal(
    *words: str | Path, is_stdout_too: bool = False, environ: Mapping[str, str] = _NOTHING
) -> Ended:
    """With stderr on a pseudo-terminal of 120 columns, and stdout where that is asked for."""
    mine, its = os.openpty()
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", *map(str, words)),
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LANG": "C.UTF-8", **environ},
        stdout=its if is_stdout_too else asyncio.subprocess.PIPE,
        stderr=its,
    )
    os.close(its)
    screen, (said, _) = await asyncio.gather(asyncio.to_thread(_all_of, mine), child.communicate())
    os.close(mine)
    return Ended(child.returncode or 0, (said or b"").decode(), screen)


def _all_of(terminal: int) -> str:
    """All that is written to it, until nobody can write any more."""
    told = b""
    with suppress(OSError):  # that is how Linux tells its end
        while flight := os.read(terminal, 4096):
            told += flight
    return told.decode()
