"""Trying what a worker may do at RabbitMQ, so that nothing is published, taken, or kept from others.

Writing: within a transaction that is rolled back, for the broker asks for the right when it is told to publish, and
routes when it is told to commit. Reading: a consumer with an argument that is malformed, which the broker refuses
after it has asked for the right and before it asks the queue. A consumer proper of the work queue could become its
active one, and what is read without one counts as a delivery.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused

from worker.broker.base import Right
from worker.broker.connection import guarded, words
from worker.broker.topology import AGAIN
from worker.settings.model import Broker as Settings

_REFUSED: Final = (ChannelAccessRefused, ChannelNotFoundEntity)
_MALFORMED: Final[dict[str, Any]] = {"x-priority": "none"}
_EVENT: Final = "certificate.rotation.succeeded"

Attempt = Callable[[AbstractChannel, str], Awaitable[None]]


async def tried(connection: AbstractConnection, settings: Settings, seconds: float) -> Sequence[Right]:
    """Every right that a worker needs, by what it is for. Raises BrokerError when the broker is lost."""
    attempts: Mapping[str, tuple[Attempt, str]] = {
        f"write {settings.events_exchange}": (_write_event, settings.events_exchange),
        f"write {settings.parking_exchange}": (_write_copy, settings.parking_exchange),
        **{f"read {queue}": (_read, queue) for queue in (settings.queue, settings.dead_queue, settings.history_stream)},
    }
    rights = []
    for what, (attempt, name) in attempts.items():
        async with guarded(f"trying to {what}", seconds):
            rights.append(Right(what, await _refusal(connection, attempt, name)))
    return rights


async def _refusal(connection: AbstractConnection, attempt: Attempt, name: str) -> str:
    """Why not; empty where it may. Each on a channel of its own: the broker closes the channel of what it refuses."""
    channel = await connection.channel(publisher_confirms=False)
    ends: list[BaseException | None] = []
    channel.close_callbacks.add(lambda _channel, why: ends.append(why))
    try:
        await attempt(channel, name)
    except _REFUSED as error:
        return words(error)
    except RuntimeError:
        # The broker's word came between two steps: then the next one only says that the channel is closed.
        refusals = [words(why) for why in ends if isinstance(why, _REFUSED)]
        if not refusals:
            raise
        return refusals[0]
    finally:
        if not channel.is_closed:
            await channel.close()
    return ""


async def _write_event(channel: AbstractChannel, exchange: str) -> None:
    await _write(channel, exchange, _EVENT)


async def _write_copy(channel: AbstractChannel, exchange: str) -> None:
    await _write(channel, exchange, AGAIN)


async def _write(channel: AbstractChannel, exchange: str, routing_key: str) -> None:
    transaction = channel.transaction()
    await transaction.select()
    target = await channel.get_exchange(exchange, ensure=False)
    await target.publish(Message(b""), routing_key)
    await transaction.rollback()


async def _read(channel: AbstractChannel, queue: str) -> None:
    try:
        await (await channel.get_queue(queue, ensure=False)).consume(_left_alone, arguments=_MALFORMED)
    except ChannelPreconditionFailed:
        return


async def _left_alone(_incoming: AbstractIncomingMessage) -> None:
    """A broker that took the argument all the same gets back what it delivers, when the channel is closed."""
