"""A Vault on loopback: a KV engine, AppRole, Kubernetes and tokens. Its refusals quote what they were sent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import web

from worker.sandbox.ca import Issued

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


def refused(status: int, *told: str) -> web.Response:
    return web.json_response({"errors": list(told)}, status=status)


def answering(status: int = 200, text: str = "", **headers: str) -> Fault:
    """A fault: this answer."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return answer


@dataclass
class FakeVault:
    """What it holds, whom it knows, and every call it was asked."""

    role_id: str = "role-id-of-the-worker"
    secret_id: str = "secret-id-of-the-worker"
    role: str = "rotation-worker"
    jwt: str = "jwt-of-the-pod"
    namespace: str | None = None
    lease: int = 3600
    uses: int = 0
    """For which a token is good; 0: for any number."""
    latency: float = 0.0
    address: str = ""
    is_login_away: bool = False
    versions: dict[str, list[dict[str, Any] | None]] = field(default_factory=dict)
    """By path; None: deleted."""
    tokens: dict[str, int] = field(default_factory=dict)
    """Calls for which each is still good; 0: any number."""
    forbidden: set[str] = field(default_factory=set)
    read_only: set[str] = field(default_factory=set)
    """Paths, as `forbidden` has them."""
    capabilities: list[str] | None = None
    """Of every path, as it tells them; None: it does not."""
    policy: tuple[str, ...] | None = None
    """What may be read, where not all is alike: paths, a `*` at the end for all that goes on."""
    faults: list[Fault] = field(default_factory=list)
    """Of the next reads and writes."""
    journal: list[str] = field(default_factory=list)

    def write(self, path: str, issued: Issued, **changes: object) -> None:
        """A new version."""
        pair = {"chain_pem": issued.chain_pem, "private_key_pem": issued.private_key_pem, **changes}
        self.versions.setdefault(path, []).append(pair)

    @property
    def logins(self) -> int:
        return sum("/login" in call for call in self.journal)

    @property
    def reads(self) -> int:
        return sum(call.startswith("GET ") and "/data/" in call for call in self.journal)

    def revoke(self) -> None:
        self.tokens.clear()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/secret/data/{path:.+}", self._read),
            web.post("/v1/secret/data/{path:.+}", self._write),
            web.post("/v1/auth/approle/login", self._app_role),
            web.post("/v1/auth/pods/login", self._kubernetes),
            web.get("/v1/auth/token/lookup-self", self._lookup),
            web.post("/v1/sys/capabilities-self", self._capabilities),
        ]

    async def _noted(self, request: web.Request) -> None:
        self.journal.append(f"{request.method} {request.raw_path}")
        await asyncio.sleep(self.latency)

    async def _read(self, request: web.Request) -> web.StreamResponse:
        await self._noted(request)
        if self.faults:
            return await self.faults.pop(0)(request)
        path = request.match_info["path"]
        if not self._is_known(request) or path in self.forbidden or not self._shows(f"secret/data/{path}"):
            return refused(403, f"permission denied for {request.headers.get('X-Vault-Token')}")
        versions = self.versions.get(path, [])
        number = int(request.query.get("version", len(versions)))
        if not 1 <= number <= len(versions):
            return refused(404)
        secret = versions[number - 1]
        told = {"version": number, "destroyed": secret is None, "deletion_time": ""}
        answer = {"data": {"data": secret, "metadata": told}, "wrap_info": None}
        return web.json_response(answer, status=404 if secret is None else 200)

    async def _write(self, request: web.Request) -> web.StreamResponse:
        await self._noted(request)
        if self.faults:
            return await self.faults.pop(0)(request)
        path = request.match_info["path"]
        if not self._is_known(request) or path in self.forbidden | self.read_only:
            return refused(403, f"permission denied for {request.headers['X-Vault-Token']}: {await request.text()}")
        sent = await request.json()
        versions = self.versions.setdefault(path, [])
        versions.append(sent["data"])
        return web.json_response({"data": {"version": len(versions), "destroyed": False, "deletion_time": ""}})

    def _is_known(self, request: web.Request) -> bool:
        token = request.headers.get("X-Vault-Token", "")
        if token not in self.tokens or request.headers.get("X-Vault-Namespace") != self.namespace:
            return False
        if self.tokens[token] == 1:
            del self.tokens[token]
        elif self.tokens[token]:
            self.tokens[token] -= 1
        return True

    async def _lookup(self, request: web.Request) -> web.StreamResponse:
        await self._noted(request)
        return web.json_response({"data": {}}) if self._is_known(request) else refused(403, "bad token")

    async def _capabilities(self, request: web.Request) -> web.StreamResponse:
        await self._noted(request)
        [path] = (await request.json())["paths"]
        of_policy = None if self.policy is None else ["read"] if self._shows(path) else ["deny"]
        told = self.capabilities or of_policy
        if not self._is_known(request) or told is None:
            return refused(403, f"permission denied for {request.headers.get('X-Vault-Token')}")
        return web.json_response({"capabilities": told, path: told})

    def _shows(self, path: str) -> bool:
        allowed = ("*",) if self.policy is None else self.policy
        return any(path.startswith(one[:-1]) if one.endswith("*") else path == one for one in allowed)

    async def _app_role(self, request: web.Request) -> web.StreamResponse:
        sent = await request.json()
        return await self._login(request, is_good=sent == {"role_id": self.role_id, "secret_id": self.secret_id})

    async def _kubernetes(self, request: web.Request) -> web.StreamResponse:
        sent = await request.json()
        return await self._login(request, is_good=sent == {"role": self.role, "jwt": self.jwt})

    async def _login(self, request: web.Request, *, is_good: bool) -> web.StreamResponse:
        await self._noted(request)
        if self.is_login_away:
            return refused(503, "Vault is sealed")
        if not is_good or request.headers.get("X-Vault-Namespace") != self.namespace:
            return refused(400, f"invalid role or secret ID: {await request.text()}")
        token = f"hvs.{uuid4().hex}"
        self.tokens[token] = self.uses
        auth = {"client_token": token, "lease_duration": self.lease, "num_uses": self.uses}
        return web.json_response({"auth": auth})


@asynccontextmanager
async def serving(
    vault: FakeVault, folder: Path | None = None, issued: Issued | None = None
) -> AsyncIterator[FakeVault]:
    """On a free port of loopback; with TLS where it has a certificate, which is written into `folder`."""
    app = web.Application()
    app.add_routes(vault.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        tls = None if issued is None or folder is None else _context(folder, issued)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        vault.address = f"{'http' if tls is None else 'https'}://127.0.0.1:{runner.addresses[0][1]}"
        yield vault
    finally:
        await runner.cleanup()


def _context(folder: Path, issued: Issued) -> ssl.SSLContext:
    file = folder / "vault-server.pem"
    file.write_text(issued.private_key_pem + issued.chain_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
