"""What a service manager is told (systemd's sd_notify): ready, reloading, stopping, and that work makes progress."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import structlog

from worker.broker.base import BrokerState

_log = structlog.get_logger()
PATIENCE: Final = 300.0
"""Seconds without progress, after which the manager is left to draw its conclusion.

The consumer itself notices within a minute that it is deaf, and gives up a try to connect: this has escaped it.
"""
START: Final = 20.0
"""Seconds for the first connection: a worker that waits longer for its broker is up all the same."""
_LOOK_EVERY: Final = 20.0
_LOOK_AT_FIRST: Final = 0.5


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """Whoever started this process and wants to hear of it; nobody where `address` is None.

    Source: sd_notify(3), sd_watchdog_enabled(3).
    """

    address: str | None = None
    watchdog_seconds: float | None = None
    """It takes the worker for dead when it hears nothing for so long."""

    @classmethod
    def named_in(cls, environ: Mapping[str, str], pid: int) -> "ServiceManager":
        """As the environment says to the process with this id."""
        address, told = environ.get("NOTIFY_SOCKET"), environ.get("WATCHDOG_USEC", "")
        is_asked = told.isdecimal() and int(told) > 0 and environ.get("WATCHDOG_PID") in (None, str(pid))
        return cls(address or None, int(told) / 1e6 if is_asked else None)

    @property
    def look_every(self) -> float:
        """Seconds: a third of what the watchdog waits, so that one late look is no death."""
        return min(_LOOK_EVERY, (self.watchdog_seconds or 3 * _LOOK_EVERY) / 3)

    def tell(self, **fields: object) -> None:
        """Never waits and never raises: a manager that does not listen must not stop the work."""
        if self.address is None:
            return
        # A name that begins with @ is no file: the kernel wants a zero there.
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        text = "\n".join(f"{name}={value}" for name, value in fields.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as link:
            link.sendto(text.encode(), address)

    def stops(self) -> None:
        """From now on the manager's own patience with stopping counts."""
        self.tell(STOPPING=1, STATUS="finishes what is in hand")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Around the reading of new settings, whatever comes of it."""
        self.tell(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)
        try:
            yield
        finally:
            self.tell(READY=1)


@dataclass(frozen=True, slots=True)
class WorkerSample:
    """What one look at the worker shows."""

    state: BrokerState
    tries: int
    """To connect, since the start."""
    taken: int
    """Deliveries, since the start."""

    @property
    def status(self) -> str:
        """One line for people."""
        state = self.state
        if not state.is_connected:
            return "the broker is not connected"
        role = "consuming" if state.is_active else "standing by"
        return f"{role}: {state.ready} ready, {state.parked} parked, {state.dead} given up"


_NOTHING: Final = WorkerSample(BrokerState(is_connected=False, is_active=False), tries=0, taken=0)


def makes_progress(before: WorkerSample, now: WorkerSample) -> bool:
    """Whether the worker does what it is for, as far as two looks show.

    A broker that is away is no reason to begin anew, as long as the worker goes on trying. Nor is a queue that waits
    because as much is in hand as may be.
    """
    state = now.state
    if not state.is_connected:
        return now.tries > before.tries
    is_waited_for = state.is_active and state.ready > 0 and state.room > 0
    return now.taken > before.taken or not is_waited_for


@dataclass(frozen=True, slots=True)
class Watchdog:
    """Looks at the worker from within its event loop, and tells the manager what it sees."""

    manager: ServiceManager
    look: Callable[[], Awaitable[WorkerSample]]
    stopping: asyncio.Event

    async def keep(self) -> None:
        """For ever; not at all where nobody listens. A loop that does not turn, or a look that fails, tells nothing."""
        if self.manager.address is None:
            return
        clock = asyncio.get_running_loop().time
        before = await self._begun(clock)
        progress_at = clock()
        while True:
            now = await self._looked()
            if now is not None:
                if makes_progress(before, now):
                    progress_at = clock()
                self._tell(now, idle=clock() - progress_at)
                before = now
            await asyncio.sleep(self.manager.look_every)

    async def _begun(self, clock: Callable[[], float]) -> WorkerSample:
        """Ready once it is connected: whoever starts the service sees it fail where the broker refuses it."""
        ends, sample = clock() + START, await self._looked() or _NOTHING
        while not (sample.state.is_connected or clock() >= ends or self.stopping.is_set()):
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), _LOOK_AT_FIRST)
            sample = await self._looked() or _NOTHING
        self.manager.tell(READY=1, STATUS=sample.status)
        return sample

    async def _looked(self) -> WorkerSample | None:
        """None where that failed: one look that does must not be the last, for the manager would kill the worker."""
        try:
            return await self.look()
        except Exception as bug:  # noqa: BLE001 - the next look may tell
            _log.error("watchdog.crashed", exc_info=bug)
            return None

    def _tell(self, sample: WorkerSample, *, idle: float) -> None:
        if self.stopping.is_set():
            self.manager.tell(WATCHDOG=1)
        elif idle < PATIENCE:
            self.manager.tell(WATCHDOG=1, STATUS=sample.status)
        else:
            _log.error("watchdog.withheld", idle_seconds=round(idle), status=sample.status)
            self.manager.tell(STATUS=f"makes no progress: {sample.status}")
