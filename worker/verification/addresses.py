"""Every address that a name has, and that there is a way to."""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from worker.core.errors import is_exhaustion
from worker.verification.handshake import HANDSHAKE_SECONDS

_MOST_THREADS: Final = 256
_LOOKING_UP: Final = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="look-up")
"""Of their own: names that nobody answers for shall not hold up those of gateways, and the reading of files."""
_Found = Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class LookUps:
    """All of a process. A thread is held by a name until the system gives up on it, long after us: one by each name.

    Its time begins once it has a thread: that there is none left is not the name's fault.
    """

    threads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_THREADS))
    pending: dict[tuple[str, int], asyncio.Future[_Found]] = field(default_factory=dict)

    async def addresses_of(self, host: str, port: int) -> Sequence[str]:
        """Empty where the name has none, or nobody answers in time. Raises what `is_exhaustion` knows."""
        place = host, port
        if place not in self.pending:
            await self.threads.acquire()
            if place in self.pending:
                self.threads.release()
            else:
                self._begin(place)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                found = await asyncio.shield(self.pending[place])
        except (OSError, UnicodeError, TimeoutError) as error:
            _check_room(error)
            return ()
        return list(dict.fromkeys(str(one[4][0]) for one in found if _has_route(one[0], one[4])))

    def _begin(self, place: tuple[str, int]) -> None:
        pending = asyncio.get_running_loop().run_in_executor(_LOOKING_UP, _found, *place)

        def end(ended: asyncio.Future[_Found]) -> None:
            del self.pending[place]
            self.threads.release()
            if not ended.cancelled():
                ended.exception()  # nobody may be waiting for it any more

        self.pending[place] = pending
        pending.add_done_callback(end)


def _found(host: str, port: int) -> _Found:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _check_room(error: Exception) -> None:
    """Raises what `is_exhaustion` knows: a resolver that gets no descriptor says that it knows no such name."""
    if is_exhaustion(error):
        raise error
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()


def _has_route(family: int, place: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> bool:
    """Whether this host can send there at all: many have no IPv6, and a name's IPv6 address is no failure then."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.connect(place)  # a datagram socket sends nothing by this
    except OSError as error:
        if is_exhaustion(error):
            raise
        return False
    return True
