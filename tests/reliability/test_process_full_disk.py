"""The embedded broker's file on a disk that is full, and has room again."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALONE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
"""Nobody else sees what is mounted, and nothing outlives the first process."""


def may_mount() -> bool:
    return subprocess.run([*ALONE, "true"], check=False, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not may_mount(), reason="mounting a small file system needs root")


async def play(scenario: str, folder: Path, options: str) -> None:
    disk = folder / "disk"
    disk.mkdir()
    mounted = f'mount -t tmpfs -o mode=700,{options} none {disk} && exec "$@"'
    child = await asyncio.create_subprocess_exec(
        *(*ALONE, "sh", "-c", mounted, "sh", sys.executable, "-m", "tests.reliability.full_disk"),
        *(scenario, folder, disk),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, complaints = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == 0, complaints.decode()


async def test_a_disk_that_is_full_in_the_middle_of_rotations_delays_them_and_loses_none(tmp_path: Path) -> None:
    await play("in_the_middle", tmp_path, "size=1m")


async def test_a_worker_that_starts_on_a_full_disk_says_so_and_begins_when_there_is_room(tmp_path: Path) -> None:
    await play("at_the_start", tmp_path, "size=1m,nr_inodes=6")
