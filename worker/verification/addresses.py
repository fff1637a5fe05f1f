"""Every address that a name has, and that there is a way to."""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from worker.verification.handshake import HANDSHAKE_SECONDS

_LOOKING_UP: Final = ThreadPoolExecutor(32, thread_name_prefix="look-up")
"""Of their own: names that nobody answers for shall not hold up those of gateways, and the reading of files."""


async def addresses_of(host: str, port: int) -> Sequence[str]:
    """Empty where the name has none, or nobody answers in time."""
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            found = await asyncio.get_running_loop().run_in_executor(_LOOKING_UP, look_up)
    except (OSError, UnicodeError, TimeoutError):
        return ()
    return list(dict.fromkeys(str(place[0]) for family, _, _, _, place in found if _has_route(family, place)))


def _has_route(family: int, place: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> bool:
    """Whether this host can send there at all: many have no IPv6, and a name's IPv6 address is no failure then."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.connect(place)  # a datagram socket sends nothing by this
    except OSError:
        return False
    return True
