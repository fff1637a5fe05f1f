"""Several workers on one queue: killed, replaced, frozen and woken again."""

import os
import signal
from pathlib import Path

import pytest
from yarl import URL

from tests.broker.proxy import proxied
from tests.support.stage import DAY, rabbit_at, staged
from worker.sandbox import SandboxConfig
from worker.sandbox.world import Fault

pytestmark = pytest.mark.rabbitmq


def quick(rabbit: str) -> str:
    """A link whose death the broker notices in seconds."""
    return str(URL(rabbit).update_query(heartbeat=2))


async def test_a_standby_takes_over_from_one_that_was_killed(tmp_path: Path, rabbit: str) -> None:
    async with staged(tmp_path, rabbit_at(rabbit), ("shop", "blog", "mail")) as stage:
        stage.sandbox.world.faults.append(Fault("attach_domains", kind="hang", times=3, after_effect=True))
        async with stage.worker() as active, stage.worker() as standby, stage.worker() as third:
            assert (await active.ready())[1]["role"] == "consuming"
            for name in stage.stored:
                await stage.renew(name)
            await stage.called("attach_domains", 3)
            await active.kill()
            await stage.books()
            roles = {(await one.ready())[1]["role"] for one in (standby, third)}
            assert roles == {"consuming", "standing by"}
        await stage.idle()
        assert stage.calls("modify_certificate") == 3


async def test_a_replica_that_is_replaced_under_load_lets_nothing_be_done_twice_at_once(
    tmp_path: Path, rabbit: str
) -> None:
    """The books know of two rotations of one certificate at once, and nobody is killed or cut off to excuse them."""
    names = [f"shop{number}" for number in range(10)]
    async with staged(tmp_path, rabbit_at(rabbit), names, config=SandboxConfig(latency=0.02)) as stage:
        answer = stage.sandbox.hold("modify_certificate")
        for age in (3, 2):
            for name in names:
                await stage.renew(name, age=age * DAY)
        async with stage.worker() as old:
            await answer.reached.wait()
            async with stage.worker() as new:
                old.child.send_signal(signal.SIGTERM)
                await old.tells("consumer.draining")
                for name in names:
                    await stage.renew(name, age=DAY)
                assert new.told("rotation.finished") == 0
                answer.release()
                await stage.books()
            assert min(old.told("rotation.finished"), new.told("rotation.finished")) > 0
            assert old.told("consumer.disconnected") == 0
        await stage.idle()
        assert stage.calls("modify_certificate") <= len(stage.sent)


@pytest.mark.parametrize("last", ["obtain_token", "show_certificate", "modify_certificate"])
async def test_a_frozen_worker_that_wakes_up_does_no_harm(tmp_path: Path, rabbit: str, last: str) -> None:
    """It slept in the middle of a rotation, with an answer already at its door; a newer certificate came meanwhile."""
    async with staged(tmp_path, rabbit_at(quick(rabbit))) as stage:
        answer = stage.sandbox.hold(last)
        async with stage.worker() as frozen, stage.worker() as standby:
            await stage.renew(age=2 * DAY)
            await answer.reached.wait()
            os.kill(frozen.pid, signal.SIGSTOP)
            answer.release()
            await stage.ended()
            await standby.tells("rotation.finished")
            assert frozen.told("rotation.finished") == 0
            await stage.renew(age=DAY)
            await stage.ended()
            os.kill(frozen.pid, signal.SIGCONT)
            await frozen.tells("consumer.disconnected")
            await frozen.tells("consumer.connected", times=2)
            assert (await standby.ready())[1]["role"] == "consuming"
        await stage.books()
        await stage.idle()


async def test_a_worker_whose_link_to_the_broker_dies_in_silence_does_no_harm(tmp_path: Path, rabbit: str) -> None:
    """The broker gives its place away before it notices anything itself; what it waited for comes only then."""
    async with (
        staged(tmp_path, rabbit_at(quick(rabbit))) as stage,
        proxied(quick(rabbit)) as link,
        proxied(stage.sandbox.apig_endpoint) as cloud,
    ):
        around = {"ROTATION_BROKER__URL": link.url, "ROTATION_GATEWAYS__APIG__ENDPOINT": cloud.url}
        async with stage.worker(environ=around) as cut_off, stage.worker():
            cloud.hold(asks=False)
            await stage.renew(age=2 * DAY)
            await stage.called("show_certificate")
            link.hold()
            await stage.ended()
            await stage.renew(age=DAY)
            await stage.ended()
            cloud.release()
            await cut_off.tells("consumer.disconnected")
            link.release()
            await cut_off.tells("consumer.connected", times=2)
        await stage.books()
        await stage.idle()
