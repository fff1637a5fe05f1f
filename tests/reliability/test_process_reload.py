"""A worker that is told by SIGHUP to read its settings again: what comes goes by them, and nothing is restarted."""

import asyncio
import os
import pty
import signal
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp

from tests.commands.processes import run_code
from tests.support.acme import SCRIPT
from tests.support.clouds import renewal
from tests.support.gateways import AUTHORITY
from tests.support.service import toml, up
from tests.support.stage import Stage, staged
from tests.support.worker_process import Worker
from worker.broker.base import withheld
from worker.sandbox.world import Fault

QUICK = {"parking_seconds": [1, 2], "deadline_seconds": 10, "drain_seconds": 30}


@asynccontextmanager
async def stage_of(folder: Path, *names: str, **more: Any) -> AsyncIterator[Stage]:
    async with staged(folder, {"url": f"sqlite:///{folder}/queue.db"}, names, retry=QUICK, **more) as stage:
        yield stage


def rewrite(stage: Stage, change: Mapping[str, str]) -> None:
    """Each text in the settings by another one."""
    text = stage.settings.read_text()
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    stage.settings.write_text(text)


async def reload(worker: Worker, event: str = "settings.reloaded") -> Mapping[str, Any]:
    """What the worker says of it."""
    times = worker.told(event) + 1
    worker.child.send_signal(signal.SIGHUP)
    await worker.tells(event, times=times)
    return [line for line in worker.lines() if line["event"] == event][-1]


def deployed(stage: Stage, name: str) -> dict[str, Any]:
    deployment = {"gateway": "apig", "certificate_id": stage.stored[name], "domains": "attached"}
    return {"producers": ["acme", "guest"], "deployments": [deployment]}


async def test_a_certificate_that_is_added_is_rotated_and_one_that_is_gone_is_unknown(tmp_path: Path) -> None:
    async with stage_of(tmp_path, "shop", "blog") as stage:
        both = {name: deployed(stage, name) for name in ("shop", "blog")}
        whole = stage.settings.read_text()
        line = next(line for line in whole.splitlines() if line.startswith("certificates = "))
        rewrite(stage, {line: f"certificates = {toml({'shop': both['shop']})}"})
        async with stage.worker() as worker:
            early = await stage.renew("blog")
            assert (await stage.ended(early))[early]["data"]["reason"] == "unknown_certificate"
            rewrite(stage, {f"certificates = {toml({'shop': both['shop']})}": f"certificates = {toml(both)}"})
            assert (await reload(worker))["changed"] == ["certificates.blog"]
            added = await stage.renew("blog")
            assert (await stage.ended(added))[added]["data"]["outcome"] == "succeeded"
            rewrite(stage, {f"certificates = {toml(both)}": f"certificates = {toml({'blog': both['blog']})}"})
            await reload(worker)
            late = await stage.renew("shop")
            assert (await stage.ended(late))[late]["data"]["reason"] == "unknown_certificate"


async def given_up(file: Path, body: bytes) -> bytes:
    """What is kept of a message that was delivered too often, as soon as it is among the dead."""
    with closing(sqlite3.connect(file, isolation_level=None)) as table:
        put = "INSERT INTO messages (id, state, due, priority, attempt, deliveries, body, content_type)"
        values = " VALUES (hex(randomblob(8)), 'ready', 0, 0, 1, 1000, ?, 'application/cloudevents+json')"
        number = table.execute(put + values, (body,)).lastrowid
        while True:
            [(state, kept)] = table.execute("SELECT state, body FROM messages WHERE number = ?", (number,))
            if state == "dead":
                return bytes(kept)
            await asyncio.sleep(0.01)


