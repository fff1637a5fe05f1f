"""The workers of a soak: processes on one queue that are killed, stopped, frozen, and begun again."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from tests.support.acme import SCRIPT
from tests.support.ports import free_port

STOPS_WITHIN: Final = 20.0
"""Seconds from SIGTERM to the end: to drain, to publish, to close."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Life:
    """One process. `samples`: seconds of its life, and megabytes."""

    child: asyncio.subprocess.Process
    log: Path
    began: float = field(default_factory=time.monotonic)
    samples: list[tuple[float, float]] = field(default_factory=list)

    @property
    def is_alive(self) -> bool:
        return self.child.returncode is None

    @property
    def was_refused(self) -> bool:
        """The broker granted it nothing at its start: then it ends by itself."""
        is_settings = self.child.returncode == os.EX_CONFIG
        return is_settings and "not allowed" in self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def has_begun(self) -> bool:
        """Until then SIGTERM ends it as it ends any program."""
        return "worker.started" in self.log.read_text(encoding="utf-8", errors="replace")

    def sample(self) -> None:
        with suppress(OSError, IndexError):
            pages = int(Path(f"/proc/{self.child.pid}/statm").read_text(encoding="ascii").split()[1])
            self.samples.append((time.monotonic() - self.began, pages * _PAGE / 1e6))


@dataclass(slots=True)
class Workers:
    """As many as are named. `complaints`: what they did that no worker may.

    The last one is never ended, only frozen: its memory is watched from the beginning to the end.
    """

    settings: Path
    folder: Path
    names: Sequence[str] = ("a", "b", "c")
    lives: list[Life] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    refused: int = 0
    """How often one ended because the broker granted it nothing."""
    _now: dict[str, Life] = field(default_factory=dict)
    _in_hand: set[str] = field(default_factory=set)
    _reviving: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self, name: str) -> Life:
        log = self.folder / f"worker-{len(self.lives) + 1:03}-{name}.log"
        with log.open("wb") as out:
            child = await asyncio.create_subprocess_exec(
                *(SCRIPT, "run", "--config", self.settings),
                env={**os.environ, "ROTATION_HTTP__LISTEN": f"127.0.0.1:{free_port()}"},
                stderr=out,
                stdout=out,
            )
        life = self._now[name] = Life(child, log)
        self.lives.append(life)
        return life

    async def start_all(self) -> None:
        for name in self.names:
            await self.start(name)

    async def stop_all(self) -> None:
        await asyncio.gather(*(self._end(self._now[name]) for name in self.names))

    async def break_one(self, kind: str, seconds: float, chance: Random) -> None:
        """From its beginning to its end: then it is at work again."""
        name = chance.choice(self.names if kind == "freeze" else self.names[:-1])
        await self._revive(name)
        self._in_hand.add(name)
        try:
            await self._break(name, self._now[name], kind, seconds)
        finally:
            self._in_hand.discard(name)

    async def _break(self, name: str, life: Life, kind: str, seconds: float) -> None:
        if kind == "freeze":
            life.child.send_signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            life.child.send_signal(signal.SIGCONT)
        elif kind == "kill":
            life.child.kill()
            await life.child.wait()
            await asyncio.sleep(seconds)
            await self.start(name)
        elif kind == "term":
            await self._end(life)
            await asyncio.sleep(seconds)
            await self.start(name)
        else:  # as an orchestrator does: the new one comes before the old one goes
            await self.start(name)
            await asyncio.sleep(seconds)
            await self._end(life)

    async def _revive(self, name: str) -> None:
        """As an orchestrator does. Only one that is refused by the broker at its start may end by itself."""
        async with self._reviving:
            life = self._now[name]
            if life.is_alive or name in self._in_hand:
                return
            if life.was_refused:
                self.refused += 1
            else:
                self.complaints.append(f"ended by itself with {life.child.returncode}: {life.log.name}")
            await self.start(name)

    async def _end(self, life: Life) -> None:
        with suppress(ProcessLookupError):
            life.child.terminate()
        try:
            await asyncio.wait_for(life.child.wait(), STOPS_WITHIN)
        except TimeoutError:
            self.complaints.append(f"SIGTERM, and not ended within {STOPS_WITHIN:g} seconds: {life.log.name}")
            life.child.kill()
            await life.child.wait()
        if life.child.returncode not in (0, -signal.SIGKILL) and life.has_begun and not life.was_refused:
            self.complaints.append(f"SIGTERM, and ended with {life.child.returncode}: {life.log.name}")

    async def kill_all(self) -> None:
        for life in self.lives:
            if life.is_alive:
                life.child.kill()
                await life.child.wait()

    async def watch(self) -> None:
        """For ever: their memory, and whether they are there."""
        while True:
            for name in self.names:
                await self._revive(name)
            for life in self.lives:
                if life.is_alive:
                    life.sample()
            await asyncio.sleep(2)
