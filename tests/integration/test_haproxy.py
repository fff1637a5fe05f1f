"""HAProxy as a data plane that is nobody's simulation: what it serves is told as it is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.acme import require
from tests.support.gateways import AUTHORITY, checked
from tests.support.ports import free_port
from tests.support.values import domain
from worker.core.proof import Served, Shortfall
from worker.sandbox.ca import Issued
from worker.verification import Probing
from worker.verification.places import Places

NAME = "www.example.com"
NOW = datetime.now(UTC).replace(microsecond=0)
OLD, NEW = AUTHORITY.issue([NAME], not_before=NOW - timedelta(days=60)), AUTHORITY.issue([NAME])
LEAF_ONLY = NEW.chain_pem.partition("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n"
_CONFIG = """
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend shop
    bind 127.0.0.1:{port} ssl crt {folder}/shop.pem {more}
    http-request return status 200
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running HAProxy, and what it has for a certificate."""

    folder: Path
    port: int
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(self, *words: str) -> None:
        file, quiet = str(self.folder / "haproxy.cfg"), asyncio.subprocess.DEVNULL
        child = await asyncio.create_subprocess_exec(
            require("haproxy"), "-db", "-f", file, *words, stdout=quiet, stderr=quiet
        )
        self.processes.append(child)

    async def reload(self, issued: Issued) -> None:
        """As Debian's service does: the next one binds the same port, and tells the last one to finish."""
        store(self.folder, issued)
        await self.start("-sf", str(self.processes[-1].pid))

    async def stop(self) -> None:
        for child in self.processes:
            if child.returncode is None:
                child.terminate()
            await child.wait()

    async def shortfalls(self, *, within: float = 0.0, flag: bool | None = None) -> Sequence[Shortfall]:
        """Of the one domain, which shall be served the new certificate."""
        places = Places(domains=True, at=("127.0.0.1", self.port), within=within)
        binding = domain(NAME, client_verification=flag)
        served = Served("shop", checked(NEW), (binding,), (str(OLD.serial_number),))
        return await Probing({"shop": places}, lambda: NOW)(served)

    async def reasons(self, *, within: float = 0.0, flag: bool | None = None) -> Sequence[str]:
        return [one.failure.reason for one in await self.shortfalls(within=within, flag=flag)]


def store(folder: Path, issued: Issued, chain_pem: str | None = None) -> None:
    file = folder / "shop.pem"
    file.touch(mode=0o600)
    file.write_text(issued.private_key_pem + (chain_pem or issued.chain_pem))


@asynccontextmanager
async def proxy(folder: Path, issued: Issued, chain_pem: str | None = None, more: str = "") -> AsyncIterator[Proxy]:
    require("haproxy")
    running = Proxy(folder, free_port())
    store(folder, issued, chain_pem)
    (folder / "client-ca.pem").write_text(AUTHORITY.root_pem)
    (folder / "haproxy.cfg").write_text(_CONFIG.format(port=running.port, folder=folder, more=more))
    await running.start()
    try:
        await _listening(running)
        yield running
    finally:
        await running.stop()


async def _listening(running: Proxy) -> None:
    while True:
        assert running.processes[0].returncode is None, "HAProxy does not take its settings"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


async def test_a_proxy_that_is_loaded_anew_is_old_before_and_proof_after(tmp_path: Path) -> None:
    async with proxy(tmp_path, OLD) as running:
        [told] = await running.shortfalls()
        assert told.failure.reason == "still_old"
        assert (
            told.failure.message == f"{NAME} at 127.0.0.1 port {running.port}: serves the certificate that was replaced"
        )
        assert (told.binding, told.endpoint) == (domain(NAME), f"127.0.0.1:{running.port}")
        proving = asyncio.create_task(running.reasons(within=60))
        await running.reload(NEW)
        assert await proving == []


async def test_a_proxy_without_the_intermediate_is_told_and_is_proof_once_it_has_it(tmp_path: Path) -> None:
    async with proxy(tmp_path, NEW, LEAF_ONLY) as running:
        assert await running.reasons() == ["chain_incomplete"]
        await running.reload(NEW)
        assert await running.reasons(within=60) == []


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("verify", ["none", "optional", "required"])
async def test_whether_a_proxy_asks_its_clients_for_certificates_is_seen(
    tmp_path: Path, version: str, verify: str
) -> None:
    more = f"ssl-max-ver {version} verify {verify} ca-file {tmp_path}/client-ca.pem"
    async with proxy(tmp_path, NEW, more=more) as running:
        asks = verify != "none"
        assert await running.reasons(flag=asks) == []
        assert await running.reasons(flag=not asks) == ["client_verification_changed"]


async def test_nobody_at_the_proxys_port_is_not_reachable(tmp_path: Path) -> None:
    async with proxy(tmp_path, NEW) as running:
        assert await running.reasons() == []
    assert await running.reasons() == ["not_reachable"]
