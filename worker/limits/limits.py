"""The clouds' rate limits, kept by construction; and mutual exclusion by key."""

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from worker.effort import current_effort

# The loop's timers may fire a little early, and sums of floats round: a place is free only when it surely is.
_EPSILON: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Window:
    """At most `calls` in any span of `seconds`."""

    calls: int
    seconds: float


@dataclass(slots=True)
class _Places:
    """A window's places: taken before a call is sent, free again `seconds` after it ended.

    The far end counts a call some time between the two. So whatever the network delays, no span of `seconds` there ever
    holds more than `calls`.
    """

    window: Window
    under_way: int = 0
    freed_at: deque[float] = field(default_factory=deque)

    def are_free(self, now: float) -> bool:
        while self.freed_at and self.freed_at[0] <= now:
            self.freed_at.popleft()
        return self.under_way + len(self.freed_at) < self.window.calls

    def next_free(self) -> float | None:
        """When the next place comes free by time alone; None while that depends on calls under way."""
        return self.freed_at[0] if self.freed_at else None

    def ended(self, now: float) -> None:
        self.under_way -= 1
        self.freed_at.append(now + self.window.seconds + _EPSILON)

    def unused(self) -> None:
        self.under_way -= 1


class Limits:
    """One gateway account's budget: several windows at once, a cap on calls under way, and holds.

    Waiting is first come, first served; urgent calls go before ordinary ones. Seconds of the loop's clock.
    """

    def __init__(self, windows: Sequence[Window], concurrency: int) -> None:
        self._places = [_Places(window) for window in windows]
        self._concurrency = concurrency
        self._under_way = 0
        self._held_until = 0.0
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        return sum(not turn.done() for _, _, turn in self._waiting)

    @property
    def in_flight(self) -> int:
        return self._under_way

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """One call's turn: send it inside the block. A waiter that is cancelled costs nothing."""
        effort = current_effort()
        with effort.queueing():
            await self._turn(urgent=effort.urgent)
        try:
            yield
        finally:
            self._give_back()

    def hold(self, seconds: float) -> None:
        """Nothing is sent for so long; an earlier hold that lasts longer stays."""
        self._held_until = max(self._held_until, self._now() + seconds)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _turn(self, *, urgent: bool) -> None:
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not urgent, next(self._order), turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # the turn came together with the cancellation: nothing was sent
            raise

    def _admit(self) -> None:
        """Lets in everybody whose turn has come, and sets the timer for the next."""
        now = self._now()
        while self._waiting and self._may_send(now):
            _, _, turn = heapq.heappop(self._waiting)
            if turn.done():
                continue
            self._under_way += 1
            for places in self._places:
                places.under_way += 1
            turn.set_result(None)
        self._set_timer(now)

    def _may_send(self, now: float) -> bool:
        free = [places.are_free(now) for places in self._places]
        return self._under_way < self._concurrency and now >= self._held_until and all(free)

    def _set_timer(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting or self._under_way >= self._concurrency:
            return
        full = [places.next_free() for places in self._places if not places.are_free(now)]
        if None in full:
            return  # a call under way has to end first, and its end admits
        at = max([self._held_until, *(one for one in full if one is not None)])
        self._timer = asyncio.get_running_loop().call_at(at, self._admit)

    def _pass_on(self) -> None:
        self._under_way -= 1
        for places in self._places:
            places.unused()
        self._admit()

    def _give_back(self) -> None:
        now = self._now()
        self._under_way -= 1
        for places in self._places:
            places.ended(now)
        self._admit()


class KeyedLock:
    """Mutual exclusion by key, first come, first served; forgets keys that nobody holds."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[None]:
        with self._used(key) as lock:
            async with lock:
                yield

    def _used(self, key: str) -> "_Use":
        return _Use(self._locks, self._users, key)

    def __iter__(self) -> Iterator[str]:
        """The keys that are held or waited for."""
        return iter(dict(self._locks))


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
