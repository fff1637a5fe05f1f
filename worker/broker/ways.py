"""Exchanges and bindings, which nobody can look at: made again when something finds no way, and by and by."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from aio_pika.abc import AbstractConnection

from worker.broker.base import BrokerError
from worker.broker.connection import Connector
from worker.broker.declaring import prepare
from worker.broker.topology import Topology

_MEND_EVERY: Final = 5.0


@dataclass(slots=True)
class Ways:
    """Of messages into queues. Queues themselves are the watchdog's: one that is gone costs the session.

    `may_declare`: else it is somebody else's task. `every`: seconds.
    """

    connector: Connector
    topology: Topology
    may_declare: bool
    every: float
    _mended_at: float = field(default=float("-inf"))

    async def keep(self, connection: AbstractConnection) -> None:
        """For ever: producers miss the way of renewals first, and cannot make it."""
        while self.may_declare:
            await asyncio.sleep(self.every)
            await self._made_again(connection)

    async def mend(self) -> None:
        """After a refusal that may come of one that is gone. Seldom: many may be refused at once."""
        now = asyncio.get_running_loop().time()
        if self.may_declare and now - self._mended_at > _MEND_EVERY:
            self._mended_at = now
            with suppress(BrokerError):
                async with self.connector.connected() as connection:
                    await self._made_again(connection)

    async def _made_again(self, connection: AbstractConnection) -> None:
        """What cannot be made is told by what finds no way."""
        with suppress(BrokerError):
            ways = replace(self.topology, queues=())
            await prepare(connection, ways, declare=True, seconds=self.connector.timeout)
