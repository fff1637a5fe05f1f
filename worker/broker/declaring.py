"""Declaring the broker objects, or checking that they are there."""

from collections.abc import Sequence
from typing import assert_never

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused

from worker.broker.base import TopologyError
from worker.broker.connection import guarded, is_missing, words
from worker.broker.topology import Exchange, Queue, QueueBinding, Topology

Item = Exchange | Queue | QueueBinding


async def prepare(connection: AbstractConnection, wanted: Topology, *, declare: bool, seconds: float) -> None:
    """Raises TopologyError with every object that is missing or different, and how.

    A binding cannot be checked without declaring it.
    """
    # What is refused in the end has bound nothing: a binding of half a topology sends messages astray.
    halves: Sequence[Sequence[Item]] = ((*wanted.exchanges, *wanted.queues), wanted.bindings if declare else ())
    for items in halves:
        problems = []
        for item in items:
            async with guarded(f"declaring {_named(item)}", seconds):
                problems.append(await _problem(connection, item, passive=not declare))
        if any(problems):
            raise TopologyError("; ".join(filter(None, problems)))


async def _problem(connection: AbstractConnection, item: Item, *, passive: bool) -> str | None:
    """Each on a channel of its own: the broker closes the channel of a refused declaration."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        await _declare(channel, item, passive=passive)
    except ChannelPreconditionFailed as error:
        return f"{_named(item)}: exists with other arguments: {words(error)}"
    except ChannelNotFoundEntity as error:
        if not is_missing(error):
            raise
        return f"{_named(item)}: is missing"
    except ChannelAccessRefused as error:
        return f"{_named(item)}: not allowed: {words(error)}"
    finally:
        if not channel.is_closed:
            await channel.close()
    return None


def _named(item: Item) -> str:
    match item:
        case Exchange(name=name):
            return f"exchange {name}"
        case Queue(name=name):
            return f"queue {name}"
        case QueueBinding(exchange=exchange, queue=queue):
            return f"binding of {queue} to {exchange}"
        case _:
            assert_never(item)


async def _declare(channel: AbstractChannel, item: Item, *, passive: bool) -> None:
    match item:
        case Exchange(name=name, kind=kind):
            await channel.declare_exchange(name, ExchangeType(kind), durable=True, passive=passive)
        case Queue(name=name, arguments=arguments):
            await channel.declare_queue(name, durable=True, passive=passive, arguments=dict(arguments))
        case QueueBinding(exchange=exchange, queue=queue, routing_key=key):
            bound = await channel.get_queue(queue, ensure=False)
            await bound.bind(exchange, key)
        case _:
            assert_never(item)