async def test_what_the_embedded_broker_gives_up_is_judged_by_the_settings_as_they_are(tmp_path: Path) -> None:
    sent = renewal(AUTHORITY.issue(["a.example.com"])).body
    async with stage_of(tmp_path, "shop") as stage, stage.worker() as worker:
        assert await given_up(tmp_path / "queue.db", sent) == sent
        rewrite(stage, {'"allow_plain_keys" = true': '"allow_plain_keys" = false'})
        await reload(worker)
        assert await given_up(tmp_path / "queue.db", sent) == withheld("delivery_limit", is_exposed=True)


async def test_a_file_with_a_mistake_changes_nothing_and_the_log_says_where_it_is(tmp_path: Path) -> None:
    async with stage_of(tmp_path, "shop") as stage, stage.worker() as worker:
        good = stage.settings.read_text()
        for bad, where in {
            good + "[http\n": "line ",
            good + "[retry]\nattempts = 3\n": "retry",
            good.replace("allow_plain_keys", "allow_plane_keys"): "trust.allow_plane_keys: unknown key",
            good.replace('"apig" =', '"gone" =', 1): "certificates.shop.deployments.0.gateway: there is no gateway",
            good.replace("drain_seconds", "drain_secondz"): "drain_secondz: unknown key",
        }.items():
            assert bad != good
            stage.settings.write_text(bad)
            assert where in "\n".join((await reload(worker, "settings.refused"))["problems"])
        stage.settings.write_text(good)
        await stage.renew()
        await stage.books()
        assert worker.told("settings.reloaded") == 0
        async with aiohttp.ClientSession() as session, session.get(f"http://{worker.listen}/metrics") as answer:
            assert 'rotation_settings_reloads_total{state="refused"} 5.0' in await answer.text()


async def test_when_a_certificate_ends_is_told_only_of_where_it_is_deployed(tmp_path: Path) -> None:
    shown = 'rotation_certificate_expiry_timestamp_seconds{certificate="%s",gateway="apig"}'
    async with stage_of(tmp_path, "shop", "blog") as stage, stage.worker() as worker:
        for name in ("shop", "blog"):
            await stage.renew(name)
        await stage.ended()
        told = await metrics(worker)
        assert all(shown % name in told for name in ("shop", "blog"))
        both = {name: deployed(stage, name) for name in ("shop", "blog")}
        line = next(line for line in stage.settings.read_text().splitlines() if line.startswith("certificates = "))
        rewrite(stage, {line: f"certificates = {toml({'blog': both['blog']})}"})
        await reload(worker)
        while shown % "shop" in await metrics(worker):
            await asyncio.sleep(0.05)
        assert shown % "blog" in await metrics(worker)


