"""`rotation-worker sandbox`: what it prints at its start is all that one needs, to use it and to make it fail."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.commands.processes import run
from worker.sandbox import Sandbox
from worker.sandbox.control import FAULT
from worker.sandbox.flaws import FLAW
from worker.sandbox.world import CLOUDS
from worker.settings.loading import load

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


@asynccontextmanager
async def sandbox(*options: str) -> AsyncIterator[Mapping[str, Any]]:
    """What it says at its start."""
    words = ("-m", "worker", "sandbox", "--propagation", "0", *options)
    child = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    try:
        said = await child.stdout.readuntil(b"\n}\n")
        yield json.loads(said)
    finally:
        child.send_signal(signal.SIGTERM)
        assert await child.wait() == 0


async def test_what_it_prints_is_enough_to_rotate_and_to_make_that_fail() -> None:
    async with sandbox() as told, aiohttp.ClientSession() as session:
        named = ("project_id", "account", "user", "password", "access_key", "secret_key", "key_id", "secret", "token")
        assert all(told[name] for name in named)
        assert Path(told["ca_file"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
        material = ("--chain", told["renewed"]["chain"], "--key", told["renewed"]["key"])
        fault = {"operation": "modify_certificate", "status": 403, "body": {"error_code": "APIG.1005"}}
        async with session.post(f"{told['control']}/faults", json=fault) as answer:
            assert answer.status == 201
        status, said, _ = await run("rotate", "shop", "--config", told["settings"], *material)
        assert (status, "apig: failed (forbidden)" in said) == (1, True)
        status, said, _ = await run("rotate", "shop", "--config", told["settings"], *material)
        assert (status, said[:24]) == (0, "shop: succeeded (rotated")
        status, said, _ = await run("check", "--json", "--config", told["settings"])
        assert (status, all(one["is_good"] for one in json.loads(said))) == (0, True)
    assert not Path(told["settings"]).parent.exists()


async def test_the_page_tells_how_its_workers_status_page_stays_at_one_port() -> None:
    exported = dict(re.findall(r"`export (ROTATION_\w+)=(\S+)`", PAGE.read_text()))
    async with sandbox() as told:
        listens = [load(Path(told["settings"]), environ).http.listen for environ in ({}, exported)]
    assert listens == ["127.0.0.1:0", "127.0.0.1:8080"]
    assert f"http://{listens[1]}/" in PAGE.read_text()


def named_in(text: str) -> set[str]:
    return set(re.findall(r"[a-z_]+", text))


async def test_help_and_readme_tell_how_to_make_it_fail() -> None:
    _, said, _ = await run("sandbox", "--help")
    assert Sandbox().world.operations | set(FAULT) | set(FLAW) <= named_in(said)
    assert Sandbox().world.operations | set(FAULT) | CLOUDS <= named_in(PAGE.read_text())
    options = {"--domains", "--limit", "--latency"}
    assert all(option in said and option in PAGE.read_text() for option in options)


async def test_it_can_be_large_and_strict_and_a_rotation_learns_its_limit() -> None:
    async with sandbox("--domains", "45", "--limit", "4/1", "--latency", "0.01") as told:
        material = ("--chain", told["renewed"]["chain"], "--key", told["renewed"]["key"])
        status, said, logged = await run("rotate", "shop", "--config", told["settings"], *material)
        assert (status, said.count("succeeded (rotated), 45 attached\n")) == (0, 1)
        assert '"calls": 4, "seconds": 1' in logged
        async with aiohttp.ClientSession() as session, session.get(f"{told['control']}/journal") as answer:
            statuses = [call["status"] for call in await answer.json() if call["operation"] != "obtain_token"]
        assert statuses.count(429)


@pytest.mark.parametrize(
    "words", [("--limit", "20"), ("--limit", "0/1"), ("--limit", "5/0"), ("--domains", "0"), ("--latency", "nan")]
)
async def test_what_is_no_limit_number_or_time_is_refused(words: tuple[str, str]) -> None:
    status, said, complained = await run("sandbox", *words)
    assert (status, said) == (2, "")
    assert f"argument {words[0]}: invalid " in complained
