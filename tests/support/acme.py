"""Pebble, Let's Encrypt's test CA, and the ACME clients against it."""

import asyncio
import json
import os
import shutil
import ssl
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.support.ports import free_port
from worker.sandbox.ca import Authority

SCRIPT = Path(sys.executable).with_name("rotation-worker")


def require(program: str) -> str:
    """The program's path. Missing, it is a skip by name here and a failure in CI."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        message = f"{program} is not installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


async def succeed(*words: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Runs a program to its end; its output, which an error shows."""
    child = await asyncio.create_subprocess_exec(
        *map(str, words),
        env={**os.environ, **(env or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await child.communicate()
    assert child.returncode == 0, f"{words[0]}: {output.decode()}"
    return output.decode()


@dataclass(frozen=True, slots=True)
class Pebble:
    """A running CA. `roots` is the PEM of what its certificates lead to, `api_ca` that of its own TLS certificate."""

    directory: str
    roots: Path
    api_ca: Path
    folder: Path

    async def lego(self, verb: str, names: Sequence[str], hook: str) -> str:
        """`run` or `renew`; the certificates lie in folder/lego/certificates."""
        program = require("lego")
        own = ["--run-hook", hook] if verb == "run" else ["--no-random-sleep", "--renew-hook", hook, "--days", "9999"]
        domains = [word for name in names for word in ("--domains", name)]
        common: list[str | Path] = [
            "--server",
            self.directory,
            "--accept-tos",
            "--email",
            "a@example.com",
            "--path",
            self.folder / "lego",
        ]
        http = ["--http", "--http.port", f"127.0.0.1:{free_port()}"]
        env = {"LEGO_CA_CERTIFICATES": str(self.api_ca)}
        return await succeed(program, *common, *domains, *http, verb, *own, env=env)

    async def certbot(self, verb: Sequence[str], names: Sequence[str], hook: str) -> str:
        """`certonly` or `renew`; the lineages lie in folder/certbot/live."""
        program = require("certbot")
        folders = [
            f"--{kind}-dir={self.folder / 'certbot'}{tail}"
            for kind, tail in (("config", ""), ("work", "/w"), ("logs", "/l"))
        ]
        domains = [word for name in names for word in ("-d", name)]
        http = ["--http-01-port", str(free_port()), "--deploy-hook", hook]
        words = [*verb, "-n", "--server", self.directory, *folders, *domains, *http]
        return await succeed(program, *words, env={"REQUESTS_CA_BUNDLE": str(self.api_ca)})

    async def dehydrated(self, names: Sequence[str], hook: str) -> str:
        """Issues, or issues again; the hook is called for every step of it."""
        program = require("dehydrated")
        own = self.folder / "dehydrated"
        (own / "challenges").mkdir(parents=True, exist_ok=True)
        script = own / "hook.sh"
        script.write_text(f'#!/bin/sh\nexec {hook} -- "$@"\n')
        script.chmod(0o700)
        settings = {
            "CA": self.directory,
            "BASEDIR": own,
            "WELLKNOWN": own / "challenges",
            "CHALLENGETYPE": "http-01",
            "HOOK": script,
            "CURL_OPTS": f"--cacert {self.api_ca}",
        }
        (own / "config").write_text("".join(f'{name}="{value}"\n' for name, value in settings.items()))
        await succeed(program, "--register", "--accept-terms", "--config", own / "config")
        domains = [word for name in names for word in ("--domain", name)]
        return await succeed(program, "--cron", "--force", "--config", own / "config", *domains)


@asynccontextmanager
async def pebble(folder: Path) -> AsyncIterator[Pebble]:
    """A private CA that believes every challenge."""
    program = require("pebble")
    api = Authority.create("Pebble API").issue(["localhost", "127.0.0.1"])
    authority = Authority.create("Pebble API")
    api = authority.issue(["localhost", "127.0.0.1"])
    files = {"api.pem": api.chain_pem, "api.key": api.private_key_pem, "api-ca.pem": authority.root_pem}
    for name, content in files.items():
        (folder / name).write_text(content)
    listen, management = free_port(), free_port()
    config = {
        "listenAddress": f"127.0.0.1:{listen}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(folder / "api.pem"),
        "privateKey": str(folder / "api.key"),
        "httpPort": 5002,
        "tlsPort": 5001,
        "certificateValidityPeriod": 86400,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    child = await asyncio.create_subprocess_exec(
        program,
        "-config",
        folder / "pebble.json",
        env={**os.environ, "PEBBLE_VA_ALWAYS_VALID": "1", "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        roots = folder / "roots.pem"
        roots.write_text(await _root(f"https://localhost:{management}/roots/0", folder / "api-ca.pem"))
        yield Pebble(f"https://localhost:{listen}/dir", roots, folder / "api-ca.pem", folder)
    finally:
        child.terminate()
        await child.wait()


async def _root(url: str, ca: Path) -> str:
    """Asked until the CA is up."""
    context = ssl.create_default_context(cafile=ca)
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url, ssl=context) as response:
                    return await response.text()
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)
