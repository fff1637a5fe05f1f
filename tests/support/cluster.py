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
    nodes = (first, *others)
    first.start()
    try:
        for node in others:
            _share_cookie(first, node)
            _acquaint(node, nodes)
        start_again(*others)
        yield nodes
    finally:
        for node in others:
            end(node, signal.SIGTERM)
        first.stop()


def _share_cookie(first: RabbitNode, node: RabbitNode) -> None:
    cookie = node.home / ".erlang.cookie"
    cookie.write_text((first.home / ".erlang.cookie").read_text(encoding="ascii"), encoding="ascii")
    cookie.chmod(0o400)


def _acquaint(node: RabbitNode, nodes: Sequence[RabbitNode]) -> None:
    """It joins them as it starts for the first time."""
    with (node.home / "rabbitmq.conf").open("a", encoding="ascii") as file:
        file.writelines(
            f"cluster_formation.classic_config.nodes.{number} = {one.name}\n" for number, one in enumerate(nodes, 1)
        )


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
