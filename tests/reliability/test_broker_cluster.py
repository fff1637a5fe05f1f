"""Three nodes: the one that leads the work queue is killed in the middle of many rotations."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.broker.proxy import proxied
from tests.support.stage import DAY, rabbit_at, staged
from worker.sandbox.rabbit_node import SERVER, RabbitNode

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(240)]

CERTIFICATES = tuple(f"shop{number}" for number in range(100))
ROUNDS = 5


@pytest.fixture(scope="module")
def cluster(rabbit: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RabbitNode]]:
    """Three nodes that know each other; the second and third are started by the first's name server."""
    if not SERVER.exists():
        pytest.skip(f"{rabbit.partition(':')[0]}: a cluster of somebody else is not killed, and none is installed here")
    folder = tmp_path_factory.mktemp("cluster")
    nodes = [RabbitNode.below(folder / "1")]
    nodes += [replace(RabbitNode.below(folder / name), epmd_port=nodes[0].epmd_port) for name in ("2", "3")]
    started: list[RabbitNode] = []
    try:
        for node in nodes:
            share_cookie(nodes[0], node)
            node.start()
            started.append(node)
        for node in nodes[1:]:
            join(node, nodes[0])
        yield nodes
    finally:
        for node in reversed(started):
            node.stop()


def share_cookie(first: RabbitNode, node: RabbitNode) -> None:
    cookie = node.home / ".erlang.cookie"
    if node is not first:
        cookie.write_text((first.home / ".erlang.cookie").read_text(encoding="ascii"), encoding="ascii")
        cookie.chmod(0o400)


def join(node: RabbitNode, first: RabbitNode) -> None:
    node.ctl("stop_app")
    node.ctl("join_cluster", first.name)
    node.ctl("start_app")


def kill(node: RabbitNode) -> None:
    """The node, and not the name server that the others need."""
    os.killpg(int((node.home / "server.pid").read_text(encoding="ascii")), signal.SIGKILL)


async def test_a_cluster_that_loses_its_leading_node_loses_no_renewal(
    tmp_path: Path, cluster: list[RabbitNode]
) -> None:
    first, second, _ = cluster
    quick = {"limits": ({"calls": 5000, "seconds": 1},)}
    # What stands before a cluster, as a load balancer does: it leads to a node that is there.
    async with proxied(first.url) as entrance:
        broker = rabbit_at(entrance.url)
        async with staged(tmp_path, broker, CERTIFICATES, door=second.url, gateway=quick) as stage:
            # RabbitMQ 3.10 loses what it confirmed in a queue that is killed right after its declaration.
            await asyncio.sleep(2)
            async with stage.worker() as worker, stage.worker() as standby:
                for age in range(ROUNDS, 0, -1):
                    await asyncio.gather(*(stage.renew(name, age=age * DAY) for name in CERTIFICATES))
                await stage.called("modify_certificate", 100)
                kill(first)
                entrance.lead_to(second.url)
                for one in (worker, standby):
                    await one.tells("consumer.connected", times=2)
                await stage.books()
                assert len(stage.sent) == ROUNDS * len(CERTIFICATES)
            await stage.idle()
