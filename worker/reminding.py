"""What takes long says in the log how it stands, every minute."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import structlog

_log = structlog.get_logger()
_EVERY: Final = 60.0
_SPREAD: Final = 5.0, 0.618
"""Seconds by which the first time may be later, and the part of them from one to the next: an estimate asks all that is
under way at its gateway, and a thousand that began together would keep everything else waiting."""

Facts = Callable[[], Mapping[str, object]]


@contextmanager
def reminding(facts: Facts) -> Iterator[None]:
    """While the block lasts, `facts` are told as `rotation.waiting`, every 60 seconds, at first some seconds later.

    A timer, not a task: nearly every block ends before it.
    """
    reminder = _Reminder(facts)
    reminder.set(reminder.later)
    try:
        yield
    finally:
        reminder.timer.cancel()


@dataclass(slots=True)
class _Reminder:
    facts: Facts
    number: int = field(default_factory=count().__next__, init=False)
    timer: asyncio.TimerHandle = field(init=False)

    @property
    def later(self) -> float:
        seconds, part = _SPREAD
        return seconds * (self.number * part % 1)

    def set(self, later: float = 0.0) -> None:
        self.timer = asyncio.get_running_loop().call_later(_EVERY + later, self.tell)

    def tell(self) -> None:
        self.set()
        _log.info("rotation.waiting", **self.facts())
