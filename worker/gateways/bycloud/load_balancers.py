"""A load balancer takes one change at a time, at whichever of its listeners: whose turn it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from worker.effort import Effort, current_effort
from worker.limits import TurnQueue


@dataclass(slots=True, eq=False)
class _Line:
    """Before one load balancer."""

    waiting: TurnQueue = field(default_factory=TurnQueue)
    is_taken: bool = False

    async def enter(self, effort: Effort) -> None:
        if self.is_taken:
            await self._wait(effort)
        self.is_taken = True

    async def _wait(self, effort: Effort) -> None:
        turn = self.waiting.add(effort)
        try:
            with effort.queueing():
                await turn
        except asyncio.CancelledError:
            self.waiting.leave(effort, turn)
            if not turn.cancelled():
                self.leave()  # the turn came together with the cancellation
            raise

    def leave(self) -> None:
        """Hands over at once: whoever comes before the next one wakes up waits behind it."""
        self.is_taken = False
        while not self.is_taken and (turn := self.waiting.next(has_room_for_long=True)) is not None:
            if not turn.done():  # else it gave up a moment ago
                turn.set_result(0.0)
                self.is_taken = True


@dataclass(frozen=True, slots=True)
class LoadBalancers:
    """Urgent rotations first, the others in turns, as under the limits; forgets those that nobody uses.

    Who has the turn is not hastened for an urgent one: all of its rotation would be, to the cost of everybody else.
    """

    _lines: dict[str, _Line] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many are in use."""
        return len(self._lines)

    @asynccontextmanager
    async def turn(self, load_balancer: str) -> AsyncIterator[None]:
        """Waits for the turn of the rotation that runs; change something there inside the block."""
        line = self._lines.setdefault(load_balancer, _Line())
        try:
            await line.enter(current_effort())
            try:
                yield
            finally:
                line.leave()
        finally:
            if not line.is_taken and self._lines.get(load_balancer) is line:
                del self._lines[load_balancer]
