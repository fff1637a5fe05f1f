"""`rotation-worker run` as a process that a test watches, stops and kills."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp


async def until(is_so: Callable[[], bool]) -> None:
    """What other processes do can only be looked at, again and again; the test's timeout is the end."""
    while not is_so():
        await asyncio.sleep(0.02)


@dataclass(slots=True)
class Worker:
    """`rotation-worker run` as a process; its log is a file."""

    child: asyncio.subprocess.Process
    log: Path
    listen: str
    killed_at: float | None = None
    """Seconds since the epoch."""

    @property
    def pid(self) -> int:
        return self.child.pid

    def lines(self) -> Sequence[Mapping[str, Any]]:
        """All that are written to their end."""
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def told(self, event: str, **fields: object) -> int:
        """How often its log says so."""
        wanted = {"event": event, **fields}
        return sum(
            wanted.items() <= {name: str(value) if name == "error" else value for name, value in line.items()}.items()
            for line in self.lines()
        )

    async def tells(self, event: str, *, times: int = 1, **fields: object) -> None:
        await until(lambda: self.told(event, **fields) >= times)

    async def ready(self) -> tuple[int, Mapping[str, Any]]:
        """Status and body of `/readyz`; status 0 while it does not listen."""
        async with aiohttp.ClientSession() as session:
            with suppress(aiohttp.ClientConnectorError):
                async with session.get(f"http://{self.listen}/readyz") as answer:
                    return answer.status, await answer.json()
        return 0, {}

    async def is_up(self) -> None:
        while (await self.ready())[0] != HTTPStatus.OK:
            assert self.child.returncode is None, self.log.read_text()
            await asyncio.sleep(0.05)

    async def is_unready(self) -> None:
        """It is there, and says that it is of no use."""
        while (await self.ready())[0] != HTTPStatus.SERVICE_UNAVAILABLE:
            assert self.child.returncode is None, self.log.read_text()
            await asyncio.sleep(0.05)

    async def kill(self) -> None:
        self.killed_at = time.time()
        self.child.send_signal(signal.SIGKILL)
        await self.child.wait()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status."""
        if self.child.returncode is None:
            self.child.send_signal(number)
        return await self.child.wait()
