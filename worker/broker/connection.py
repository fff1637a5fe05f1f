"""Connections to RabbitMQ: plain ones, with a timeout on every step, under our own supervision."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, ProbableAuthenticationError
from yarl import URL

from worker.broker.base import BrokerLostError
from worker.core.secret import Secret
from worker.settings.model import Broker as Settings

# A dead peer is noticed after three times (heartbeat + 1) seconds.
_HEARTBEAT: Final = 10
LOST: Final = (AMQPError, ChannelInvalidStateError, ConnectionError, OSError, RuntimeError, TimeoutError)
"""What aio-pika raises when the broker is away, on whatever step."""


class Connector:
    """Opens connections to one broker as one user."""

    def __init__(self, settings: Settings, url: Secret) -> None:
        self._settings = settings
        self._url = url
        self.user = URL(url.reveal()).user or "guest"

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[AbstractConnection]:
        """A connection inside the block."""
        connection = await self.connect()
        try:
            yield connection
        finally:
            await self.close(connection)

    async def connect(self) -> AbstractConnection:
        """Raises BrokerLostError; the text has no part of the URL."""
        url = URL(self._url.reveal()).update_query(heartbeat=str(_HEARTBEAT))
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                return await aio_pika.connect(url, ssl_context=self._tls(url), timeout=self._settings.timeout_seconds)
        except ProbableAuthenticationError:
            raise BrokerLostError("the broker refuses these credentials") from None
        except LOST as error:
            raise BrokerLostError(f"the broker cannot be reached ({type(error).__name__})") from None

    def _tls(self, url: URL) -> ssl.SSLContext | None:
        """Our own context: URL parameters can turn verification off."""
        if url.scheme != "amqps":
            return None
        context = ssl.create_default_context(cafile=self._settings.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._settings.cert_file is not None:
            context.load_cert_chain(self._settings.cert_file, self._settings.key_file)
        return context

    async def close(self, connection: AbstractConnection) -> None:
        """Closing hangs on a frozen path: it is given a little time."""
        with suppress(*LOST):
            async with asyncio.timeout(min(self._settings.timeout_seconds, 5)):
                await connection.close()
