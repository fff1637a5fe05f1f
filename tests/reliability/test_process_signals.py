"""A worker that is told to stop, at several steps of a rotation: it ends well, and nothing is lost."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.support.stage import rabbit_at, staged
from worker.sandbox.world import Fault

pytestmark = pytest.mark.rabbitmq

PATIENT = {"parking_seconds": [1, 2], "deadline_seconds": 30, "drain_seconds": 30}
HASTY = {**PATIENT, "drain_seconds": 0.5}
# Nothing that ends well waits for this: it would outlast the test.
FOREVER = {**PATIENT, "drain_seconds": 3600}


@pytest.mark.parametrize(
    ("step", "number"),
    [
        ("obtain_token", signal.SIGTERM),
        ("show_certificate", signal.SIGTERM),
        ("modify_certificate", signal.SIGINT),
        ("attach_domains", signal.SIGTERM),
    ],
)
async def test_a_worker_told_to_stop_finishes_what_is_in_hand(
    tmp_path: Path, rabbit: str, step: str, number: signal.Signals
) -> None:
    async with staged(tmp_path, rabbit_at(rabbit), retry=FOREVER) as stage:
        answer = stage.sandbox.hold(step)
        async with stage.worker() as worker:
            await stage.renew()
            await answer.reached.wait()
            worker.child.send_signal(number)
            await worker.tells("consumer.draining")
            assert worker.told("rotation.finished") == 0
            answer.release()
            assert await worker.child.wait() == 0
        await stage.books()
        await stage.idle()
        assert stage.calls("modify_certificate") == 1


@pytest.mark.parametrize("step", ["show_certificate", "modify_certificate", "attach_domains"])
async def test_what_does_not_finish_in_time_goes_back_and_the_next_worker_does_the_rest(
    tmp_path: Path, rabbit: str, step: str
) -> None:
    async with staged(tmp_path, rabbit_at(rabbit), retry=HASTY) as stage:
        stage.sandbox.world.faults.append(Fault(step, kind="hang", after_effect=True))
        async with stage.worker() as worker:
            await stage.renew()
            await stage.called(step)
            assert await worker.stop() == 0
        assert await stage.events() == []
        async with stage.worker():
            await stage.books()
        await stage.idle()
        assert stage.calls("modify_certificate") == 1


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)])
async def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(
    tmp_path: Path, rabbit: str, numbers: tuple[signal.Signals, signal.Signals]
) -> None:
    async with staged(tmp_path, rabbit_at(rabbit), retry=FOREVER) as stage:
        stage.sandbox.world.faults.append(Fault("attach_domains", kind="hang", after_effect=True))
        async with stage.worker() as worker:
            await stage.renew()
            await stage.called("attach_domains")
            worker.child.send_signal(numbers[0])
            await worker.tells("consumer.draining")
            assert (await worker.ready())[1]["reasons"] == ["draining"]
            assert await worker.stop(numbers[1]) == 0
        async with stage.worker():
            await stage.books()
        await stage.idle()
        assert stage.calls("modify_certificate") == 1


async def test_a_worker_that_looks_for_its_broker_stops_when_told(tmp_path: Path, rabbit: str) -> None:
    async with staged(tmp_path, rabbit_at(rabbit)) as stage:
        away = {"ROTATION_BROKER__URL": "amqp://guest:guest@127.0.0.1:1/"}
        async with stage.worker(environ=away, wait=False) as worker:
            await worker.tells("consumer.disconnected", times=2)
            assert (await worker.ready())[1]["reasons"] == ["the broker is not connected"]
            assert await worker.stop() == 0


async def test_a_worker_whose_broker_takes_calls_and_says_nothing_stops_when_told(tmp_path: Path, rabbit: str) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set()
        await reader.read(-1)
        writer.close()

    heard = asyncio.Event()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with staged(tmp_path, rabbit_at(rabbit, timeout_seconds=3600), door=rabbit) as stage, server:
        mute = {"ROTATION_BROKER__URL": f"amqp://guest:guest@127.0.0.1:{port}/"}
        async with stage.worker(environ=mute, wait=False) as worker:
            await heard.wait()
            assert worker.told("consumer.connected") == 0
            assert await worker.stop() == 0
