"""The clouds as a process of their own: `python -m tests.soak.cloud FOLDER COUNT`, until SIGTERM.

It tells in FOLDER/cloud.json where it is and what is laid out; `GET /books` on its control port gives all it knows.
"""

import asyncio
import json
import secrets
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from aiohttp import web

from tests.soak.estate import APIG_LIMITS, BYCLOUD_LIMITS, Layout, described, planned
from tests.support.odd_cloud import OddSandbox
from worker.sandbox import SandboxConfig
from worker.sandbox.world import Fault

LATENCY: Final = 0.03


class Cloud(OddSandbox):
    """With a way to its books."""

    async def open_books(self) -> str:
        return await self._serve(
            [
                web.get("/books", self.books),
                web.post("/fault", self.fault),
                web.post("/lag", self.lag),
                web.post("/expire", self.expire),
                web.post("/heal", self.heal),
            ],
            4,
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
