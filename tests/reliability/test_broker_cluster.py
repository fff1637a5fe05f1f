"""Three nodes: the one that leads the work queue is killed in the middle of many rotations, or two of the three are."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.broker.proxy import Proxy, proxied
from tests.support.cluster import clustered, end, leader_of, start_again
from tests.support.stage import DAY, Stage, rabbit_at, staged
from tests.support.worker_process import Worker
from worker.sandbox.rabbit_node import SERVER, RabbitNode

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(300)]

CERTIFICATES = tuple(f"shop{number}" for number in range(100))
ROUNDS = 5


@pytest.fixture(scope="module")
def cluster(rabbit: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[RabbitNode]]:
    if not SERVER.exists():
        pytest.skip(f"{rabbit.partition(':')[0]}: a cluster of somebody else is not killed, and none is installed here")
    with clustered(tmp_path_factory.mktemp("cluster"), 3) as nodes:
        yield nodes


@asynccontextmanager
async def busy(
    folder: Path, cluster: Sequence[RabbitNode]
) -> AsyncIterator[tuple[Stage, Proxy, Sequence[Worker], RabbitNode]]:
    """Two workers in the middle of all these rotations, and the node that leads their queue.

    Everybody comes in by an entrance that leads to that node, as a load balancer does: it can be led elsewhere.
    """
    quick = {"limits": ({"calls": 5000, "seconds": 1},)}
    async with (
        proxied(cluster[0].url) as entrance,
        staged(folder, rabbit_at(entrance.url), CERTIFICATES, gateway=quick) as stage,
    ):
        # RabbitMQ 3.10 loses what it confirmed in a queue that is killed right after its declaration.
        await asyncio.sleep(2)
        leader = await asyncio.to_thread(leader_of, stage.loaded.broker.queue, cluster)
        entrance.lead_to(leader.url)
        async with stage.worker() as worker, stage.worker() as standby:
            for age in range(ROUNDS, 0, -1):
                await asyncio.gather(*(stage.renew(name, age=age * DAY) for name in CERTIFICATES))
            await stage.called("modify_certificate", 20)
            assert stage.calls("modify_certificate") < len(CERTIFICATES)
            yield stage, entrance, (worker, standby), leader
            await stage.books()
            assert len(stage.sent) == ROUNDS * len(CERTIFICATES)
        await stage.idle()


async def test_a_cluster_that_loses_its_leading_node_loses_no_renewal(
    tmp_path: Path, cluster: Sequence[RabbitNode]
) -> None:
    async with busy(tmp_path, cluster) as (stage, entrance, workers, leader):
        others = [node for node in cluster if node is not leader]
        entrance.lead_to(others[0].url)
        await asyncio.to_thread(end, leader)
        try:
            for one in workers:
                await one.tells("consumer.connected", times=2)
            assert await asyncio.to_thread(leader_of, stage.loaded.broker.queue, others) in others
            await stage.ended()
        finally:
            await asyncio.to_thread(start_again, leader)


async def test_a_cluster_that_loses_its_quorum_stops_and_goes_on_when_it_is_healed(
    tmp_path: Path, cluster: Sequence[RabbitNode]
) -> None:
    """What is left of three nodes is one, which does not lead the queue: it takes connections and nothing else."""
    async with busy(tmp_path, cluster) as (_stage, entrance, workers, leader):
        survivor, lost = (others := [node for node in cluster if node is not leader])[0], [leader, others[1]]
        entrance.lead_to(survivor.url)
        try:
            await asyncio.gather(*(asyncio.to_thread(end, node) for node in lost))
            for one in workers:
                await one.is_unready()
        finally:
            await asyncio.to_thread(start_again, *lost)
        for one in workers:
            await one.is_up()
