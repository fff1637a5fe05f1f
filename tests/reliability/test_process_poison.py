"""A renewal that kills the process whenever it is touched: it is given up, and what stands behind it is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.stage import Stage, rabbit_at, staged
from tests.support.worker_process import Worker
from worker.sandbox import SandboxConfig
from worker.sandbox.world import Fault

pytestmark = pytest.mark.rabbitmq

LIMIT = 3
NEIGHBOURS = ("before", "behind1", "behind2")


@asynccontextmanager
async def killed_by(stage: Stage, certificate: str) -> AsyncIterator[list[Worker]]:
    """Workers one after the other, as a supervisor starts them; each is killed as soon as it asks about that one.

    It gets no answer: on a busy machine it might be done with it before it is killed.
    """
    workers: list[Worker] = []
    silence = Fault("show_certificate", kind="hang", times=10_000, match=stage.stored[certificate])
    stage.sandbox.world.faults.append(silence)

    async def supervise() -> None:
        while True:
            workers.append(await stage.start())
            known = touched()
            while touched() == known:
                await asyncio.sleep(0.005)
            await workers[-1].kill()

    def touched() -> int:
        wanted = stage.stored[certificate]
        return sum(wanted in call.path for call in stage.sandbox.world.journal)

    supervisor = asyncio.create_task(supervise())
    try:
        yield workers
    finally:
        supervisor.cancel()
        await asyncio.gather(supervisor, return_exceptions=True)
        stage.sandbox.world.faults.remove(silence)
        await workers[-1].stop()


async def test_a_renewal_that_kills_the_process_is_given_up_with_its_reason_and_the_queue_moves_on(
    tmp_path: Path, rabbit: str
) -> None:
    async with staged(tmp_path, rabbit_at(rabbit, delivery_limit=LIMIT), ("poison", "late")) as stage:
        poison = await stage.renew("poison")
        async with killed_by(stage, "poison") as workers:
            outcomes = await stage.ended()
            assert outcomes[poison]["data"]["reason"] == "delivery_limit"
            [dead] = await stage.dead()
            assert (dead.reason, dead.certificate, dead.renewal_id) == ("delivery_limit", "poison", poison)
            assert len(workers) == LIMIT + 1
            await stage.renew("late")
            await stage.books(failed=[poison])
        await stage.idle(dead=1)


async def test_the_neighbours_of_a_renewal_that_kills_the_process_are_rotated(tmp_path: Path, rabbit: str) -> None:
    """They are slower than the poison is: each death of the process interrupts them too."""
    names = ("poison", *NEIGHBOURS)
    slow = SandboxConfig(latency=0.2)
    async with staged(tmp_path, rabbit_at(rabbit, delivery_limit=LIMIT), names, config=slow) as stage:
        for name in names:
            await stage.renew(name)
        [poison] = [one for one, sent in stage.sent.items() if sent.certificate == "poison"]
        async with killed_by(stage, "poison"):
            await stage.ended(poison)
            await stage.books(failed=[poison])
        await stage.idle(dead=1)


async def test_a_poison_that_was_given_up_can_be_put_back_once_it_does_no_harm(tmp_path: Path, rabbit: str) -> None:
    async with staged(tmp_path, rabbit_at(rabbit, delivery_limit=1), ("poison",)) as stage:
        poison = await stage.renew("poison")
        async with killed_by(stage, "poison"):
            await stage.ended(poison)
        [dead] = await stage.dead()
        async with stage.worker() as worker:
            assert await stage.door.replay([dead.id]) == [dead.id]
            await worker.tells("rotation.finished", outcome="succeeded")
        outcomes = [event["data"]["outcome"] for event in await stage.events()]
        assert outcomes == ["failed", "succeeded"]
        await stage.idle()
