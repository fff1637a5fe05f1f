"""What systemd hears of the worker: on a socket as it opens one, and by the clock of the loop."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.acme import SCRIPT
from tests.support.virtual_time import run_virtual
from worker.broker.base import BrokerState
from worker.notifying import PATIENCE, START, ServiceManager, Watchdog, WorkerSample, makes_progress

AT_REST = WorkerSample(BrokerState(is_connected=True, is_active=True, room=128), tries=1, taken=5)
WAITED_FOR = replace(AT_REST, state=replace(AT_REST.state, ready=3))
FULL = replace(WAITED_FOR, state=replace(WAITED_FOR.state, room=0))
STANDBY = replace(WAITED_FOR, state=replace(WAITED_FOR.state, is_active=False))
AWAY = replace(AT_REST, state=BrokerState(is_connected=False, is_active=False))


class Heard(ServiceManager):
    """Remembers what it was told, and when."""

    __slots__ = ("said",)

    def __init__(self, watchdog_seconds: float | None = 60.0) -> None:
        super().__init__("nowhere", watchdog_seconds)
        object.__setattr__(self, "said", [])

    said: list[tuple[float, dict[str, object]]]

    def tell(self, **fields: object) -> None:
        self.said.append((asyncio.get_running_loop().time(), fields))

    def times(self, name: str) -> Sequence[float]:
        return [at for at, fields in self.said if name in fields]


def kept(look: Callable[[], WorkerSample], seconds: float, *, stop_at: float | None = None) -> Heard:
    """What is heard of a watchdog in so many seconds."""
    heard = Heard()

    async def looked() -> WorkerSample:
        return look()

    async def keep() -> None:
        stopping = asyncio.Event()
        if stop_at is not None:
            asyncio.get_running_loop().call_later(stop_at, stopping.set)
        async with asyncio.timeout(seconds):
            await Watchdog(heard, looked, stopping).keep()

    with pytest.raises(TimeoutError):
        run_virtual(keep())
    return heard


@pytest.mark.parametrize(
    ("before", "now", "is_well"),
    [
        (AT_REST, AT_REST, True),
        (WAITED_FOR, WAITED_FOR, False),
        (WAITED_FOR, replace(WAITED_FOR, taken=6), True),
        (FULL, FULL, True),
        (STANDBY, STANDBY, True),
        (AWAY, AWAY, False),
        (AWAY, replace(AWAY, tries=2), True),
    ],
)
def test_a_worker_makes_progress_unless_it_leaves_what_it_could_take_or_tries_no_more(
    before: WorkerSample, now: WorkerSample, *, is_well: bool
) -> None:
    assert makes_progress(before, now) is is_well


def test_it_is_ready_once_it_is_connected_and_heard_of_three_times_in_a_watchdogs_minute() -> None:
    looks = count()
    heard = kept(lambda: AT_REST if next(looks) > 4 else AWAY, 120)
    assert [round(at, 1) for at in heard.times("READY")] == [2.5]
    assert len(heard.times("WATCHDOG")) == 6
    assert heard.said[-1][1]["STATUS"] == "consuming: 0 ready, 0 parked, 0 given up"


def test_a_worker_whose_broker_is_away_is_up_after_some_time_and_is_not_killed_for_it() -> None:
    tries = count()
    heard = kept(lambda: replace(AWAY, tries=next(tries)), 3 * PATIENCE)
    assert heard.times("READY") == [START]
    assert heard.times("WATCHDOG")[-1] > 3 * PATIENCE - 60
    assert heard.said[-1][1]["STATUS"] == "the broker is not connected"


def test_a_deaf_worker_is_given_up_after_it_had_time_to_notice_itself() -> None:
    heard = kept(lambda: WAITED_FOR, 2 * PATIENCE)
    assert PATIENCE - 20 <= heard.times("WATCHDOG")[-1] < PATIENCE
    assert heard.times("STATUS")[-1] > PATIENCE + 60, "it tells what is wrong"


def test_a_worker_that_drains_is_left_to_it() -> None:
    heard = kept(lambda: WAITED_FOR, 2 * PATIENCE, stop_at=PATIENCE - 100)
    assert heard.times("WATCHDOG")[-1] > PATIENCE + 60


def test_looks_that_fail_are_logged_and_the_next_one_tells() -> None:
    looks = count()

    def look() -> WorkerSample:
        if next(looks) in (0, 5, 6):
            raise RuntimeError("odd")
        return AT_REST

    with capture_logs() as told:
        heard = kept(look, 2 * PATIENCE)
    assert heard.times("READY") == [0.5]
    assert heard.times("WATCHDOG")[-1] > 2 * PATIENCE - 60
    assert [line["event"] for line in told] == ["watchdog.crashed"] * 3


def test_where_nobody_listens_nothing_is_looked_at() -> None:
    async def look() -> WorkerSample:
        raise AssertionError

    run_virtual(Watchdog(ServiceManager(), look, asyncio.Event()).keep())


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, (None, None)),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "60000000"}, ("/run/n", 60.0)),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, ("/run/n", 60.0)),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, ("/run/n", None)),
        ({"NOTIFY_SOCKET": "", "WATCHDOG_USEC": "soon"}, (None, None)),
    ],
)
def test_the_manager_is_who_the_environment_names(
    environ: dict[str, str], expected: tuple[str | None, float | None]
) -> None:
    manager = ServiceManager.named_in(environ, 7)
    assert (manager.address, manager.watchdog_seconds) == expected


def test_a_reload_is_told_with_its_time_and_ends_whatever_comes_of_it() -> None:
    name = f"rotation-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        with pytest.raises(ValueError, match="wrong"), ServiceManager(f"@{name}").reloading():
            raise ValueError("wrong")
        first, second = (manager.recv(1024).decode() for _ in range(2))
    assert first.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert second == "READY=1"
    ServiceManager("/nowhere/at/all").tell(READY=1)


async def test_the_service_tells_that_it_is_ready_that_it_lives_and_that_it_stops(tmp_path: Path) -> None:
    settings = tmp_path / "worker.toml"
    settings.write_text(f'[broker]\nurl = "sqlite:///{tmp_path}/broker"\n[http]\nlisten = "127.0.0.1:0"\n')
    loop, said = asyncio.get_running_loop(), list[str]()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
        manager.bind(str(tmp_path / "n"))
        env = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "300000"}
        child = await asyncio.create_subprocess_exec(SCRIPT, "run", "--config", settings, env=env)
        while sum("WATCHDOG=1" in one for one in said) < 3:
            said.append((await loop.sock_recv(manager, 4096)).decode())
        child.send_signal(signal.SIGTERM)
        assert await child.wait() == 0
        with suppress(BlockingIOError):
            while True:
                said.append(manager.recv(4096).decode())
    assert said[0].startswith("READY=1\nSTATUS=")
    assert any("STATUS=consuming: 0 ready" in one for one in said)
    assert len([one for one in said if one.startswith("STOPPING=1")]) == 1
