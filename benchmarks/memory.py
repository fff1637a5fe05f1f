"""Does memory grow with what was done? Many rotations of a thousand certificates in one consumer, every outcome in it.

The broker is a stand-in in this process, which keeps nothing but what a worker knows of the history: what grows is the
worker's. The cloud is another process.
"""

import asyncio
import logging
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Unpack

from benchmarks.report import Row, at_most
from benchmarks.standin import Standin, running
from benchmarks.subject import PRODUCER, Account, certificate, gateway, issue, memory, renewal
from worker.attempt import Attempts, Policy
from worker.broker.base import About, Batch, BrokerState, Dead, Delivery, Message, Right, unheard
from worker.broker.facts import Facts, Told
from worker.consumer import Consumer
from worker.core.certificate import Rules
from worker.core.deployment import Certificate
from worker.core.note import Note
from worker.core.past import Placed
from worker.core.snapshot import Snapshot
from worker.intake import Intake
from worker.rotation import Rotator
from worker.sandbox.ca import Authority, Issued
from worker.telemetry import Metrics, configure_logs
from worker.trust.opening import TrustPolicy

_GROUP: Final = "memory"
_CERTIFICATES: Final = 1_000
_LEAVES: Final = 12
_IN_FLIGHT: Final = 32
_AT_MOST: Final = 20.0
_SICK: Final = "sick"
# Of ten certificates: what stands at the cloud, by the id's first part, and so what a renewal comes to.
_KINDS: Final = ("d2", "d2", "d2", "d2", "d2", "newer", "newer", "missing", _SICK, "refused")


@dataclass(slots=True)
class Tally:
    """What became of deliveries, and what the process held as they ended: megabytes by number."""

    ended: Counter[str] = field(default_factory=Counter)
    held: dict[int, float] = field(default_factory=dict)

    def count(self, outcome: str) -> None:
        self.ended[outcome] += 1
        total = self.ended.total()
        if total % _CERTIFICATES == 0:
            self.held[total] = memory()[0]


@dataclass(slots=True)
class Handed:
    """A delivery of the stand-in."""

    message: Message
    tally: Tally
    turns: asyncio.Semaphore

    async def fence(self) -> None:
        """Nobody else is given it."""

    async def ack(self) -> None:
        self._settled("acked")

    async def park(self, _delay: float, *, attempt: int, opened_at: datetime | None = None) -> None:
        assert attempt >= self.message.attempt
        assert opened_at is None
        self._settled("parked")

    async def bury(self, _reason: str, *, keep_body: bool, **about: Unpack[About]) -> None:
        assert about.get("renewal_id"), about.get("certificate") or keep_body
        self._settled("buried")

    def _settled(self, outcome: str) -> None:
        self.tally.count(outcome)
        self.turns.release()


