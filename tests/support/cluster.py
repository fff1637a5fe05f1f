"""RabbitMQ nodes that know each other, killed and started again one by one."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from worker.sandbox.rabbit_node import SERVER, RabbitNode, _wait


@contextmanager
def clustered(home: Path, count: int) -> Iterator[Sequence[RabbitNode]]:
    """So many nodes inside the block, all of them up; the others use the first one's name server."""
    first = RabbitNode.below(home / "1")
    others = [
        replace(RabbitNode.below(home / str(number)), epmd_port=first.epmd_port) for number in range(2, count + 1)
    ]
    started: list[RabbitNode] = []
    try:
        for node in (first, *others):
            if node is not first:
                _share_cookie(first, node)
            node.start()
            started.append(node)
            node.ctl("await_startup")
            if node is not first:
                _join(first, node)
        yield started
    finally:
        for node in reversed(started):
            node.stop()


def _share_cookie(first: RabbitNode, node: RabbitNode) -> None:
    cookie = node.home / ".erlang.cookie"
    cookie.write_text((first.home / ".erlang.cookie").read_text(encoding="ascii"), encoding="ascii")
    cookie.chmod(0o400)


def _join(first: RabbitNode, node: RabbitNode) -> None:
    node.ctl("stop_app")
    node.ctl("join_cluster", first.name)
    node.ctl("start_app")


def end(node: RabbitNode, number: signal.Signals = signal.SIGKILL) -> None:
    """The node, and not the name server that the others need."""
    node._signal("server", number)


def freeze(node: RabbitNode) -> None:
    os.killpg(_group(node), signal.SIGSTOP)


def thaw(node: RabbitNode) -> None:
    os.killpg(_group(node), signal.SIGCONT)


def _group(node: RabbitNode) -> int:
    return int((node.home / "server.pid").read_text(encoding="ascii"))


def start_again(*nodes: RabbitNode) -> None:
    """What was ended, with the name server that is still there; returns when all take part again."""
    for node in nodes:
        node._spawn("server", [str(SERVER)])
    for node in nodes:
        _wait(node._greets, "RabbitMQ does not come back")
        node.ctl("await_startup")


def leader_of(queue: str, nodes: Sequence[RabbitNode]) -> RabbitNode:
    """The node that leads a quorum queue, as the first of these tells."""
    rows = [row.split("\t") for row in nodes[0].ctl("list_queues", "name", "leader").splitlines()]
    [name] = [leader for name, leader in rows if name == queue]
    return next(node for node in nodes if node.name == name)
