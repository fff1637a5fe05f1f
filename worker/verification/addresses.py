"""Every address that a name has, and that there is a way to."""

import asyncio
import socket
from collections.abc import Sequence

from worker.verification.handshake import HANDSHAKE_SECONDS


async def addresses_of(host: str, port: int) -> Sequence[str]:
    """Empty where the name has none, or nobody answers in time."""
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
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
