"""RabbitMQ itself killed, stopped, frozen, starved, and closed to the worker, while it is at work."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from yarl import URL

from tests.support.stage import DAY, Stage, rabbit_at, staged
from tests.support.worker_process import Worker
from worker.sandbox import SandboxConfig
from worker.sandbox.rabbit_node import RabbitNode
from worker.sandbox.world import Fault

pytestmark = pytest.mark.rabbitmq

NAMES = tuple(f"shop{number}" for number in range(12))
SLOW = SandboxConfig(latency=0.05)
HASTY = {"drain_seconds": 0.5}
ALARMS = {
    "memory": (("set_vm_memory_high_watermark", "0.00001"), ("set_vm_memory_high_watermark", "0.8")),
    "disk": (("set_disk_free_limit", "900GB"), ("set_disk_free_limit", "1MB")),
}


async def ctl(node: RabbitNode, *words: str) -> str:
    return await asyncio.to_thread(node.ctl, *words)


@asynccontextmanager
async def busy(folder: Path, node: RabbitNode, **broker: float) -> AsyncIterator[tuple[Stage, Worker]]:
    """A worker in the middle of many renewals; its books are closed at the end."""
    quick = str(URL(node.url).update_query(heartbeat=2))
    async with staged(folder, rabbit_at(quick, **broker), NAMES, door=node.url, config=SLOW) as stage:
        # RabbitMQ 3.10 loses what it confirmed in a queue that is killed right after its declaration.
        await asyncio.sleep(2)
        async with stage.worker() as worker:
            for age in (2, 1):
                for name in NAMES:
                    await stage.renew(name, age=age * DAY)
            await stage.called("modify_certificate", 3)
            yield stage, worker
            await stage.books()
        await stage.idle()


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_nothing_is_lost_when_the_broker_goes_and_comes_back(
    tmp_path: Path, own_node: RabbitNode, how: str
) -> None:
    async with busy(tmp_path, own_node) as (_stage, worker):
        await asyncio.to_thread(own_node.kill9 if how == "killed" else own_node.stop)
        await worker.tells("consumer.disconnected")
        await worker.is_unready()
        assert (await worker.ready())[1]["reasons"] == ["the broker is not connected"]
        await asyncio.to_thread(own_node.start)
        await worker.is_up()


async def test_nothing_is_lost_when_the_broker_freezes(tmp_path: Path, own_node: RabbitNode) -> None:
    group = int((own_node.home / "server.pid").read_text(encoding="ascii"))
    async with busy(tmp_path, own_node) as (_stage, worker):
        os.killpg(group, signal.SIGSTOP)
        try:
            await worker.tells("consumer.disconnected")
        finally:
            os.killpg(group, signal.SIGCONT)
        await worker.is_up()


@asynccontextmanager
async def alarmed(node: RabbitNode, alarm: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """It takes nothing from publishers until what is yielded is called, or until the end of the block."""
    on, off = ALARMS[alarm]
    await ctl(node, *on)
    try:
        while await ctl(node, "eval", "rabbit_alarm:get_alarms().") == "[]\n":
            await asyncio.sleep(0.1)
        yield partial(ctl, node, *off)
    finally:
        await ctl(node, *off)


@pytest.mark.parametrize("alarm", ALARMS)
async def test_while_the_broker_takes_nothing_nothing_more_is_begun(
    tmp_path: Path, own_node: RabbitNode, alarm: str
) -> None:
    async with staged(tmp_path, rabbit_at(own_node.url, prefetch=2, timeout_seconds=1), NAMES, retry=HASTY) as stage:
        for name in NAMES:
            await stage.renew(name)
        async with alarmed(own_node, alarm) as end_alarm:
            async with stage.worker() as stopped:
                await stopped.tells("broker.refused", times=2)
                assert await stopped.stop() == 0
            async with stage.worker() as worker:
                await worker.tells("broker.refused", times=6)
                assert worker.told("rotation.finished") == 0
                assert stage.calls("modify_certificate") <= stage.loaded.broker.in_hand < len(NAMES)
                assert worker.told("consumer.disconnected") == 0
                await end_alarm()
                # The broker may take now what the first one tried to tell: the events alone are no end.
                await worker.tells("rotation.finished", times=len(NAMES))
                await stage.books()
        await stage.idle()
        assert stage.calls("modify_certificate") == len(NAMES)


async def test_a_broker_that_takes_nothing_makes_a_worker_unready(tmp_path: Path, own_node: RabbitNode) -> None:
    async with staged(tmp_path, rabbit_at(own_node.url, timeout_seconds=1)) as stage:
        for age in (3, 2, 1):
            await stage.renew(age=age * DAY)
        async with alarmed(own_node, "memory") as end_alarm, stage.worker() as worker:
            await worker.tells("broker.refused", times=2)
            told, _ = await worker.ready()
            await end_alarm()
            await stage.books()
            await worker.is_up()
    assert told == 503


async def test_rights_that_are_withdrawn_and_given_back_lose_nothing(tmp_path: Path, own_node: RabbitNode) -> None:
    user = f"worker-{tmp_path.name}"
    url = str(URL(own_node.url).with_user(user).with_password("pw"))
    await ctl(own_node, "add_user", user, "pw")
    await ctl(own_node, "set_permissions", user, ".*", ".*", ".*")
    async with staged(tmp_path, rabbit_at(url), NAMES, door=own_node.url) as stage:
        async with stage.worker() as worker:
            await ctl(own_node, "set_permissions", user, ".*", "^$", ".*")
            for name in NAMES:
                await stage.renew(name)
            await worker.tells("broker.refused", times=2)
            await ctl(own_node, "clear_permissions", user)
            await ctl(own_node, "close_all_user_connections", user, "test")
            await worker.tells("consumer.disconnected", times=2)
            assert await stage.events() == []
            await ctl(own_node, "set_permissions", user, ".*", ".*", ".*")
            await stage.books()
        await stage.idle()
        assert stage.calls("modify_certificate") == len(NAMES)


async def be_patient(node: RabbitNode, seconds: float = 1800) -> None:
    """It closes the channel of a consumer that settles nothing for so long."""
    tick = min(seconds / 3, 60)
    await ctl(node, "eval", f"application:set_env(rabbit, channel_tick_interval, {tick * 1000:.0f}).")
    await ctl(node, "eval", f"application:set_env(rabbit, consumer_timeout, {seconds * 1000:.0f}).")


@asynccontextmanager
async def impatient(node: RabbitNode, seconds: float) -> AsyncIterator[None]:
    try:
        await be_patient(node, seconds)
        yield
    finally:
        await be_patient(node)


async def test_a_rotation_longer_than_the_brokers_patience_goes_on_in_slices(
    tmp_path: Path, own_node: RabbitNode
) -> None:
    """A call in six seconds: whatever the machine does, all of them take longer than the broker waits.

    A slice is seven seconds shorter than that, and long enough for the PUT.
    """
    patience, slow = 22.0, {"limits": ({"calls": 1, "seconds": 6},)}
    retry = {"parking_seconds": [0.2], "slice_seconds": 15}
    broker = rabbit_at(own_node.url)
    async with impatient(own_node, patience), staged(tmp_path, broker, retry=retry, gateway=slow) as stage:
        async with stage.worker() as worker:
            renewal_id = await stage.renew()
            await stage.books()
            assert worker.told("rotation.finished", outcome="sliced") >= 1
            assert worker.told("consumer.disconnected") == 0
        await stage.idle()
        [first, *_, last] = [call.at for call in stage.sandbox.world.journal if call.operation != "obtain_token"]
        assert last - first > patience
        assert (await stage.ended())[renewal_id]["data"]["attempt"] == 1
        assert stage.calls("modify_certificate") == 1


async def test_a_broker_that_loses_its_patience_takes_the_rotation_back_and_it_ends_once(
    tmp_path: Path, own_node: RabbitNode
) -> None:
    async with impatient(own_node, 6), staged(tmp_path, rabbit_at(own_node.url)) as stage:
        stage.sandbox.world.faults.append(Fault("attach_domains", kind="hang", after_effect=True))
        async with stage.worker() as worker:
            await stage.renew()
            await stage.called("attach_domains")
            assert worker.told("consumer.disconnected") == 0
            await worker.tells("consumer.disconnected")
            await be_patient(own_node)
            await stage.books()
        await stage.idle()
        assert stage.calls("modify_certificate") == 1
