"""`rotation-worker run` as a process of its own, and its settings as a file."""

import asyncio
import json
import signal
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.acme import SCRIPT, succeed
from tests.support.clouds import apig_gateway, bycloud_gateway
from tests.support.ports import free_port
from worker.sandbox import Sandbox


def toml(value: object) -> str:
    """A TOML value, inline."""
    match value:
        case Mapping():
            return "{" + ", ".join(f"{json.dumps(str(key))} = {toml(one)}" for key, one in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(toml(one) for one in value) + "]"
        case Path():
            return json.dumps(str(value))
        case _:
            return json.dumps(value)


def write_settings(
    sandbox: Sandbox, folder: Path, roots: Path, broker: Mapping[str, Any], certificates: Mapping[str, Any], **more: Any
) -> Path:
    """A worker's settings file; `file` material may lie anywhere below `folder`."""
    sections = {
        "broker": broker,
        "retry": {"parking_seconds": [1, 2], "deadline_seconds": 10, "drain_seconds": 5},
        "trust": {"allow_staging_issuers": True, "ca_bundle": roots, "roots": {"files": [folder]}},
        "gateways": {"apig": apig_gateway(sandbox, folder), "bycloud": bycloud_gateway(sandbox, folder)},
        "certificates": certificates,
        "publish": {"spool": folder / "spool"},
        "http": {"listen": f"127.0.0.1:{free_port()}"},
        **more,
    }
    path = folder / "worker.toml"
    path.write_text("\n".join(f"{name} = {toml(section)}" for name, section in sections.items()) + "\n")
    return path


@asynccontextmanager
async def service(settings: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Ends by SIGTERM, which must end in a clean drain. It logs all that it can, for the leak canary to read."""
    child = await asyncio.create_subprocess_exec(SCRIPT, "run", "-v", "--config", settings)
    try:
        await up(settings)
        yield child
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
        assert await child.wait() in (0, -signal.SIGKILL)


async def outcomes(settings: Path, count: int) -> list[dict[str, Any]]:
    """The first `count` outcome events, in order, as `rotation-worker history` tells them."""
    while True:
        events = json.loads(await succeed(SCRIPT, "history", "--config", settings, "--json"))
        if len(events) >= count:
            return list(reversed(events))[:count]
        await asyncio.sleep(0.2)


async def up(settings: Path) -> None:
    """Until the worker consumes or stands by: then the broker's objects are there, and it hears signals."""
    listen = tomllib.loads(settings.read_text(encoding="utf-8"))["http"]["listen"]
    async with aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientConnectorError):
                async with session.get(f"http://{listen}/readyz") as answer:
                    if answer.status == HTTPStatus.OK:
                        return
            await asyncio.sleep(0.05)
