"""The broker of a soak: private RabbitMQ nodes, one or a cluster, and what can be done to them."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from yarl import URL

from tests.broker.proxy import Proxy
from tests.support.cluster import end, freeze, start_again, thaw
from worker.sandbox.rabbit_node import RabbitNode

USERS: Final = ("worker", "acme")
_ALL: Final = (".*", ".*", ".*")
_NONE: Final = ("^$", "^$", "^$")


@dataclass(slots=True)
class Nodes:
    """`passwords`: of its users. Workers come in by `entrance`, which leads to a node that is there."""

    nodes: Sequence[RabbitNode]
    passwords: dict[str, str]
    entrance: Proxy

    def url(self, user: str, node: RabbitNode | None = None, **query: int) -> str:
        place = URL((node or self.nodes[0]).url).with_user(user).with_password(self.passwords[user])
        return str(place.update_query(query))

    async def ctl(self, node: RabbitNode, *words: str) -> str:
        return await asyncio.to_thread(node.ctl, *words)

    async def prepared(self) -> None:
        for user in USERS:
            await self.ctl(self.nodes[0], "add_user", user, self.passwords[user])
            await self.ctl(self.nodes[0], "set_permissions", user, *_ALL)

    async def break_one(self, kind: str, seconds: float, chance: Random) -> None:
        """From its beginning to its end."""
        node = chance.choice(self.nodes)
        ways: dict[str, Callable[[RabbitNode, float], Awaitable[None]]] = {
            "kill": self._kill,
            "stop": self._stop,
            "freeze": self._freeze,
            "alarm": self._alarm,
            "rights": self._rights,
        }
        await ways[kind](node, seconds)

    async def _kill(self, node: RabbitNode, seconds: float) -> None:
        await self._down(node, signal.SIGKILL, seconds)

    async def _stop(self, node: RabbitNode, seconds: float) -> None:
        await self._down(node, signal.SIGTERM, seconds)

    async def _down(self, node: RabbitNode, number: signal.Signals, seconds: float) -> None:
        others = [one for one in self.nodes if one is not node]
        self.entrance.lead_to((others or [node])[0].url)
        await asyncio.to_thread(end, node, number)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(start_again, node)

    async def _freeze(self, node: RabbitNode, seconds: float) -> None:
        freeze(node)
        try:
            await asyncio.sleep(seconds)
        finally:
            thaw(node)

    async def _alarm(self, node: RabbitNode, seconds: float) -> None:
        await self.ctl(node, "set_vm_memory_high_watermark", "0.00001")
        try:
            await asyncio.sleep(seconds)
        finally:
            await self.ctl(node, "set_vm_memory_high_watermark", "0.8")

    async def _rights(self, node: RabbitNode, seconds: float) -> None:
        await self.ctl(node, "set_permissions", "worker", *_NONE)
        try:
            await self.ctl(node, "close_all_user_connections", "worker", "soak")
            await asyncio.sleep(seconds)
        finally:
            await self.ctl(node, "set_permissions", "worker", *_ALL)
