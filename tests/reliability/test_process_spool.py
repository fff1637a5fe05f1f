"""`rotation-worker publish` killed at each of its effects, and on a full disk."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.processes import run_code
from tests.publish.lineages import Lineage, renewed

# Kills itself in the place of its N-th effect on disk or at the broker, or right after it.
KILLED = """
import os, pathlib, signal, sys
from worker.broker.sqlite import SqliteBroker
from worker.cli import main
at, when = int(sys.argv[1]), sys.argv[2]
effects = 0
def met():
    global effects
    effects += 1
    if effects == at and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    return effects
def passed(number):
    if number == at and when == "after":
        os.kill(os.getpid(), signal.SIGKILL)
def counted(place, name):
    real = getattr(place, name)
    def effect(*words, **options):
        if name == "open" and "spool" not in str(words[0]):
            return real(*words, **options)
        number = met()
        done = real(*words, **options)
        passed(number)
        return done
    setattr(place, name, effect)
for place, name in ((os, "open"), (os, "fsync"), (pathlib.Path, "rename"), (pathlib.Path, "unlink")):
    counted(place, name)
real_publish = SqliteBroker.publish_renewal
async def publish(self, message):
    number = met()
    await real_publish(self, message)
    passed(number)
SqliteBroker.publish_renewal = publish
status = main(["publish", *sys.argv[3:]])
print("effects:", effects)
sys.exit(status)
"""
EFFECTS = 11
"""Of one call that has nothing to clear: so that none is added without being killed here."""


def configuration(folder: Path) -> Path:
    path = folder / "worker.toml"
    roots = '[trust.roots]\nfiles = ["."]'
    path.write_text(f'[broker]\nurl = "sqlite:///queue.db"\n{roots}\n[publish]\nproducer = "acme"\nspool = "spool"\n')
    return path


async def publish(folder: Path, lineage: Lineage, name: str, *, at: int = 0, when: str = "before") -> tuple[int, str]:
    files = ("--chain", lineage.chain, "--key", lineage.private_key, "--config", configuration(folder))
    status, said, _ = await run_code(KILLED, str(at), when, name, *files)
    return status, said


def queued(folder: Path) -> list[tuple[str, str]]:
    """Certificate and renewal id of everything in the embedded broker."""
    with sqlite3.connect(folder / "queue.db") as database:
        rows = database.execute("SELECT body FROM messages ORDER BY rowid").fetchall()
    return [(event["data"]["certificate"], event["id"]) for event in (json.loads(body) for (body,) in rows)]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_hook_killed_at_any_effect_loses_nothing_and_sends_nothing_under_two_ids(
    tmp_path: Path, when: str
) -> None:
    ends = await asyncio.gather(*(killed_at(tmp_path / str(at), at, when) for at in range(1, EFFECTS + 1)))
    assert [end for end in ends if end] == []


async def killed_at(folder: Path, at: int, when: str) -> str:
    """What is wrong, if anything is."""
    lineage = renewed(folder)
    status, _ = await publish(folder, lineage, "first", at=at, when=when)
    was_kept = {path.name.split("-", 1)[1].removesuffix(".json") for path in (folder / "spool").glob("*.json")}
    if status != -9:
        return f"{at}: it was not killed"
    status, _ = await publish(folder, lineage, "second")
    found = queued(folder)
    first = {renewal for name, renewal in found if name == "first"}
    if status != 0 or len(first) > 1 or not was_kept <= first:
        return f"{at}: {status} {len(first)} ids, {len(was_kept)} were kept"
    if [name for name, _ in found].count("second") != 1 or list((folder / "spool").glob("*.json")):
        return f"{at}: what came later was not sent once"
    return ""


async def test_so_many_effects_does_a_hook_have(tmp_path: Path) -> None:
    status, said = await publish(tmp_path, renewed(tmp_path), "first")
    assert (status, said.splitlines()[-1]) == (0, f"effects: {EFFECTS}")


def may_mount() -> bool:
    return subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="mounting a small file system needs root")
async def test_a_hook_on_a_full_disk_sends_at_once(tmp_path: Path) -> None:
    """The spool is a file system of its own, and full."""
    lineage, spool = renewed(tmp_path), tmp_path / "spool"
    spool.mkdir()
    fill = f"mount -t tmpfs -o size=4k,mode=700 none {spool} && head -c 4096 /dev/zero > {spool}/full"
    words = ("publish", "shop", "--chain", lineage.chain, "--key", lineage.private_key)
    child = await asyncio.create_subprocess_exec(
        *("unshare", "-m", "sh", "-c", f'{fill}; exec "$@"', "sh", sys.executable, "-m", "worker", *words),
        *("--config", configuration(tmp_path)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaints = await child.communicate()
    assert (child.returncode, [name for name, _ in queued(tmp_path)]) == (0, ["shop"]), complaints
    assert b"No space left on device" in complaints
