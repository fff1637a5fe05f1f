"""What one rotation costs and gets done, known to everything that works for it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from worker.core.note import Note
from worker.core.outcome import Report


async def _unfenced() -> None:
    """Where nobody else can have the same rotation in hand."""


async def _unkept(_note: Note) -> None:
    """Where nobody takes over."""


def _unasked() -> None:
    """Where nobody goes before others."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a gateway has refused in passing, or left unanswered: none of its own words."""

    operation: str
    reason: str
    status: int | None
    """Of its answer; None where there was none."""
    since: datetime
    """When that was so first: nothing of that operation was answered otherwise since."""

    @property
    def is_throttling(self) -> bool:
        """The limits know until when: an estimate has it in. For how long anything else lasts, nobody knows."""
        return self.reason == "throttled"


@dataclass(slots=True, eq=False)
class Effort:
    """One rotation's account. Limits serve efforts, not single calls."""

    number: int = field(default_factory=count(1).__next__, init=False)
    """Later efforts have higher ones."""
    urgent: bool = False
    """Goes before everything that waits and is not."""
    is_background: bool = False
    """Goes behind everything that waits and is not."""
    fence: Callable[[], Awaitable[None]] = _unfenced
    """Awaited right before anything is changed: does not return once another worker may be at this rotation."""
    keep: Callable[[Note], Awaitable[None]] = _unkept
    """Leaves a note to whoever takes this rotation over; when it returns, the note outlives this process."""
    is_compared: bool = False
    """Its renewal's id quotes no key that was opened: others than the log may be told that id."""
    calls: int = 0
    """Gateway calls sent."""
    changes: int = 0
    """What was reached at the clouds: certificates stored or retired, bindings attached."""
    learned: int = 0
    """What was read and is remembered: a later time slice need not read it again."""
    left: Report | None = None
    """It was interrupted after something was replaced, by it or before it: what is there, as far as is known."""
    was_queueing: bool = False
    """It was interrupted while one of its steps waited for its turn."""
    _queues: Counter[Callable[[], None]] = field(default_factory=Counter)
    """Where its steps wait, and how many: each lets in who may go on now."""
    _refusals: dict[tuple[str, str], Refusal] = field(default_factory=dict, init=False)
    """By gateway and operation, the latest last: what else is answered there, as reading is, does not end them."""

    def refused(self, gateway: str, operation: str, reason: str, status: int | None, at: datetime) -> None:
        """What is asked again, or comes again with the renewal."""
        before = self._refusals.pop((gateway, operation), None)
        since = at if before is None else before.since
        self._refusals[gateway, operation] = Refusal(operation, reason, status, since)

    def answered(self, gateway: str, operation: str) -> None:
        """As it was wished, or so that asking again is in vain."""
        self._refusals.pop((gateway, operation), None)

    def refusal(self, gateway: str) -> Refusal | None:
        """The latest that still stands there; of throttling, only where there is no other."""
        latest = (one for (place, _), one in reversed(self._refusals.items()) if place == gateway)
        return min(latest, key=lambda one: one.is_throttling, default=None)

    @property
    def has_got_on(self) -> bool:
        """Whether less is left to do than before."""
        return bool(self.changes or self.learned)

    @property
    def is_getting_on(self) -> bool:
        """Whether it may go on as it does: waiting its turn is no standstill."""
        return self.has_got_on or self.was_queueing

    def hasten(self) -> None:
        """From now on it is urgent, also where it waits already."""
        self.urgent = True
        for admit in tuple(self._queues):
            admit()

    @contextmanager
    def queueing(self, admit: Callable[[], None] = _unasked) -> Iterator[None]:
        """Inside the block a step waits for its turn; `admit` looks anew who has it, once this is urgent."""
        self._queues[admit] += 1
        try:
            yield
        except asyncio.CancelledError:
            self.was_queueing = True
            raise
        finally:
            self._queues[admit] -= 1
            if not self._queues[admit]:
                del self._queues[admit]


_current: ContextVar[Effort] = ContextVar("effort")


def current_effort() -> Effort:
    """Of the rotation on whose behalf this task works; one of its own where there is none."""
    return _current.get(None) or Effort()


@contextmanager
def spending(effort: Effort) -> Iterator[None]:
    """What is done inside the block, in tasks that it starts too, is booked to `effort`."""
    token = _current.set(effort)
    try:
        yield
    finally:
        _current.reset(token)
