"""The command line as a process of its own."""

import asyncio
import sys
from pathlib import Path


async def run(*words: str | Path, stderr: int = asyncio.subprocess.PIPE) -> tuple[int, str, str]:
    """Exit status, stdout and stderr, which is empty where it went elsewhere."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", *map(str, words)),
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
