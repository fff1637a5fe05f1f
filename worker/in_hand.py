"""What a consumer has in hand, and which of it may be what kills the process.

The broker counts how often a message was delivered without being settled, for the cause of a crash and for all that was
in hand beside it, also when workers are replaced in order. So what was delivered half as often as it may be is worked
on alone, in the order in which it came: of what the broker delivers for the last time, only the first was tried, and
only that one is given up.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import sha256

from worker.broker.base import Message

Task = asyncio.Task[None]


@dataclass(slots=True)
class InHand:
    """Of one consumer, over all its sessions at the broker."""

    _tasks: dict[Task, Message] = field(default_factory=dict)
    _suspects: set[Task] = field(default_factory=set)
    _survived: frozenset[bytes] = frozenset()
    """Digests of what was in hand when the broker was lost: this process lives, so it did not die of that."""
    _is_cause_known: bool = False
    """The session has had the one that was tried."""

    @property
    def tasks(self) -> Collection[Task]:
        return [task for task in self._tasks if not task.done()]

    def add(self, task: Task, message: Message) -> None:
        self._tasks[task] = message
        if self._is_suspect(message):
            self._suspects.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: Task) -> None:
        """What was cancelled or failed is not settled: it counts as in hand until the session is over."""
        if not task.cancelled() and task.exception() is None:
            del self._tasks[task]
            self._suspects.discard(task)

    def ahead_of(self, message: Message) -> Collection[Task]:
        """Whose end it waits for: a suspect for all that came before it, all others for the suspects."""
        return list(self._tasks if self._is_suspect(message) else self._suspects)

    def is_given_up(self, message: Message) -> bool:
        """Whether this last delivery is the one that was tried before; to be asked in the order in which they come."""
        is_cause = message.is_last_delivery and not self._is_cause_known and not self.has_survived(message)
        self._is_cause_known |= is_cause
        return is_cause

    def session_ended(self) -> None:
        """The broker delivers again what is not settled."""
        self._survived = frozenset(_digest(message) for message in self._tasks.values())
        self._tasks.clear()
        self._suspects.clear()
        self._is_cause_known = False

    def _is_suspect(self, message: Message) -> bool:
        return message.is_suspect and not self.has_survived(message)

    def has_survived(self, message: Message) -> bool:
        """Whether this process had it in hand when it lost the broker."""
        return bool(self._survived) and _digest(message) in self._survived


def _digest(message: Message) -> bytes:
    return sha256(message.body).digest()
