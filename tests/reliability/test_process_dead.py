"""`dead replay` that is killed or cut off from the broker, before or after it has put a renewal back."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.broker.proxy import Proxy, proxied
from tests.support.acme import SCRIPT, succeed
from tests.support.stage import Stage, rabbit_at, staged
from tests.support.worker_process import until
from worker.sandbox.world import Fault

pytestmark = pytest.mark.rabbitmq

SHIELDING, LISTING, READING, PUBLISHING = 0, 1, 2, 3
"""Its connections, in the order of their coming."""


async def replaying(stage: Stage, proxy: Proxy) -> asyncio.subprocess.Process:
    """Until it holds the dead letter and is about to publish the copy: that connection is frozen from its beginning."""
    proxy.hold_from(PUBLISHING)
    child = await asyncio.create_subprocess_exec(
        *(SCRIPT, "dead", "replay", "--config", stage.settings),
        env={**os.environ, "ROTATION_BROKER__URL": proxy.url},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await until(lambda: len(proxy.links) > PUBLISHING)
    return child


@pytest.mark.parametrize("how", ["killed", "cut off"])
@pytest.mark.parametrize("when", ["before the copy", "between copy and ack"])
async def test_a_replay_that_does_not_come_to_its_end_loses_nothing(
    tmp_path: Path, rabbit: str, how: str, when: str
) -> None:
    once = {"parking_seconds": [0.2], "attempts": 1}
    async with staged(tmp_path, rabbit_at(rabbit), retry=once) as stage, proxied(rabbit) as proxy:
        stage.sandbox.world.faults.append(Fault("modify_certificate", status=400))
        async with stage.worker():
            renewal_id = await stage.renew()
            await stage.books(failed=[renewal_id])
        child = await replaying(stage, proxy)
        if when == "between copy and ack":
            proxy.links[READING].freeze(answers=False)
            proxy.links[PUBLISHING].thaw()
            while await stage.left() == 0:
                await asyncio.sleep(0.02)
        if how == "killed":
            child.kill()
        for link in proxy.links:
            link.cut()
        await child.wait()
        [dead] = await stage.dead()
        assert (dead.renewal_id, await stage.left()) == (renewal_id, int(when == "between copy and ack"))
        await succeed(SCRIPT, "dead", "replay", "--config", stage.settings)
        async with stage.worker() as worker:
            await worker.tells("rotation.finished", outcome="succeeded", times=1 + int(when == "between copy and ack"))
            await stage.books(again=[renewal_id])
        await stage.idle()
