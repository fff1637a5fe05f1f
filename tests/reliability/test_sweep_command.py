"""`rotation-worker sweep` while workers come and go: one of them at work, and nobody in the dark."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from tests.commands.processes import run
from tests.reliability.test_cloud_answers import HASTY, RETRY, embedded
from tests.support.service import toml
from tests.support.stage import AUTHORITY, DAY, Stage, rabbit_at, staged
from worker.broker.base import Delivery
from worker.sandbox.ca import Issued
from worker.sandbox.world import Fault


@pytest.fixture(params=[pytest.param("rabbitmq", marks=pytest.mark.rabbitmq), "embedded"])
async def stage(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Of which every certificate has a lineage on disk."""
    over = embedded(tmp_path) if request.param == "embedded" else rabbit_at(request.getfixturevalue("rabbit"))
    async with at(tmp_path, over) as one:
        yield one


@asynccontextmanager
async def at(folder: Path, broker: Mapping[str, Any]) -> AsyncIterator[Stage]:
    trust = {"allow_plain_keys": True, "ca_bundle": folder / "roots.pem", "roots": {"files": [folder]}}
    retry = {**RETRY, "parking_seconds": [1.0]}
    async with staged(folder, broker, retry=retry, gateway=HASTY, trust=trust) as one:
        lineage = toml({"chain": "chain.pem", "private_key": "key.pem"})
        producers = '"producers" = '
        text = one.settings.read_text(encoding="utf-8")
        one.settings.write_text(text.replace(producers, f'"lineage" = {lineage}, {producers}'), encoding="utf-8")
        yield one


def lie(stage: Stage, *, age: int) -> Issued:
    """A certificate of so many days, as an ACME client leaves it."""
    issued = AUTHORITY.issue(["shop.example.com"], not_before=datetime.now(UTC).replace(microsecond=0) - age * DAY)
    key = stage.folder / "key.pem"
    key.touch(mode=0o600)
    key.write_text(issued.private_key_pem, encoding="ascii")
    (stage.folder / "chain.pem").write_text(issued.chain_pem, encoding="ascii")
    return issued


async def swept(stage: Stage, *words: str) -> tuple[int, str, str]:
    return await run("sweep", "-v", "--json", *words, "--config", stage.settings)


def stored(stage: Stage) -> int:
    return stage.sandbox.world.certificates[stage.stored["shop"]].leaf.serial_number


async def test_a_worker_that_starts_while_the_sweep_rotates_stands_by_until_it_is_done(stage: Stage) -> None:
    lie(stage, age=2)
    stage.sandbox.world.faults.append(Fault("modify_certificate", kind="hang", times=99))
    sweep = asyncio.create_task(swept(stage))
    await stage.called("modify_certificate")
    async with stage.worker() as worker:
        assert (await worker.ready())[1]["role"] == "standing by"
        newer = await stage.renew(age=DAY)
        stage.sandbox.world.faults.clear()
        status, told, complained = await sweep
        await stage.ended(newer)
        # The newer one may have been the sweep's to carry out, right before the worker took over.
        while (await worker.ready())[1]["role"] != "consuming":
            await asyncio.sleep(0.05)
    # Parked when the newer one came, it may have been handed over.
    assert (status, json.loads(told)[0]["outcome"] in ("succeeded", "superseded")) == (0, True), (told, complained)
    begins = [
        change.not_before for change in stage.sandbox.world.changes if change.certificate_id == stage.stored["shop"]
    ]
    assert begins == sorted(begins)
    assert stored(stage) == stage.sent[newer].serial
    await stage.idle()


async def test_what_others_have_sent_is_not_worked_on_by_a_sweep_and_not_lost(stage: Stage) -> None:
    lie(stage, age=2)
    newer = await stage.renew(age=DAY)
    status, told, complained = await swept(stage)
    assert (status, json.loads(told)[0]["outcome"]) == (0, "succeeded"), (told, complained)
    assert stored(stage) != stage.sent[newer].serial
    assert [event["data"]["renewal_id"][:6] for event in await stage.events()] == ["sweep-"]
    async with stage.worker():
        await stage.ended(newer)
    assert stored(stage) == stage.sent[newer].serial
    assert (await stage.events())[-1]["data"]["attempt"] == 1
    await stage.idle()


async def test_what_was_taken_back_stays_away_although_no_worker_is_there_to_ask(stage: Stage) -> None:
    spoilt = lie(stage, age=1)
    async with stage.worker():
        first = await swept(stage)
        urgent: dict[str, Any] = {"reason": "key_compromise", "allow_shorter_validity": True}
        back = await stage.renew(age=3 * DAY, **urgent)
        await stage.ended(back)
    status, told, _ = await swept(stage)
    assert (first[0], status, json.loads(told)[0]["found"]) == (0, 0, "withdrawn")
    assert stored(stage) != spoilt.serial_number


@pytest.mark.rabbitmq
async def test_a_sweep_whose_history_is_gone_changes_nothing_and_says_so(tmp_path: Path, rabbit: str) -> None:
    async with at(tmp_path, rabbit_at(rabbit)) as stage, await aio_pika.connect(rabbit) as connection:
        lie(stage, age=2)
        await (await connection.channel()).queue_delete(stage.loaded.broker.history_stream)
        status, told, complained = await swept(stage)
        [one] = json.loads(told)
        assert (status, one["found"], one["reason"]) == (1, "failed", "broker_unavailable"), complained
        assert stage.calls("modify_certificate") == 0
        await stage.door.declare()


async def taking(deliveries: AsyncIterator[Delivery]) -> None:
    """A worker that does nothing."""
    async for _ in deliveries:
        pass


async def test_what_is_not_told_in_time_is_named_and_stays_in_the_queue(tmp_path: Path) -> None:
    async with at(tmp_path, embedded(tmp_path)) as stage:
        lie(stage, age=2)
        async with stage.door.deliveries() as deliveries:
            idle = asyncio.create_task(taking(deliveries))
            status, told, _ = await swept(stage, "--wait", "1")
            idle.cancel()
        [one] = json.loads(told)
        assert (status, one["found"], one["outcome"], one["reason"]) == (1, "behind", "unknown", "not_told")
        assert "history shop" in one["message"]
        assert stage.calls("modify_certificate") == 0
        async with stage.worker():
            while not (told_later := await stage.events()):
                await asyncio.sleep(0.1)
        assert told_later[0]["data"]["outcome"] == "succeeded"
