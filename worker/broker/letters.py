"""What lies in the dead queue of RabbitMQ."""

from collections.abc import Sequence

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from worker.broker.connection import guarded


async def held(connection: AbstractConnection, queue_name: str, seconds: float) -> Sequence[AbstractIncomingMessage]:
    """All dead letters, unsettled: closing the connection puts them back in their order."""
    letters: list[AbstractIncomingMessage] = []
    async with guarded("opening a channel", seconds):
        channel = await connection.channel(publisher_confirms=False)
        queue = await channel.get_queue(queue_name, ensure=False)
    while True:
        async with guarded(f"reading {queue_name}", seconds):
            one = await queue.get(fail=False, timeout=None)
        if one is None:
            return letters
        letters.append(one)
