"""Mutual exclusion by key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


class KeyedLock:
    """First come, first served; forgets keys that nobody holds."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[None]:
        with _Use(self._locks, self._users, key) as lock:
            async with lock:
                yield

    def __len__(self) -> int:
        """How many keys are held or waited for."""
        return len(self._locks)


@dataclass(slots=True)
class _Use:
    """Counts the users of a key's lock, and forgets the lock with the last."""

    locks: dict[str, asyncio.Lock]
    users: dict[str, int]
    key: str

    def __enter__(self) -> asyncio.Lock:
        self.users[self.key] = self.users.get(self.key, 0) + 1
        return self.locks.setdefault(self.key, asyncio.Lock())

    def __exit__(self, *_error: object) -> None:
        self.users[self.key] -= 1
        if not self.users[self.key]:
            del self.users[self.key], self.locks[self.key]
