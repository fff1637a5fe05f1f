"""Publishing to RabbitMQ: confirmed, mandatory, persistent, on a connection of its own."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aio_pika import DeliveryMode
from aio_pika import Message as Outgoing
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelPreconditionFailed, DeliveryError

from worker.broker.base import BrokerError, BrokerLostError, BrokerRefusedError, TooLargeError, TopologyError
from worker.broker.connection import Connector, guarded, words


@dataclass(frozen=True, slots=True)
class Sending:
    """What is published, apart from where to."""

    body: bytes = field(repr=False)
    content_type: str
    headers: Mapping[str, str | int]
    priority: int = 0
    content_encoding: str | None = None


class Publisher:
    """A blocked publisher must not stall the consumer, so it has its own connection; opened when it is needed."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self.is_taken = True
        """Whether the broker took what was published last, as far as it could; it may be blocked or away."""

    async def publish(self, exchange: str, routing_key: str, sending: Sending) -> None:
        """Returns when the broker has it on disk in a queue; BrokerError otherwise, and it may be there all the same.

        BrokerRefusedError when the broker answered that it does not take it.

        Never BrokerLostError: whether deliveries go on is the consuming connection's affair, and publishing is tried
        again on a new connection.
        """
        channel = None
        try:
            channel = await self._opened()
            async with guarded(f"publishing to {exchange}", self._connector.timeout):
                await self._confirmed(channel, exchange, routing_key, sending)
            self.is_taken = True
        except (BrokerLostError, TopologyError) as error:
            self.is_taken = False
            if self._channel is channel:
                self._channel = None
            kind = BrokerRefusedError if isinstance(error, TopologyError) else BrokerError
            raise kind(str(error)) from None

    async def _confirmed(self, channel: AbstractChannel, exchange: str, routing_key: str, sending: Sending) -> None:
        target = await channel.get_exchange(exchange, ensure=False)
        try:
            # The limit of time is the caller's: two would race.
            await target.publish(self._message(sending), routing_key, mandatory=True)
        except DeliveryError:
            self.is_taken = False
            raise BrokerRefusedError(f"exchange {exchange}: no queue took the message") from None
        except ChannelPreconditionFailed as error:
            # It closes the channel, also on what others publish there just now: their sizes are others.
            if not words(error).startswith(f"message size {len(sending.body)} "):
                raise
            raise TooLargeError(f"exchange {exchange}: {words(error)}") from None

    def _message(self, sending: Sending) -> Outgoing:
        """Every try has a message id of its own: two in flight with one id would swap their confirms."""
        return Outgoing(
            sending.body,
            content_type=sending.content_type,
            content_encoding=sending.content_encoding,
            headers=dict(sending.headers),
            priority=sending.priority,
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=str(uuid.uuid4()),
            timestamp=datetime.now(UTC),
            user_id=self._connector.user,
        )

    async def _opened(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                await self.close()
                self._connection = await self._connector.connect()
                async with guarded("opening a channel", self._connector.timeout):
                    self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            return self._channel

    async def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await self._connector.close(connection)
