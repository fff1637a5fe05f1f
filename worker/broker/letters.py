"""What lies in the dead queue of RabbitMQ."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from worker.broker.connection import guarded
from worker.broker.copies import dead_id


async def held(
    connection: AbstractConnection, queue_name: str, seconds: float
) -> AsyncGenerator[AbstractIncomingMessage]:
    """All dead letters, one after the other, unsettled: closing the connection puts them back in their order.

    The broker keeps them meanwhile, and nobody else is given them; of those that were had none is kept here, for there
    may be many, and large ones.
    """
    async with guarded("opening a channel", seconds):
        channel = await connection.channel(publisher_confirms=False)
        queue = await channel.get_queue(queue_name, ensure=False)
    while True:
        async with guarded(f"reading {queue_name}", seconds):
            one = await queue.get(fail=False, timeout=None)
        if one is None:
            return
        yield one


async def dropped(
    letters: AsyncIterator[AbstractIncomingMessage], ids: Collection[str], seconds: float
) -> Sequence[str]:
    """Takes these out, for good; the ids that were found."""
    found = []
    async for one in letters:
        if dead_id(one) in ids:
            async with guarded("settling", seconds):
                await one.ack()
            found.append(dead_id(one))
    return found
