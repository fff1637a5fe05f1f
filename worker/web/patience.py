"""How long a reader is waited for that does not read."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

PATIENCE: Final = 20.0
"""Seconds for each piece."""


@dataclass(frozen=True, slots=True)
class Patient:
    """Of one answer. What was written and not read lies in memory, and the connection would stay as long."""

    request: web.Request
    seconds: float = PATIENCE

    async def of(self, writing: Awaitable[None]) -> None:
        """Raises ConnectionAbortedError once nobody has read for so long: then the connection is gone."""
        try:
            async with asyncio.timeout(self.seconds) as limit:
                await writing
        except TimeoutError:
            if not limit.expired():
                raise
            if self.request.transport is not None:
                self.request.transport.abort()
            raise ConnectionAbortedError from None
