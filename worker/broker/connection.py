"""Connections to RabbitMQ: plain ones, with a timeout on every step, under our own supervision."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import (
    AMQPError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ProbableAuthenticationError,
)
from aiormq.exceptions import ChannelAccessRefused
from yarl import URL

from worker.broker.base import BrokerError, BrokerLostError, TopologyError
from worker.broker.properties import tolerate_bad_properties
from worker.core.secret import Secret
from worker.settings.errors import SettingsError
from worker.settings.model import Broker as Settings
from worker.settings.resolve import broker_url
from worker.tls import Identity, cause, verifying

# A dead peer is noticed after three times (heartbeat + 1) seconds.
_HEARTBEAT: Final = 10
# Others are not passed on: `no_verify_ssl=false`, for one, turns verification off.
_QUERY: Final = frozenset({"heartbeat", "name"})
_CLOSING_SECONDS: Final = 5.0
_LOST: Final = (AMQPError, ConnectionError, OSError, RuntimeError, TimeoutError)
"""What aio-pika raises when the broker is away, on whatever step."""


@asynccontextmanager
async def guarded(step: str, seconds: float) -> AsyncGenerator[None]:
    """One step with the broker, which may hang for ever on a frozen path.

    Raises TopologyError for what is missing or forbidden, and BrokerLostError for a broker that is away or silent.
    """
    task = asyncio.current_task()
    asked = task.cancelling() if task else 0
    try:
        async with asyncio.timeout(seconds):
            yield
    except (ChannelPreconditionFailed, ChannelAccessRefused) as error:
        raise TopologyError(f"{step}: {words(error)}") from None
    except _LOST as error:
        if is_missing(error):
            raise TopologyError(f"{step}: {words(error)}") from None
        raise BrokerLostError(f"{step}: the broker is lost ({_kind(error)})") from None
    except Exception as error:
        if type(error) is not Exception:
            raise
        # aiormq rejects what waits with a bare one, when its reader ends in the middle of a frame.
        raise BrokerLostError(f"{step}: the link to the broker is dead") from None
    except asyncio.CancelledError:
        # A link that died in silence cancels the step from within: then nobody asked this task to stop.
        if task is None or task.cancelling() > asked:
            raise
        raise BrokerLostError(f"{step}: the link to the broker is dead") from None


def is_missing(error: Exception) -> bool:
    """A queue whose leader is away, as while the broker starts, answers 404 too: that passes."""
    return isinstance(error, ChannelNotFoundEntity) and words(error).startswith(("no queue", "no exchange"))


def _kind(error: BaseException) -> str:
    """Its cause says more than the library's word for all of them."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    # Of a connection that is reset while TLS is agreed on, the library makes errors that are causes of each other.
    while cause is not None and cause not in seen:
        seen.append(cause)
        if isinstance(cause, socket.gaierror):
            return "its name is not found"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its certificate does not verify"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def words(error: Exception) -> str:
    """What the broker says of an object: its name and the argument that differs, never a credential."""
    return str(error).partition(" - ")[2] or type(error).__name__


class Connector:
    """Opens connections to one broker as one user; its URL and TLS files are read again for each connection."""

    def __init__(self, settings: Settings, url: Secret) -> None:
        self._settings = settings
        self._url = url
        self.timeout: float = settings.timeout_seconds

    @property
    def user(self) -> str:
        return URL(self._url.reveal()).user or "guest"

    @property
    def lease(self) -> float:
        """Seconds in which the broker surely does not give up a connection that it has just heard."""
        told = URL(self._url.reveal()).query.get("heartbeat", "")
        heartbeat = int(told) if told.isdecimal() and int(told) else _HEARTBEAT
        return min(heartbeat, _HEARTBEAT) / 2

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[AbstractConnection]:
        """A connection inside the block."""
        connection = await self.connect()
        try:
            yield connection
        finally:
            await self.close(connection)

    async def connect(self) -> AbstractConnection:
        """Raises BrokerLostError, and BrokerError for unusable TLS files; the text has no part of the URL."""
        tolerate_bad_properties()
        self._read_again()
        url = self._told(URL(self._url.reveal()))
        async with guarded(f"connecting to {url.host}:{url.port}", self.timeout):
            try:
                return await aio_pika.connect(url, ssl_context=self._tls(url), timeout=self.timeout)
            except ProbableAuthenticationError:
                raise BrokerLostError("the broker refuses these credentials") from None

    def _read_again(self) -> None:
        """A password that was changed in `url_file` needs no restart."""
        if self._settings.url_file is not None:
            try:
                self._url = broker_url(self._settings)
            except SettingsError as error:
                raise BrokerLostError("; ".join(error.problems)) from None

    def _told(self, url: URL) -> URL:
        """With what goes to the library alone. Without a password, the client certificate says who we are."""
        known = {key: value for key, value in url.query.items() if key in _QUERY}
        external = {"auth": "EXTERNAL"} if url.password is None and self._settings.cert_file is not None else {}
        return url.with_query({"heartbeat": str(_HEARTBEAT)} | known | external)

    def _tls(self, url: URL) -> ssl.SSLContext | None:
        """Our own context: URL parameters can turn verification off."""
        if url.scheme != "amqps":
            return None
        try:
            return verifying(self._settings.ca_file, self._identity())
        except OSError as error:
            raise BrokerError(f"broker.ca_file, cert_file, key_file: cannot be used ({cause(error)})") from None

    def _identity(self) -> Identity | None:
        """The key may stand in the certificate's file: `secret_files` goes by that too."""
        cert_file = self._settings.cert_file
        return None if cert_file is None else Identity(cert_file, self._settings.key_file or cert_file)

    async def close(self, connection: AbstractConnection) -> None:
        """Closing hangs on a frozen path: it is given a little time."""
        with suppress(BrokerError):
            async with guarded("closing", min(self.timeout, _CLOSING_SECONDS)):
                await connection.close()


async def counted(connection: AbstractConnection, *queues: str) -> list[tuple[int, int]]:
    """Messages ready, and consumers, of each queue."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        found = [(await channel.declare_queue(queue, passive=True)).declaration_result for queue in queues]
        return [(one.message_count or 0, one.consumer_count or 0) for one in found]
    finally:
        if not channel.is_closed:
            await channel.close()
