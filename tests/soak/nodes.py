"""The broker of a soak: private RabbitMQ nodes, one or a cluster, and what can be done to them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Final

from yarl import URL

from tests.broker.proxy import Proxy
from worker.sandbox.rabbit_node import SERVER, RabbitNode, _wait

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
        """The node, and not the name server that others may need."""
        others = [one for one in self.nodes if one is not node]
        self.entrance.lead_to((others or [node])[0].url)
        await asyncio.to_thread(node._signal, "server", number)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(node._spawn, "server", [str(SERVER)])
        await asyncio.to_thread(_wait, node._greets, "RabbitMQ does not come back")
        await self.ctl(node, "await_startup")

    async def _freeze(self, node: RabbitNode, seconds: float) -> None:
        group = int((node.home / "server.pid").read_text(encoding="ascii"))
        os.killpg(group, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.killpg(group, signal.SIGCONT)

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


@asynccontextmanager
async def started(home: Path, count: int) -> AsyncIterator[Sequence[RabbitNode]]:
    """So many nodes that know each other; the others use the first one's name server."""
    first = RabbitNode.below(home / "1")
    others = [
        replace(RabbitNode.below(home / str(number)), epmd_port=first.epmd_port) for number in range(2, count + 1)
    ]
    running: list[RabbitNode] = []
    try:
        for node in (first, *others):
            if node is not first:
                cookie = node.home / ".erlang.cookie"
                cookie.write_text((first.home / ".erlang.cookie").read_text(encoding="ascii"), encoding="ascii")
                cookie.chmod(0o400)
            await asyncio.to_thread(node.start)
            running.append(node)
            await asyncio.to_thread(node.ctl, "await_startup")
            if node is not first:
                for words in (["stop_app"], ["join_cluster", first.name], ["start_app"]):
                    await asyncio.to_thread(node.ctl, *words)
        yield running
    finally:
        for node in reversed(running):
            await asyncio.to_thread(node.stop)