@dataclass(frozen=True, slots=True)
class Queue:
    """A broker that hands out renewals as fast as they are settled, some at once, and then stops the consumer."""

    renewals: Iterator[Message]
    tally: Tally
    stopping: asyncio.Event
    facts: Facts = field(default_factory=Facts)
    """What a worker knows of its broker's history."""

    @asynccontextmanager
    async def deliveries(self) -> AsyncIterator[AsyncIterator[Delivery]]:
        yield self._handed()

    async def _handed(self) -> AsyncIterator[Delivery]:
        turns = asyncio.Semaphore(_IN_FLIGHT)
        for message in self.renewals:
            await turns.acquire()
            yield Handed(message, self.tally, turns)
        self.stopping.set()

    async def publish_event(self, event: Mapping[str, object]) -> None:
        self.facts.take_in(event)

    async def told(
        self, event_ids: Collection[str], certificate: str | None, but: str | None, digest: str
    ) -> Told | None:
        raise NotImplementedError

    async def keep(self, certificate: str, note: Note) -> None:
        raise NotImplementedError

    async def kept(self, certificate: str, leaf: str) -> Mapping[str, Snapshot]:
        raise NotImplementedError

    async def past(self, certificate: str) -> Sequence[Placed]:
        return self.facts.past(certificate)

    async def is_served(self) -> bool:
        raise NotImplementedError

    async def told_by_others_at(self) -> datetime | None:
        raise NotImplementedError

    async def publish_renewal(self, message: Message) -> None:
        raise NotImplementedError

    async def publish_own(self, message: Message) -> None:
        raise NotImplementedError

    async def declare(self) -> None:
        raise NotImplementedError

    async def dead(self) -> Sequence[Dead]:
        return ()

    async def shield(self, _exposes: Callable[[Message], bool | None], /) -> Sequence[Dead]:
        raise NotImplementedError

    async def drop(self, ids: Sequence[str]) -> Sequence[str]:
        raise NotImplementedError

    async def replay(self, ids: Sequence[str], heard: Callable[[str], None] = unheard) -> Sequence[str]:
        raise NotImplementedError

    def following(self, after: int | None = None) -> AsyncGenerator[Batch]:
        raise NotImplementedError

    async def history(self, certificate: str | None = None, *, limit: int = 100) -> Sequence[Mapping[str, object]]:
        raise NotImplementedError

    async def state(self) -> BrokerState:
        return BrokerState(is_connected=True, is_active=True)

    async def rights(self) -> Sequence[Right]:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def run(*, quick: bool) -> list[Row]:
    count = 5_000 if quick else 100_000
    with running() as standin, ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        began = time.monotonic()
        tally = pool.submit(_consumed, standin, count).result()
        seconds = time.monotonic() - began
    first, last = tally.held[_CERTIFICATES], tally.held[count]
    told = ", ".join(f"{number:,} {outcome}" for outcome, number in tally.ended.items())
    note = f"{first:.1f} MB after {_CERTIFICATES:,}, {last:.1f} MB at the end; {told}; {seconds:.0f} s"
    return [
        at_most(_GROUP, f"growth over {count:,} rotations", last - first, "MB", _AT_MOST, note),
        Row(_GROUP, "most held", max(tally.held.values()), "MB"),
    ]


def _consumed(standin: Standin, count: int) -> Tally:
    """In a process of its own, whose logs go nowhere."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        sys.stderr = nowhere
        configure_logs(logging.INFO)
        tally = asyncio.run(_consume(standin, count))
        sys.stderr = sys.__stderr__
    return tally


async def _consume(standin: Standin, count: int) -> Tally:
    names = [f"c{number}" for number in range(_CERTIFICATES)]
    trust = TrustPolicy({name: frozenset({PRODUCER}) for name in names}, allow_plain_keys=True)
    tally, stopping = Tally(), asyncio.Event()
    async with AsyncExitStack() as stack:
        # What is sick has a gateway of its own: it shall not hold the others.
        accounts = {"apig": Account(deadline=10.0), _SICK: Account(deadline=0.001)}
        opened = {name: await stack.enter_async_context(gateway(standin, one, name)) for name, one in accounts.items()}
        attempts = Attempts(
            Queue(_renewals(names, count), tally, stopping),
            Intake(trust, Rules(), (), _now),
            Rotator(opened),
            {name: _deployed(number, name) for number, name in enumerate(names)},
            Policy(),
            Metrics(),
            _now,
            lambda: 0.5,
        )
        await Consumer(attempts, stopping).run()
    return tally


def _now() -> datetime:
    return datetime.now(UTC)


def _kind(number: int) -> str:
    return _KINDS[number % len(_KINDS)]


def _deployed(number: int, name: str) -> Certificate:
    kind = _kind(number)
    return certificate(name, f"{kind}-{name}", _SICK if kind == _SICK else "apig")


def _renewals(names: Sequence[str], count: int) -> Iterator[Message]:
    """Round by round another leaf for each, so that there is something to do every time."""
    authority = Authority.create()
    leaves = [issue(authority) for _ in range(_LEAVES)]
    for number in range(count):
        at, turn = number % len(names), number // len(names)
        leaf, other = leaves[turn % _LEAVES], leaves[(turn + 1) % _LEAVES]
        yield renewal(names[at], _with_key_of(leaf, other) if _kind(at) == "refused" else leaf)


def _with_key_of(leaf: Issued, other: Issued) -> Issued:
    return replace(leaf, private_key_pem=other.private_key_pem)
