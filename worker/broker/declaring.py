"""Declaring the broker objects, or checking that they are there."""

from collections.abc import Sequence

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused

from worker.broker.base import BrokerLostError, TopologyError
from worker.broker.connection import LOST
from worker.broker.topology import Exchange, Queue, QueueBinding, Topology

Item = Exchange | Queue | QueueBinding


async def prepare(connection: AbstractConnection, wanted: Topology, *, declare: bool) -> None:
    """Raises TopologyError with every object that is missing or different, and how."""
    items: Sequence[Item] = (*wanted.exchanges, *wanted.queues, *(wanted.bindings if declare else ()))
    problems = [problem for item in items if (problem := await _problem(connection, item, declare=declare))]
    if problems:
        raise TopologyError("; ".join(problems))


async def _problem(connection: AbstractConnection, item: Item, *, declare: bool) -> str | None:
    """Each on a channel of its own: the broker closes the channel of a refused declaration."""
    name = _named(item)
    try:
        channel = await connection.channel(publisher_confirms=False)
        try:
            await _declare(channel, item, passive=not declare)
        finally:
            if not channel.is_closed:
                await channel.close()
    except ChannelPreconditionFailed as error:
        # The broker's words name the argument and both values; none of them is a secret.
        return f"{name}: exists with other arguments: {_words(error)}"
    except ChannelNotFoundEntity:
        return f"{name}: is missing"
    except ChannelAccessRefused as error:
        return f"{name}: not allowed: {_words(error)}"
    except LOST as error:
        raise BrokerLostError(f"the broker was lost while {name} was declared ({type(error).__name__})") from None
    return None


def _words(error: Exception) -> str:
    return str(error).removeprefix("PRECONDITION_FAILED - ").removeprefix("ACCESS_REFUSED - ")


def _named(item: Item) -> str:
    match item:
        case Exchange(name=name):
            return f"exchange {name}"
        case Queue(name=name):
            return f"queue {name}"
        case QueueBinding(exchange=exchange, queue=queue):
            return f"binding of {queue} to {exchange}"


async def _declare(channel: AbstractChannel, item: Item, *, passive: bool) -> None:
    match item:
        case Exchange(name=name, kind=kind):
            await channel.declare_exchange(name, ExchangeType(kind), durable=True, passive=passive)
        case Queue(name=name, arguments=arguments):
            await channel.declare_queue(name, durable=True, passive=passive, arguments=dict(arguments))
        case QueueBinding(exchange=exchange, queue=queue, routing_key=key):
            bound = await channel.get_queue(queue, ensure=False)
            await bound.bind(exchange, key)
