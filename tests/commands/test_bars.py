"""The bars of `rotation-worker rotate`, on a terminal."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from tests.commands.processes import run
from worker.sandbox import Sandbox
from worker.sandbox.playground import Playground
from worker.sandbox.world import Fault


def shown_on(terminal: int) -> str:
    """All that is written to it, until nobody can write any more."""
    said = b""
    try:
        while flight := os.read(terminal, 4096):
            said += flight
    except OSError:  # that is how Linux tells its end
        pass
    return said.decode()


async def test_while_a_hold_lasts_the_estimate_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    async with Sandbox() as sandbox:
        told = await Playground(sandbox, tmp_path).laid_out()
        sandbox.world.faults.append(Fault("attach_domains", status=429, headers={"Retry-After": "4"}))
        mine, its = os.openpty()
        watching = asyncio.create_task(asyncio.to_thread(shown_on, mine))
        material = ("--chain", tmp_path / "chain.pem", "--key", tmp_path / "key.pem")
        status, _, _ = await run("rotate", "shop", "--config", str(told["settings"]), *material, stderr=its)
        os.close(its)
        said = await watching
        os.close(mine)
    assert status == 0
    estimates = set(re.findall(r"about \d s", said))
    assert len(estimates) > 1, "it counts down"
