"""`rotation-worker run`: what it says when it cannot start, crashes, or has nobody to say it to."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.commands.processes import run, run_code
from tests.settings.files import written
from tests.support.ports import free_port

CRASH = """
import sys
import worker.commands.run as command
from worker.cli import main
async def crashing(settings, **_how):
    raise {error}
command.run = crashing
sys.exit(main(["run", "--config", sys.argv[1]]))
"""

STOPPED = """
import os, sys
import worker.commands.run as command
from worker.cli import main
def stopped(_):
    os.kill(os.getpid(), int(sys.argv[1]))
    raise RuntimeError("it goes on")
command.settings_of = stopped
sys.exit(main(["run"]))
"""


def configuration(folder: Path, port: int) -> Path:
    return written(folder, f'[broker]\nurl = "sqlite:///queue.db"\n[http]\nlisten = "127.0.0.1:{port}"\n')


async def test_an_address_in_use_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, _, complaints = await run("run", "--config", configuration(tmp_path, taken.getsockname()[1]))
    assert status == 78
    assert "rotation-worker: http.listen: cannot listen there: Address already in use\n" in complaints
    assert "Traceback" not in complaints


async def test_a_host_that_is_not_there_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    path = written(
        tmp_path, '[broker]\nurl = "sqlite:///queue.db"\n[http]\nlisten = "nowhere.invalid:0"\nonly_probes = true\n'
    )
    status, _, complaints = await run("run", "--config", path)
    assert status == 78
    assert "rotation-worker: http.listen: cannot listen there: " in complaints
    assert "nowhere.invalid" not in complaints


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ('ValueError("hunter2")', "ValueError"),
        ('OSError(28, "hunter2")', "OSError"),
        ('ExceptionGroup("hunter2", [ValueError("hunter2")])', "ExceptionGroup"),
    ],
)
async def test_a_crash_is_logged_without_its_text(tmp_path: Path, error: str, name: str) -> None:
    status, _, complaints = await run_code(CRASH.format(error=error), configuration(tmp_path, 0))
    assert status == 70
    (line,) = map(json.loads, complaints.splitlines())
    assert (line["event"], line["exception"]) == ("worker.crashed", name)
    assert any("crashing" in frame for frame in line["frames"])
    assert "hunter2" not in complaints


@pytest.mark.parametrize(("command", "status"), [("run", 78), ("history", 78), ("publish", 64), ("dead", 2)])
async def test_a_full_disk_behind_stderr_changes_no_exit_status(tmp_path: Path, command: str, status: int) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        assert (await run(command, "--config", tmp_path / "none.toml", stderr=full))[0] == status
    finally:
        os.close(full)


@asynccontextmanager
async def service(folder: Path, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Up; `more` goes to the shell that starts it."""
    port = free_port()
    words: Sequence[str | Path] = (sys.executable, "-m", "worker", "run", "--config", configuration(folder, port))
    child = await asyncio.create_subprocess_exec("/bin/sh", "-c", " ".join(('exec "$@"', *more)), "sh", *words)
    while child.returncode is None:
        with suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            break
        await asyncio.sleep(0.05)
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
async def test_a_stderr_that_takes_nothing_does_not_stop_the_service(tmp_path: Path, redirection: str) -> None:
    async with service(tmp_path, redirection) as child:
        child.send_signal(signal.SIGTERM)
        assert await child.wait() == 0


async def test_a_reader_of_the_logs_that_goes_away_does_not_stop_the_service(tmp_path: Path) -> None:
    fifo = tmp_path / "logs"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with service(tmp_path, f"2>{fifo}") as child:
            os.close(reader)
            reader = -1
            child.send_signal(signal.SIGTERM)
            assert await child.wait() == 0
    finally:
        with suppress(OSError):
            os.close(reader)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_service_that_is_told_to_stop_before_it_has_begun_ends_well(number: signal.Signals) -> None:
    """Just as it is about to read its settings."""
    assert await run_code(STOPPED, str(int(number))) == (0, "", "")
