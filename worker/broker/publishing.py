"""Publishing to RabbitMQ: confirmed, mandatory, persistent, on a connection of its own."""

import asyncio
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from aio_pika import DeliveryMode
from aio_pika import Message as Outgoing
from aio_pika.abc import AbstractChannel, AbstractConnection, HeadersType
from aio_pika.exceptions import DeliveryError

from worker.broker.base import BrokerError, BrokerLostError
from worker.broker.connection import LOST, Connector


class Publisher:
    """A blocked publisher must not stall the consumer, so it has its own connection; opened when it is needed."""

    def __init__(self, connector: Connector, timeout: float) -> None:
        self._connector = connector
        self._timeout = timeout
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        content_type: str,
        headers: Mapping[str, str | int],
        priority: int = 0,
    ) -> None:
        """Returns when the broker has it on disk in a queue; BrokerError otherwise, and it may be there all the same.

        Every try has a message id of its own: two in flight with one id would swap their confirms.
        """
        message = Outgoing(
            body,
            content_type=content_type,
            headers=_plain(headers),
            priority=priority,
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=str(uuid.uuid4()),
            timestamp=datetime.now(UTC),
            user_id=self._connector.user,
        )
        channel = await self._open()
        try:
            target = await channel.get_exchange(exchange, ensure=False)
            async with asyncio.timeout(self._timeout):
                await target.publish(message, routing_key, mandatory=True, timeout=self._timeout)
        except DeliveryError:
            raise BrokerError(f"exchange {exchange}: no queue took the message") from None
        except LOST as error:
            await self._drop(channel)
            raise BrokerError(f"exchange {exchange}: not confirmed ({type(error).__name__})") from None
        except asyncio.CancelledError:
            # A link that died in silence cancels the publish from within: then nobody asked this task to stop.
            await self._drop(channel)
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise BrokerError(f"exchange {exchange}: not confirmed, the link is dead") from None

    async def _open(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                await self.close()
                self._connection = await self._connector.connect()
                try:
                    async with asyncio.timeout(self._timeout):
                        self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
                except LOST as error:
                    raise BrokerLostError(f"the broker gives no channel ({type(error).__name__})") from None
            return self._channel

    async def _drop(self, channel: AbstractChannel) -> None:
        if self._channel is channel:
            self._channel = None

    async def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await self._connector.close(connection)


def _plain(headers: Mapping[str, str | int]) -> HeadersType:
    return dict(headers)
