"""A worker that gets no turn at all for a while, and nobody to take over."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from yarl import URL

from tests.support.stage import rabbit_at, staged
from worker.sandbox import SandboxConfig

NAMES = tuple(f"shop{number}" for number in range(6))
SLOW = SandboxConfig(latency=0.2)


@pytest.mark.rabbitmq
async def test_a_worker_that_had_no_turn_for_longer_than_a_heartbeat_comes_back_by_itself(
    tmp_path: Path, rabbit: str
) -> None:
    quick = str(URL(rabbit).update_query(heartbeat=2))
    async with staged(tmp_path, rabbit_at(quick), NAMES, config=SLOW) as stage:
        async with stage.worker() as worker:
            for name in NAMES:
                await stage.renew(name)
            await stage.called("modify_certificate")
            os.kill(worker.pid, signal.SIGSTOP)
            while await stage.door.is_served():  # the broker has not given it up yet
                await asyncio.sleep(0.1)
            os.kill(worker.pid, signal.SIGCONT)
            await worker.tells("consumer.disconnected")
            await stage.books()
            await worker.is_up()
        await stage.idle()
