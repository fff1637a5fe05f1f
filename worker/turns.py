"""One rotation at a time per certificate; whatever an urgent renewal waits for there is as urgent."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from worker.effort import Effort
from worker.limits import KeyedLock


@dataclass(frozen=True, slots=True)
class Turns:
    """First come, first served."""

    _locks: KeyedLock = field(default_factory=KeyedLock)
    _at_work: dict[str, Effort] = field(default_factory=dict)
    """By certificate."""
    _urgent: Counter[str] = field(default_factory=Counter)
    """By certificate, how many urgent ones wait."""

    def __len__(self) -> int:
        """How many certificates are worked on or waited for."""
        return len(self._locks) + len(self._at_work) + len(self._urgent)

    @asynccontextmanager
    async def of(self, certificate: str, effort: Effort) -> AsyncIterator[None]:
        """Waits for its turn; work inside the block."""
        async with AsyncExitStack() as stack:
            with effort.queueing(), self._hastening(certificate, effort):
                await stack.enter_async_context(self._locks.hold(certificate))
            self._at_work[certificate] = effort
            effort.urgent |= certificate in self._urgent
            try:
                yield
            finally:
                del self._at_work[certificate]

    @contextmanager
    def _hastening(self, certificate: str, effort: Effort) -> Iterator[None]:
        """While an urgent one waits inside the block, all that are before it are urgent, one after the other."""
        if not effort.urgent:
            yield
            return
        if certificate in self._at_work:
            self._at_work[certificate].hasten()
        self._urgent[certificate] += 1
        try:
            yield
        finally:
            self._urgent[certificate] -= 1
            if not self._urgent[certificate]:
                del self._urgent[certificate]
