"""Mutual exclusion by key."""

import asyncio
from dataclasses import dataclass


class KeyedLock:
    """First come, first served; forgets keys that nobody holds."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    def hold(self, key: str) -> "Hold":
        """Waits for its turn; hold the key inside the block."""
        return Hold(self._locks, self._users, key)

    def __len__(self) -> int:
        """How many keys are held or waited for."""
        return len(self._locks)


@dataclass(slots=True)
class Hold:
    """Counts the users of a key's lock, and forgets the lock with the last."""

    locks: dict[str, asyncio.Lock]
    users: dict[str, int]
    key: str

    async def __aenter__(self) -> None:
        self.users[self.key] = self.users.get(self.key, 0) + 1
        try:
            await self.locks.setdefault(self.key, asyncio.Lock()).acquire()
        except asyncio.CancelledError:
            self._forget()
            raise

    async def __aexit__(self, *_error: object) -> None:
        self.locks[self.key].release()
        self._forget()

    def _forget(self) -> None:
        self.users[self.key] -= 1
        if not self.users[self.key]:
            del self.users[self.key], self.locks[self.key]
