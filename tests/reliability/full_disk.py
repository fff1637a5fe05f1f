"""What `test_process_full_disk` runs where a small file system is mounted that nobody else sees: it gets full."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.stage import staged
from tests.support.worker_process import Worker, until
from worker.broker.base import BrokerError
from worker.sandbox import SandboxConfig

FULL = "the embedded broker cannot write: database or disk is full"
NAMES = ("shop", "blog", "mail")


def filled(disk: Path) -> Path:
    """What takes every byte that was left."""
    path = disk / "filling"
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return path


def named(disk: Path) -> list[Path]:
    """What takes every name that was left: no file can be made there any more."""
    taken: list[Path] = []
    with suppress(OSError):
        while True:
            path = disk / f"name-{len(taken)}"
            path.touch()
            taken.append(path)
    return taken


def complaints(worker: Worker, event: str) -> list[str]:
    return [str(line.get("error")) for line in worker.lines() if line["event"] == event]


async def in_the_middle(folder: Path, disk: Path) -> None:
    slow = SandboxConfig(latency=0.2)
    async with staged(folder, {"url": f"sqlite:///{disk}/broker.sqlite"}, NAMES, config=slow) as stage:
        async with stage.worker() as worker:
            for name in NAMES:
                await stage.renew(name)
            await stage.called("modify_certificate", len(NAMES))
            filling = filled(disk)
            with suppress(BrokerError):
                await stage.renew()
                raise AssertionError("what is not written is not taken")
            stage.sent.popitem()
            await until(lambda: len(complaints(worker, "broker.refused")) >= len(NAMES))
            assert set(complaints(worker, "broker.refused")) == {FULL}, worker.log.read_text()
            assert (await worker.ready())[0] == 503
            filling.unlink()
            await stage.books()
        await stage.idle()
        assert stage.calls("modify_certificate") == len(NAMES)


async def at_the_start(folder: Path, disk: Path) -> None:
    async with staged(folder, {"url": f"sqlite:///{disk}/broker.sqlite"}) as stage:
        await stage.renew()
        filling, names = filled(disk), named(disk)
        async with stage.worker(wait=False) as worker:
            await until(lambda: len(complaints(worker, "consumer.disconnected")) >= 2)
            assert "No space left on device" in complaints(worker, "consumer.disconnected")[0]
            for path in (filling, *names):
                path.unlink()
            await stage.books()
        await stage.idle()
        assert stage.calls("modify_certificate") == 1


SCENARIOS: Mapping[str, Callable[[Path, Path], Coroutine[Any, Any, None]]] = {
    "in_the_middle": in_the_middle,
    "at_the_start": at_the_start,
}

if __name__ == "__main__":
    scenario, *places = sys.argv[1:]
    asyncio.run(SCENARIOS[scenario](*map(Path, places)))