async def test_a_limit_that_is_changed_holds_from_then_on(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d"]
    async with stage_of(tmp_path, *names) as stage, stage.worker() as worker:
        await stage.renew("a")
        await stage.ended()
        before = len(stage.sandbox.world.journal)
        tight, loose = '"limits" = [{"calls" = 2, "seconds" = 1}]', '"limits" = [{"calls" = 1000, "seconds" = 1}]'
        rewrite(stage, {loose: tight})
        assert (await reload(worker))["changed"] == ["gateways.apig.limits.0.calls"]
        for name in names[1:]:
            await stage.renew(name)
        await stage.ended()
        sent = [call.at for call in stage.sandbox.world.journal[before:] if call.path.startswith("/v2/")]
        assert len(sent) > 6
        assert all(third - first >= 1 for first, third in zip(sent, sent[2:], strict=False))
        assert stage.calls("obtain_token") == 1, "a gateway that stays keeps its token"


async def test_what_is_in_hand_ends_by_the_settings_that_it_began_with(tmp_path: Path) -> None:
    async with stage_of(tmp_path, "shop") as stage:
        answer = stage.sandbox.hold("attach_domains")
        async with stage.worker() as worker:
            await stage.renew()
            await answer.reached.wait()
            line = next(line for line in stage.settings.read_text().splitlines() if line.startswith("gateways = "))
            gone = [one for one in stage.settings.read_text().splitlines() if one.startswith("certificates = ")]
            rewrite(stage, {line: "gateways = {}", gone[0]: "certificates = {}"})
            assert sorted((await reload(worker))["changed"]) == ["certificates.shop", "gateways.apig"]
            told = await metrics(worker)
            assert 'rotation_gateway_up{gateway="apig"}' in told
            assert 'rotation_gateway_budget_calls{gateway="apig"' in told, "it is measured for as long as it is used"
            assert worker.told("rotation.finished") == 0
            answer.release()
            await worker.tells("rotation.finished", outcome="succeeded")
            while 'rotation_gateway_up{gateway="apig"}' in await metrics(worker):
                await asyncio.sleep(0.05)
            assert 'certificate="shop"' not in await metrics(worker), "when it ends is nobody's concern any more"
            assert (await worker.ready())[0] == 200
        await stage.idle()
        assert stage.calls("modify_certificate") == 1


async def metrics(worker: Worker) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://{worker.listen}/metrics") as answer:
        return await answer.text()


async def test_what_needs_a_restart_is_named_and_the_rest_holds(tmp_path: Path) -> None:
    async with stage_of(tmp_path, "shop") as stage, stage.worker() as worker:
        changed = {'"parking_seconds" = [1, 2]': '"attempts" = 1, "parking_seconds" = [1, 3]'}
        rewrite(stage, {**changed, "queue.db": "other.db"})
        assert (await reload(worker))["changed"] == ["retry.attempts"]
        (told,) = [line for line in worker.lines() if line["event"] == "settings.need_restart"]
        assert told["keys"] == ["broker.url", "retry.parking_seconds.1"]
        stage.sandbox.world.faults.append(Fault("apig", status=503, times=None))
        failed = await stage.renew()
        assert (await stage.ended(failed))[failed]["data"]["attempt"] == 1


async def test_credentials_that_are_others_are_used_and_never_told(tmp_path: Path) -> None:
    async with stage_of(tmp_path, "shop") as stage, stage.worker() as worker:
        (tmp_path / "password").write_text("wrong-hunter2")
        assert (await reload(worker))["changed"] == ["gateways.apig.auth.password_file"]
        assert "hunter2" not in worker.log.read_text()
        (tmp_path / "password").write_text(stage.sandbox.config.password)
        await reload(worker)
        await stage.renew()
        await stage.books()


async def test_nothing_that_is_another_is_nothing_to_do(tmp_path: Path) -> None:
    async with stage_of(tmp_path, "shop") as stage, stage.worker() as worker:
        assert (await reload(worker))["changed"] == []
        await stage.renew()
        await stage.books()


async def test_a_terminal_that_goes_away_ends_it_and_one_that_stays_does_not(tmp_path: Path) -> None:
    """Both say so by the same signal."""
    async with stage_of(tmp_path, "shop") as stage:
        ours, theirs = pty.openpty()
        child = await asyncio.create_subprocess_exec(
            *(SCRIPT, "run", "--config", stage.settings), stdin=asyncio.subprocess.DEVNULL, stderr=theirs
        )
        os.close(theirs)
        reading = asyncio.create_task(asyncio.to_thread(said_until, ours, "settings.reloaded"))
        await up(stage.settings)
        child.send_signal(signal.SIGHUP)
        await reading
        os.close(ours)
        child.send_signal(signal.SIGHUP)
        assert await child.wait() == 0


def said_until(terminal: int, text: str) -> None:
    said = b""
    while text.encode() not in said:
        said += os.read(terminal, 4096)


HANGING_UP = """
import os, signal, sys
import worker.commands.run as command
from worker.cli import main
async def up(settings, *, read_again, tracing, manager):
    print("up", flush=True)
def reading(_):
    os.kill(os.getpid(), signal.SIGHUP)
command._read, command.run = reading, up
sys.exit(main(["run"]))
"""


async def test_a_worker_that_is_told_before_it_has_begun_does_not_end_of_it() -> None:
    assert await run_code(HANGING_UP) == (0, "up\n", "")
