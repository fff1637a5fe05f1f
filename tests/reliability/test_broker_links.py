"""Links to RabbitMQ that break, freeze, or hardly carry anything, while a worker is at work."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from yarl import URL

from tests.broker.proxy import Link, Proxy, proxied
from tests.support.stage import DAY, Stage, rabbit_at, staged
from tests.support.worker_process import Worker
from worker.sandbox import SandboxConfig

pytestmark = pytest.mark.rabbitmq

NAMES = ("shop", "blog", "mail", "docs")
SLOW = SandboxConfig(latency=0.2)
CONSUMING, PUBLISHING = 0, 1
FAULTS: dict[str, Callable[[Link], None]] = {
    "cut": Link.cut,
    "frozen": Link.freeze,
    "nothing is heard": lambda link: link.freeze(asks=False),
    "nothing is said": lambda link: link.freeze(answers=False),
}


@asynccontextmanager
async def proxied_stage(folder: Path, rabbit: str) -> AsyncIterator[tuple[Stage, Proxy, Worker]]:
    """The worker's way to the broker leads through a proxy; the test's own does not."""
    quick = str(URL(rabbit).update_query(heartbeat=2))
    async with proxied(quick) as proxy, staged(folder, rabbit_at(proxy.url), NAMES, door=rabbit, config=SLOW) as stage:
        async with stage.worker() as worker:
            for name in NAMES:
                await stage.renew(name, age=3 * DAY)
            await stage.ended()
            for name in NAMES:
                await stage.renew(name, age=2 * DAY)
            yield stage, proxy, worker
            await stage.renew(age=DAY)
            await stage.books()
        await stage.idle()


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_consuming_link_that_fails_costs_nothing_but_time(tmp_path: Path, rabbit: str, fault: str) -> None:
    async with proxied_stage(tmp_path, rabbit) as (stage, proxy, worker):
        await stage.called("modify_certificate", len(NAMES) + 2)
        FAULTS[fault](proxy.links[CONSUMING])
        await worker.tells("consumer.disconnected")
        await worker.tells("consumer.connected", times=2)


@pytest.mark.parametrize("fault", ["cut", "frozen", "nothing is heard"])
async def test_a_publishing_link_that_fails_costs_nothing_but_time(tmp_path: Path, rabbit: str, fault: str) -> None:
    async with proxied_stage(tmp_path, rabbit) as (stage, proxy, worker):
        await stage.called("modify_certificate", len(NAMES) + 2)
        FAULTS[fault](proxy.links[PUBLISHING])
        await stage.ended()
        assert worker.told("consumer.disconnected") == 0


async def test_links_that_hardly_carry_anything_still_carry_every_renewal(tmp_path: Path, rabbit: str) -> None:
    async with proxied_stage(tmp_path, rabbit) as (_stage, proxy, _worker):
        proxy.slow(0.002)
