"""What takes long says in the log how it stands, every minute."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

_log = structlog.get_logger()
_EVERY: Final = 60.0

Facts = Callable[[], Mapping[str, object]]


@contextmanager
def reminding(facts: Facts) -> Iterator[None]:
    """While the block lasts, `facts` are told as `rotation.waiting`, every 60 seconds.

    A timer, not a task: nearly every block ends before it.
    """
    reminder = _Reminder(facts)
    reminder.set()
    try:
        yield
    finally:
        reminder.timer.cancel()


@dataclass(slots=True)
class _Reminder:
    facts: Facts
    timer: asyncio.TimerHandle = field(init=False)

    def set(self) -> None:
        self.timer = asyncio.get_running_loop().call_later(_EVERY, self.tell)

    def tell(self) -> None:
        self.set()
        _log.info("rotation.waiting", **self.facts())
