"""The host that the pages speak of: what they say is done, with the clouds simulated and the CA Pebble.

Only places and names of the outside world are put in the stead of what the page says; the commands are the page's own.
The programs on its PATH call the real ones, and tell them where that outside world is.
"""

import asyncio
import json
import os
import re
import shlex
import signal
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
from cryptography import x509

from tests.docs.pages import Block, section
from tests.support.acme import SCRIPT, Pebble, pebble, require
from tests.support.ports import free_port
from tests.support.service import up
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.ca import Authority
from worker.verification import served_chain

NAME: Final = "www.example.com"
_RELOADS: Final = re.compile(r'^rotation_settings_reloads_total\{state="(\w+)"\} (\S+)$', re.MULTILINE)
_PLACES: Final = {
    "/etc/rotation-worker": "etc",
    "/var/lib/rotation-worker": "lib",
    "/var/spool/rotation-worker": "spool",
    "/etc/letsencrypt": "certbot",
    "/etc/dehydrated": "dehydrated",
    "~/.acme.sh": "acme.sh",
}
_CERTBOT: Final = """\
#!/bin/sh -e
exec {program} "$@" -n --no-random-sleep-on-renew --server {directory} --http-01-port {port} \\
    --config-dir {folder}/certbot --work-dir {folder}/work --logs-dir {folder}/logs
"""
# Certificates begin at whole seconds: one renewed within the same second would not be newer.
_LEGO: Final = """\
#!/bin/sh -e
sleep 1
case " $* " in *" renew "*) set -- "$@" --no-random-sleep ;; esac
exec {program} --server {directory} --path {folder}/lego --http.port 127.0.0.1:{port} "$@"
"""
_DEHYDRATED: Final = """\
#!/bin/sh -e
exec {program} "$@" --config {folder}/dehydrated/config
"""
_OWN_OF_DEHYDRATED: Final = """\
CONFIG_D={folder}/dehydrated/conf.d
BASEDIR={folder}/dehydrated
WELLKNOWN={folder}
CA={directory}
CURL_OPTS="--cacert {api_ca}"
"""


