"""The regular sweep of a worker, in virtual time: who sweeps, how often, and what goes into the queue."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

from tests.support.values import bundle, day
from tests.support.virtual_time import run_virtual
from worker.broker.base import BrokerError, Message
from worker.core.bundle import Leaf
from worker.core.renewal import InFiles
from worker.core.schedule import Wait
from worker.core.withdrawal import was_rolled_back, was_taken_back
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

    async def past(self, _name: str) -> Sequence[Mapping[str, object]]:
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


LEAF = bundle().leaf


def put(one: Leaf, *, over: Leaf | None = None, outcome: str = "succeeded") -> dict[str, Any]:
    """An outcome event: this was put in the place of that."""
    told = {"fingerprint_sha256": one.fingerprint_sha256, "not_before": one.not_before.isoformat()}
    previous = {"serial_number": None, "not_after": over.not_after.isoformat()} if over else None
    deployments = [{"replaced": True, "previous": previous}]
    return {"data": {"outcome": outcome, "leaf": told, "deployments": deployments}}


OLDER, NEWER = (
    replace(LEAF, fingerprint_sha256=letter * 64, not_before=day(number), not_after=day(number + 10))
    for letter, number in (("c", 1), ("d", 12))
)


@pytest.mark.parametrize(
    ("events", "is_withdrawn"),
    [
        ([put(OLDER, over=LEAF), put(LEAF, over=OLDER)], True),
        ([put(OLDER, over=LEAF, outcome="failed")], True),
        ([put(LEAF, over=OLDER), put(OLDER, over=LEAF)], False),
        ([put(OLDER), put(LEAF)], True),
        ([put(OLDER, outcome="failed"), put(LEAF)], False),
        ([put(OLDER, over=NEWER)], False),
        ([put(NEWER, over=LEAF)], False),
        ([put(OLDER)], False),
        ([{"data": None}, {}, {"data": {"leaf": None}}], False),
        ([], False),
    ],
)
def test_what_was_taken_back_stays_away_although_it_lies_on_disk(
    events: Sequence[Mapping[str, Any]], *, is_withdrawn: bool
) -> None:
    assert was_taken_back(LEAF, events) == is_withdrawn


def ended(one: Leaf, reason: str, *places: str) -> dict[str, Any]:
    """An outcome event, with the reasons of its deployments."""
    told = {"fingerprint_sha256": one.fingerprint_sha256, "not_before": one.not_before.isoformat()}
    return {"data": {"reason": reason, "leaf": told, "deployments": [{"reason": place} for place in places]}}


@pytest.mark.parametrize(
    ("events", "is_back"),
    [
        ([ended(LEAF, "rolled_back", "rolled_back")], True),
        ([ended(LEAF, "binding_failed", "binding_failed", "rolled_back")], True),
        ([ended(NEWER, "rotated"), ended(LEAF, "rolled_back")], True),
        ([ended(LEAF, "rotated"), ended(LEAF, "rolled_back")], False),
        ([ended(LEAF, "binding_failed", "binding_failed"), ended(LEAF, "rolled_back")], False),
        ([ended(OLDER, "rolled_back")], False),
        ([{"data": None}, {}, {"data": {"leaf": None, "reason": "rolled_back"}}], False),
        ([{"data": {**ended(LEAF, "rotated")["data"], "deployments": [None]}}], False),
        ([], False),
    ],
)
def test_what_went_back_when_it_was_last_tried_is_known(events: Sequence[Mapping[str, Any]], *, is_back: bool) -> None:
    assert was_rolled_back(LEAF, events) == is_back
