"""The clouds as a process of their own: `python -m tests.soak.cloud FOLDER COUNT`, until SIGTERM.

It tells in FOLDER/cloud.json where it is and what is laid out; `GET /books` on its control port gives all it knows.
"""

import asyncio
import json
import secrets
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import web

from tests.soak.estate import APIG_LIMITS, BYCLOUD_LIMITS, Layout, described, planned
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.answering import Answering, Result
from worker.sandbox.apig import Apig
from worker.sandbox.credentials import ApigCheck
from worker.sandbox.server import _MALFORMED
from worker.sandbox.world import Fault, Stored

LATENCY: Final = 0.03


@dataclass(slots=True)
class Sight:
    """Changes are read `lag` seconds late."""

    lag: float = 0.0
    before: dict[str, tuple[float, Stored]] = field(default_factory=dict)
    in_vain: list[tuple[float, str]] = field(default_factory=list)
    """When, and what, was stored where the same was stored already."""


@dataclass(frozen=True, slots=True)
class LateApig(Apig):
    """Shows what was stored before for a while; what it does, it does at once."""

    sight: Sight = field(default_factory=Sight)

    def show(self, request: web.Request, body: Mapping[str, object]) -> Result:
        certificates, key = self.world.certificates, request.match_info["certificate"]
        until, before = self.sight.before.get(key, (0.0, None))
        if before is None or time.monotonic() >= until or key not in certificates:
            return Apig.show(self, request, body)
        now = certificates[key]
        certificates[key] = before
        try:
            return Apig.show(self, request, body)
        finally:
            certificates[key] = now

    def modify(self, request: web.Request, body: Mapping[str, object]) -> Result:
        key = request.match_info["certificate"]
        before = self.world.certificates.get(key)
        result = Apig.modify(self, request, body)
        if before is not None and result.is_good:
            if self.sight.lag:
                self.sight.before[key] = (time.monotonic() + self.sight.lag, before)
            if before.leaf.serial_number == self.world.certificates[key].leaf.serial_number:
                self.sight.in_vain.append((time.monotonic(), key))
        return result


class Cloud(Sandbox):
    """The sandbox, with late sight at APIG and a way to its books."""

    def __init__(self, config: SandboxConfig) -> None:
        self.sight = Sight()
        super().__init__(config)

    def _routes_of_apig(self) -> Sequence[web.RouteDef]:
        own = self.config
        check = ApigCheck(self.apig_throttle, self.iam, own.project_id, own.access_key, own.secret_key)
        apig = LateApig(self.world, own.project_id, self.sight)
        return apig.routes(Answering(self.world, check, _MALFORMED, own.latency))

    async def open_books(self) -> str:
        return await self._serve(
            [
                web.get("/books", self.books),
                web.post("/fault", self.fault),
                web.post("/lag", self.lag),
                web.post("/expire", self.expire),
                web.post("/heal", self.heal),
            ]
        )

    async def books(self, _request: web.Request) -> web.Response:
        world = self.world
        told = {
            "calls": [asdict(call) for call in world.journal],
            "changes": [
                {**asdict(one), "not_before": one.not_before.isoformat(), "not_after": one.not_after.isoformat()}
                for one in world.changes
            ],
            "in_vain": self.sight.in_vain,
            "refused": {"apig": self.apig_throttle.refused, "bycloud": self.bycloud_throttle.refused},
            "tokens": list(self.iam.tokens),
        }
        return web.json_response(told)

    async def fault(self, request: web.Request) -> web.Response:
        self.world.faults.append(Fault(**await request.json()))
        return web.json_response({})

    async def lag(self, request: web.Request) -> web.Response:
        self.sight.lag = (await request.json())["seconds"]
        return web.json_response({})

    async def expire(self, _request: web.Request) -> web.Response:
        """Every token that was given ends now."""
        self.iam.tokens = dict.fromkeys(self.iam.tokens, 0.0)
        return web.json_response({})

    async def heal(self, _request: web.Request) -> web.Response:
        self.world.faults.clear()
        self.sight.lag = 0.0
        return web.json_response({})


def configured() -> SandboxConfig:
    """With secrets that nobody else has, so that they can be looked for."""
    return SandboxConfig(
        password=f"password-{secrets.token_hex(12)}",
        secret=f"secret-{secrets.token_hex(12)}",
        apig_limits=APIG_LIMITS,
        bycloud_limits=BYCLOUD_LIMITS,
        latency=LATENCY,
        token_lifetime=120,
    )


async def serve(folder: Path, count: int) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with Cloud(configured()) as cloud:
        items = Layout(cloud).laid_out(planned(count))
        names = ("project_id", "account", "user", "password", "project", "region", "key_id", "secret")
        login = {name: getattr(cloud.config, name) for name in names}
        places = {"apig": cloud.apig_endpoint, "iam": cloud.iam_endpoint, "bycloud": cloud.bycloud_endpoint}
        told = {**login, **places, "control": await cloud.open_books(), "items": described(items)}
        draft = folder / "cloud.json.new"
        draft.write_text(json.dumps(told), encoding="utf-8")
        draft.rename(folder / "cloud.json")
        await stopping.wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
