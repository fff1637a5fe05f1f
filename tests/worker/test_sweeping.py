"""The regular sweep of a worker, in virtual time: who sweeps, how often, and what goes into the queue."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.support.values import bundle, day
from tests.support.virtual_time import run_virtual
from worker.broker.base import BrokerError, Message
from worker.core.past import Placed
from worker.core.renewal import InFiles
from worker.core.schedule import Wait
from worker.sweep import Finding, Past, State, Sweeping


@dataclass
class Disk:
    """Finds what it is told to find, and a queue that takes what is put right."""

    states: Mapping[str, State]
    is_active: bool = True
    refuses: bool = False
    wait: Wait | None = None
    looks: list[tuple[str, float]] = field(default_factory=list)
    enqueued: list[str] = field(default_factory=list)

    @property
    def lineages(self) -> Mapping[str, InFiles]:
        return {name: InFiles("chain.pem", "key.pem") for name in self.states}

    async def look_back(self, name: str, _past: Past) -> Finding:
        self.looks.append((name, asyncio.get_running_loop().time()))
        return Finding(name, self.states[name], bundle=bundle(), wait=self.wait)

    async def enqueue(self, message: Message) -> None:
        if self.refuses:
            raise BrokerError("no queue took it")
        self.enqueued.append(json.loads(message.body)["data"]["certificate"])

    def renewal(self, name: str, _at: datetime) -> Message:
        return Message(json.dumps({"data": {"certificate": name}}).encode(), "application/json")

    async def past(self, _name: str) -> Sequence[Placed]:
        return ()

    async def active(self) -> bool:
        return self.is_active


def swept(disk: Disk, seconds: float, *, at: Mapping[float, Callable[[Sweeping], None]] | None = None) -> Disk:
    """After so many seconds of a sweep every 20; `at`: what is done to it meanwhile."""

    async def scenario() -> None:
        sweeper: Any = disk
        sweeping = Sweeping(sweeper, disk.enqueue, disk.active, disk.past, 20, lambda: day(1))
        for moment, step in (at or {}).items():
            asyncio.get_running_loop().call_later(moment, step, sweeping)
        work = asyncio.create_task(sweeping.run())
        await asyncio.sleep(seconds)
        work.cancel()
        await asyncio.wait([work])

    run_virtual(scenario())
    return disk


def test_looks_are_spread_over_the_interval() -> None:
    assert swept(Disk({"shop": "current", "blog": "current"}), 35).looks == [("blog", 10), ("shop", 20), ("blog", 30)]


def test_standbys_leave_the_sweep_to_the_active_one() -> None:
    disk = Disk({"shop": "behind"}, is_active=False)
    swept(disk, 70, at={45: lambda _sweeping: setattr(disk, "is_active", True)})
    assert disk.looks == [("shop", 60)]


def test_only_what_is_to_be_put_right_goes_into_the_queue() -> None:
    states: Mapping[str, State] = {"a": "behind", "b": "drifted", "c": "newer", "d": "failed", "e": "current"}
    states = {**states, "f": "withdrawn", "g": "rolled_back"}
    assert swept(Disk(states), 21).enqueued == ["a", "b"]


def test_what_waits_in_the_queue_is_not_put_there_again_until_it_has_ended() -> None:
    assert swept(Disk({"shop": "behind"}), 90).enqueued == ["shop"]
    again = swept(Disk({"shop": "behind"}), 90, at={50: lambda sweeping: sweeping.ended("shop", "superseded")})
    assert again.enqueued == ["shop", "shop"]


def test_what_failed_is_not_put_there_again_before_a_day_is_over() -> None:
    """Each time is an event and a dead letter more."""
    failed = swept(Disk({"shop": "behind"}), 90, at={50: lambda sweeping: sweeping.ended("shop", "failed")})
    assert failed.enqueued == ["shop"]


def test_what_waits_for_its_window_is_not_taken_for_lost_before_that_has_opened() -> None:
    """A day is as long as a renewal is waited for; the window opens after three."""
    three_days = Wait(day(4), "outside_window")
    for wait, lost_after in ((three_days, 4 * 86400), (None, 86400)):
        disk = swept(Disk({"shop": "behind"}, wait=wait), lost_after)
        assert disk.enqueued == ["shop"]
        again = swept(Disk({"shop": "behind"}, wait=wait), lost_after + 60)
        assert again.enqueued == ["shop", "shop"]


def test_what_the_queue_did_not_take_is_put_there_by_the_next_sweep() -> None:
    disk = Disk({"shop": "behind"}, refuses=True)
    swept(disk, 70, at={30: lambda _sweeping: setattr(disk, "refuses", False)})
    assert disk.enqueued == ["shop"]
