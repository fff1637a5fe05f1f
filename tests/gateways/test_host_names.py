"""A gateway's host name: looked up slowly, or leading elsewhere from one moment to the next."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.gateways.test_transport import GET, POST, http, listening, transport
from tests.support.ports import free_port

NAME = "apig.example.test"
LAST = http(200, b"{}", Connection="close")


@dataclass
class Names:
    """Where the name leads to; looking it up lasts until `is_told` is set."""

    address: str = "127.0.0.1"
    is_told: threading.Event = field(default_factory=threading.Event)
    lookups: int = 0

    def instead_of(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def getaddrinfo(host: str, *words: Any, **options: Any) -> Any:
            if host != NAME:
                return real(host, *words, **options)
            self.lookups += 1
            self.is_told.wait()
            return real(self.address, *words, **options)

        return getaddrinfo


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    one = Names()
    monkeypatch.setattr(socket, "getaddrinfo", one.instead_of(socket.getaddrinfo))
    yield one
    one.is_told.set()


async def test_a_name_that_is_looked_up_slowly_stops_nobody_and_is_looked_up_once(names: Names) -> None:
    """A lookup of the system cannot be cancelled: were each try to begin one, they would take every thread there is."""
    port = free_port()
    async with (
        listening(LAST, at=("127.0.0.1", port)) as far,
        transport(f"http://{NAME}:{port}", timeout=0.2) as slow,
        transport(f"http://127.0.0.1:{port}") as other,
    ):
        for times in (1, 2):
            tries = [slow.send(GET) for _ in range(20)]
            *errors, answer = await asyncio.gather(*tries, other.send(GET), return_exceptions=True)
            assert {getattr(error, "reason", None) for error in errors} == {"gateway_unavailable"}
            assert not isinstance(answer, BaseException)
            assert (names.lookups, len(far.requests)) == (1, times)
        names.is_told.set()
        await slow.send(GET)


async def test_a_name_that_leads_elsewhere_by_now_is_looked_up_again(names: Names) -> None:
    """For changes too: the one that found nobody at the old place was not sent."""
    names.is_told.set()
    port = free_port()
    async with transport(f"http://{NAME}:{port}", deadline=5) as one:
        async with listening(LAST, at=("127.0.0.1", port)):
            await one.send(GET)
        names.address = "127.0.0.2"
        async with listening(LAST, at=("127.0.0.2", port)) as far:
            await one.send(POST)
            assert len(far.requests) == 1
