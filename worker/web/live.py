"""News for an open page: those of its parts that have changed, as server-sent events."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from worker.web.patience import PATIENCE, Patient

MOST_READERS: Final = 32
"""At once: each costs a connection, and some work whenever anything moves."""
_PACE: Final = 1.0
"""Seconds between news, at least."""
_REFRESH: Final = 5.0
"""…and at most: what was 2 minutes ago is 3 minutes ago some time."""
_LIFETIME: Final = 900.0
"""Seconds, after which a browser connects anew by itself: who may no longer look is not let in again."""
_AGAIN: Final = b"retry: 1000\n\n"
"""Milliseconds until then."""
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "X-Accel-Buffering": "no",  # else a proxy keeps the news until there are many
}
_STILL_HERE: Final = b": still here\n\n"
"""A comment: by it a connection that is gone is noticed."""


@dataclass(frozen=True, slots=True)
class PageSnapshot:
    """A page at one moment."""

    version: int
    parts: Mapping[str, str]
    """HTML by the id of its element."""
    said: str


@dataclass(frozen=True, slots=True)
class Live:
    """All pages that are open."""

    changed: Callable[[int], Awaitable[int]]
    """Returns once the fleet has another version than that."""
    lifetime: float = _LIFETIME
    patience: float = PATIENCE
    _readers: set[asyncio.Task[object]] = field(default_factory=set)

    async def follow(
        self, request: web.Request, headers: Mapping[str, str], shown: Callable[[], Awaitable[PageSnapshot | None]]
    ) -> web.StreamResponse:
        """Until the reader goes away, what it looks at is gone, its time is over, or `close`."""
        task = asyncio.current_task()
        if task is None or len(self._readers) >= MOST_READERS:
            return web.Response(status=503, headers={**headers, "Retry-After": "30"})
        self._readers.add(task)
        response = web.StreamResponse(headers={**headers, **_HEADERS})
        try:
            await response.prepare(request)
            # Told to end, or nobody there any more.
            with suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(self.lifetime):
                    await self._tell(Patient(request, self.patience), response, shown)
            with suppress(ConnectionError):
                await Patient(request, self.patience).of(response.write_eof())
        finally:
            self._readers.discard(task)
        return response

    async def close(self, _app: object = None) -> None:
        """Ends all of them: a worker that stops waits for nobody's page."""
        for one in tuple(self._readers):
            one.cancel()

    async def _tell(
        self, patient: Patient, response: web.StreamResponse, shown: Callable[[], Awaitable[PageSnapshot | None]]
    ) -> None:
        await patient.of(response.write(_AGAIN))
        before = PageSnapshot(-1, {}, "")
        while (now := await shown()) is not None:
            await patient.of(response.write(news(before, now) or _STILL_HERE))
            before = now
            await asyncio.sleep(_PACE)
            with suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH - _PACE):
                    await self.changed(now.version)


def news(before: PageSnapshot, now: PageSnapshot) -> bytes:
    """The events that lead from one to the other; empty where they are alike."""
    parts = {name: html for name, html in now.parts.items() if before.parts.get(name) != html}
    told = _event("parts", parts) if parts else b""
    return told + (_event("said", now.said) if now.said != before.said else b"")


def _event(name: str, value: object) -> bytes:
    # JSON has no line break of its own, which would end the event.
    return f"event: {name}\ndata: {json.dumps(value)}\n\n".encode()