@dataclass(slots=True)
class Host:
    """`says`: what stands here for what the pages say. `environ`: of every command."""

    folder: Path
    sandbox: Sandbox
    instance: str
    says: dict[str, str]
    environ: dict[str, str]
    worker: asyncio.subprocess.Process | None = None
    said: list[str] = field(default_factory=list)
    """What the commands of the last block printed."""

    def here(self, text: str) -> str:
        for page, ours in self.says.items():
            text = text.replace(page, ours)
        return text

    async def follow(self, page: str, *headings: str) -> None:
        """All that the page says below these headings, in its order."""
        for heading in headings:
            for block in section(page, heading):
                await self.carry_out(block)

    async def carry_out(self, block: Block) -> None:
        if "host" in block.words:
            return
        place = block.told("file") or block.told("append")
        if place is not None:
            self._write(Path(self.here(place)), self.here(block.text), is_new=block.told("append") is None)
        elif "service" in block.words:
            await self.start()
        elif block.language == "sh":
            self.said.clear()
            await self._run(block.text.splitlines())

    @staticmethod
    def _write(path: Path, text: str, *, is_new: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        before = "" if is_new else path.read_text(encoding="utf-8")
        path.write_text(f"{before}\n{text}".lstrip(), encoding="utf-8")
        path.chmod(0o600)

    async def _run(self, lines: Sequence[str]) -> None:
        """In one shell, but for what is told to the service manager."""
        waiting: list[str] = []
        for line in lines:
            if line.startswith("systemctl "):
                await self.shell(waiting)
                waiting.clear()
                await self._manage(shlex.split(line, comments=True)[1])
            else:
                waiting.append(line)
        await self.shell(waiting)

    async def shell(self, lines: Iterable[str]) -> None:
        script = self.here("\n".join(lines))
        child = await asyncio.create_subprocess_exec(
            *("sh", "-ec", script),
            cwd=self.folder,
            env={**os.environ, **self.environ},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await child.communicate()
        assert child.returncode == 0, f"{script}\n{output.decode()}"
        self.said.append(output.decode())

    async def _manage(self, verb: str) -> None:
        if verb == "reload":
            await self._reload()
            return
        assert verb in ("start", "stop", "restart")
        if verb != "start":
            await self.stop()
        if verb != "stop":
            await self.start()

    async def start(self) -> None:
        listen = f"127.0.0.1:{free_port()}"
        self.environ["ROTATION_HTTP__LISTEN"] = listen
        environ = {**os.environ, **self.environ}
        self.worker = await asyncio.create_subprocess_exec(SCRIPT, "run", "-v", env=environ)
        listening = self.folder / "listening.toml"
        listening.write_text(f'[http]\nlisten = "{listen}"\n', encoding="utf-8")
        await up(listening)

    async def _reload(self) -> None:
        """What it reads has to be in order."""
        assert self.worker is not None
        applied, refused = await self._reloads()
        self.worker.send_signal(signal.SIGHUP)
        while (now := await self._reloads()) == (applied, refused):
            await asyncio.sleep(0.05)
        assert now == (applied + 1, refused)

    async def _reloads(self) -> tuple[float, float]:
        """How many were applied, and how many refused."""
        url = f"http://{self.environ['ROTATION_HTTP__LISTEN']}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            told = dict(_RELOADS.findall(await answer.text()))
        return float(told.get("applied", 0)), float(told.get("refused", 0))

    async def stop(self) -> None:
        """In order, as a service manager does it."""
        if self.worker is None:
            return
        self.worker.send_signal(signal.SIGTERM)
        assert await self.worker.wait() == 0
        self.worker = None

    def program(self, name: str, text: str) -> None:
        """One on its PATH, in the stead of the machine's."""
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o700)

    async def command(self, *words: str | Path) -> tuple[int, str]:
        """Exit status, and what it printed."""
        child = await asyncio.create_subprocess_exec(
            *(SCRIPT, *words), env={**os.environ, **self.environ}, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await child.communicate()
        return child.returncode or 0, output.decode()

    async def outcomes(self, count: int) -> Sequence[Mapping[str, Any]]:
        """What the first `count` events tell, in order."""
        while True:
            _, told = await self.command("history", "--json")
            events = json.loads(told)
            if len(events) >= count:
                return [event["data"] for event in reversed(events)][:count]
            await asyncio.sleep(0.1)

    async def served(self) -> str:
        """The serial number that clients see."""
        ports = await self.sandbox.open_listeners()
        chain = await served_chain("127.0.0.1", ports[self.instance], NAME)
        return str(x509.load_der_x509_certificate(chain[0]).serial_number)

    async def succeeds(self, count: int) -> str:
        """The last of so many outcomes is a success, and clients see its serial number, which is returned."""
        told = (await self.outcomes(count))[-1]
        assert told["outcome"] == "succeeded", told
        serial = told["leaf"]["serial_number"]
        assert await self.served() == serial
        return str(serial)


def _clients(there: Host, authority: Pebble) -> None:
    """Their programs, and what they have to be told."""
    folder = there.folder
    told = {"directory": authority.directory, "folder": folder, "api_ca": authority.api_ca}
    for name, text in (("certbot", _CERTBOT), ("lego", _LEGO), ("dehydrated", _DEHYDRATED)):
        there.program(name, text.format(program=require(name), port=free_port(), **told))
    (folder / "dehydrated").mkdir()
    (folder / "dehydrated" / "config").write_text(_OWN_OF_DEHYDRATED.format(**told), encoding="utf-8")
    there.program("rotation-worker", f'#!/bin/sh\nexec {shlex.quote(str(SCRIPT))} "$@"\n')


async def _laid_out(sandbox: Sandbox) -> tuple[str, str, int]:
    """Instance, stored certificate and TLS port: the name is served with a certificate of sixty days ago."""
    world = sandbox.world
    begins = datetime.now(UTC).replace(microsecond=0) - timedelta(days=60)
    old = Authority.create().issue([NAME], not_before=begins)
    instance, stored = world.add_instance(), world.add_certificate(old, "shop")
    world.bind(stored, world.add_domain(world.add_group(instance), NAME))
    return instance, stored, (await sandbox.open_listeners())[instance]


@asynccontextmanager
async def host(folder: Path, **environ: str) -> AsyncIterator[Host]:
    """With every client, and a password for the cloud; nothing of the worker's yet."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(SandboxConfig()))
        authority = await stack.enter_async_context(pebble(folder))
        instance, stored, port = await _laid_out(sandbox)
        password = folder / "etc" / "apig-password"
        password.parent.mkdir(exist_ok=True)
        password.touch(mode=0o600)
        password.write_text(sandbox.config.password, encoding="utf-8")
        says = {page: str(folder / ours) for page, ours in _PLACES.items()} | {
            "https://apig.eu-west-101.myhuaweicloud.eu": sandbox.apig_endpoint,
            "https://iam.eu-west-101.myhuaweicloud.eu": sandbox.iam_endpoint,
            '"0f1e2d3c4b5a"': f'"{sandbox.config.project_id}"',
            "a27be832f2e9441c8127fe48e3b5ac67": stored,
            f'["{NAME}:443"]': f'[{{address = "127.0.0.1:{port}", server_name = "{NAME}"}}]',
        }
        own = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "ROTATION_CONFIG": str(folder / "etc" / "worker.toml"),
            "ROTATION_TRUST__CA_BUNDLE": str(authority.roots),
            "ROTATION_TRUST__ALLOW_STAGING_ISSUERS": "true",
            "REQUESTS_CA_BUNDLE": str(authority.api_ca),
            "LEGO_CA_CERTIFICATES": str(authority.api_ca),
            **environ,
        }
        there = Host(folder, sandbox, instance, says, own)
        _clients(there, authority)
        stack.push_async_callback(there.stop)
        yield there


@asynccontextmanager
async def installed(folder: Path, **environ: str) -> AsyncIterator[Host]:
    """With what the README's five minutes come to: keys, settings, and a worker that runs."""
    async with host(folder, **environ) as there:
        await there.follow("README.md", "Install: five minutes")
        yield there
