"""`rotation-worker publish` as a process: its exit statuses, and two hooks at once."""

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.publish.lineages import Lineage, renewed, settings
from tests.support.judging import kept_by_all
from tests.support.ports import free_port
from worker.broker import open_broker
from worker.core.message import parse
from worker.core.secret import Secret
from worker.publishing import publish
from worker.spool import Spool, Waiting


def configuration(folder: Path, *, url: str = "sqlite:///queue.db") -> Path:
    path = folder / "worker.toml"
    roots = '[trust.roots]\nfiles = ["."]'
    path.write_text(f'[broker]\nurl = "{url}"\n{roots}\n[publish]\nproducer = "acme-1"\nspool = "spool"\n')
    return path


async def run(*words: str | Path, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Exit status and complaints."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "publish", *map(str, words)),
        env={**os.environ, **(env or {})},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaints = await child.communicate()
    return child.returncode or 0, complaints.decode()


async def queued(folder: Path, count: int) -> list[tuple[str, str | None]]:
    """Certificate and producer of the first messages in the embedded broker."""
    by = settings(folder)
    broker = open_broker(by.broker, Secret(by.broker.url), by.retry, exposes=kept_by_all)
    found: list[tuple[str, str | None]] = []
    try:
        async with asyncio.timeout(30), broker.deliveries() as deliveries:
            while len(found) < count:
                delivery = await anext(deliveries)
                found.append((parse(delivery.message.body).data.certificate, delivery.message.user_id))
                await delivery.ack()
        assert (await broker.state()).ready == 0
    finally:
        await broker.close()
    return found


def files(lineage: Lineage) -> tuple[str | Path, ...]:
    return "--chain", lineage.chain, "--key", lineage.private_key


def closed_port() -> int:
    """One where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_a_renewal_lies_in_the_broker_under_its_producers_name(tmp_path: Path) -> None:
    lineage = renewed(tmp_path)
    assert await run("shop", *files(lineage), "--config", configuration(tmp_path)) == (0, "")
    assert await queued(tmp_path, 1) == [("shop", "acme-1")]
    assert Spool(tmp_path / "spool").waiting() == []


@pytest.mark.parametrize("is_in_a_folder", [False, True])
async def test_a_name_that_its_own_file_does_not_have_is_warned_of_and_sent_all_the_same(
    tmp_path: Path, *, is_in_a_folder: bool
) -> None:
    lineage, path = renewed(tmp_path), configuration(tmp_path)
    if is_in_a_folder:
        path.write_text(f'certificates_dir = "more"\n{path.read_text()}')
    more = tmp_path / "more" / "all.toml" if is_in_a_folder else path
    more.parent.mkdir(exist_ok=True)
    with more.open("a") as file:
        file.write('[certificates.shop]\n[certificates.blog]\nfoo = "a mistake that is none of a hook\'s business"\n')
    assert await run("blog", *files(lineage), "--config", path) == (0, "")
    status, complaints = await run("www.example.com", *files(lineage), "--config", path)
    warning, following = complaints.splitlines()
    assert status == 0
    assert warning.startswith("rotation-worker publish: www.example.com: these settings have no certificate of that")
    assert following.startswith("next: ")
    assert "publish.names" in following
    assert [name for name, _ in await queued(tmp_path, 2)] == ["blog", "www.example.com"]


async def test_a_hook_needs_no_words(tmp_path: Path) -> None:
    lineage = renewed(tmp_path)
    environ = {"RENEWED_LINEAGE": str(lineage.chain.parent), "ROTATION_CONFIG": str(configuration(tmp_path))}
    assert await run(env=environ) == (0, "")
    assert await queued(tmp_path, 1) == [("shop", "acme-1")]


async def test_another_verb_of_dehydrated_ends_well_even_without_settings(tmp_path: Path) -> None:
    assert await run("unchanged_cert", "a.example.com", "k", "c", env={"ROTATION_CONFIG": str(tmp_path / "none")}) == (
        0,
        "",
    )


async def test_a_mismatched_key_ends_with_65_and_its_reason(tmp_path: Path) -> None:
    lineage, other = renewed(tmp_path / "a"), renewed(tmp_path / "b")
    words = ("--chain", lineage.chain, "--key", other.private_key, "--config", configuration(tmp_path))
    status, complaints = await run("shop", *words)
    assert status == 65
    assert "key_mismatch" in complaints


@pytest.mark.parametrize(("which", "roots"), [("chain", True), ("chain", False), ("key", True), ("key", False)])
async def test_a_file_that_is_not_there_ends_with_65_and_is_named(tmp_path: Path, which: str, *, roots: bool) -> None:
    lineage, path = renewed(tmp_path), configuration(tmp_path)
    if not roots:
        path.write_text(path.read_text().replace('files = ["."]', "files = []"))
    (lineage.chain if which == "chain" else lineage.private_key).unlink()
    status, complaints = await run("shop", *files(lineage), "--config", path)
    first, following = complaints.splitlines()
    assert (status, first) == (65, f"rotation-worker publish: file_not_found: {which}: no such file")
    assert following.startswith("next: ")


async def test_a_file_without_an_end_is_not_read(tmp_path: Path) -> None:
    lineage, path = renewed(tmp_path), configuration(tmp_path)
    status, complaints = await run("shop", "--chain", "/dev/zero", *files(lineage)[2:], "--config", path)
    assert status == 65
    assert complaints.startswith("rotation-worker publish: file_not_regular: chain: not a regular file\nnext: ")


async def test_a_mistake_beside_a_spool_that_cannot_be_used_ends_with_78(tmp_path: Path) -> None:
    lineage, path = renewed(tmp_path), configuration(tmp_path)
    path.write_text(path.read_text().replace("[broker]", "[broker]\nfoo = 1"))
    (tmp_path / "spool").touch()
    status, complaints = await run("shop", *files(lineage), "--config", path)
    assert status == 78
    assert "broker.foo: unknown key" in complaints
    assert "could not be written down" in complaints
    assert "publish it again" in complaints


async def test_a_broker_that_is_away_ends_with_69_and_nothing_is_lost(tmp_path: Path) -> None:
    lineage = renewed(tmp_path)
    away = configuration(tmp_path, url=f"amqp://guest:hunter2@127.0.0.1:{closed_port()}/")
    status, complaints = await run("first", *files(lineage), "--config", away)
    assert status == 69
    assert "nothing is lost" in complaints
    assert "hunter2" not in complaints
    assert await run("second", *files(lineage), "--config", configuration(tmp_path)) == (0, "")
    assert [name for name, _ in await queued(tmp_path, 2)] == ["first", "second"]


async def test_settings_that_let_no_key_travel_end_with_78(tmp_path: Path) -> None:
    lineage = renewed(tmp_path)
    path = configuration(tmp_path)
    path.write_text(path.read_text().replace('files = ["."]', "files = []"))
    status, complaints = await run("shop", *files(lineage), "--config", path)
    assert status == 78
    assert "publish.plain" in complaints


ELSEWHERE = """
foo = 1
certificates_dir = "none"
[http]
listen = "127.0.0.1:99999"
[trust]
audience = 1
[retry]
attempts = "many"
[gateways.apig]
kind = "unheard of"
[certificates.shop]
producers = []
"""


async def test_a_mistake_in_what_a_hook_does_not_use_is_none_of_its_business(tmp_path: Path) -> None:
    lineage, path = renewed(tmp_path), configuration(tmp_path)
    path.write_text(ELSEWHERE.replace("[http]", path.read_text() + "[http]"))
    env = {"ROTATION_RETRY__ATTEMPTS__X": "1", "ROTATION_HTTP__LISTEN": "nowhere"}
    assert await run("shop", *files(lineage), "--config", path, env=env) == (0, "")
    assert await queued(tmp_path, 1) == [("shop", "acme-1")]


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (("sqlite:///queue.db", "amqp://u:hunter2@rabbit.example.com/"), "broker.url: amqp:// to a host"),
        (("[broker]", '[broker]\nqueue = "hunter2"\nhunter = 2'), "broker.hunter: unknown key"),
        (("[broker]", "[broker]\nprefetch = 0"), "broker.prefetch: Input should be"),
        (("[broker]", '[broker]\nurl_file = "none"'), "broker.url_file: cannot be read"),
        (('"acme-1"', "1"), "publish.producer: Input should be"),
        (('"acme-1"', '"acme-1"\nproducer_key = "none"'), "publish.producer_key: No such file"),
        (("[trust.roots]", "[trust.roots]\nfoo = 1"), "trust.roots.foo: unknown key"),
    ],
)
async def test_a_mistake_ends_with_78_and_the_renewal_waits(
    tmp_path: Path, mistake: tuple[str, str], told: str
) -> None:
    lineage, path = renewed(tmp_path), configuration(tmp_path)
    good = path.read_text()
    path.write_text(good.replace(*mistake))
    status, complaints = await run("first", *files(lineage), "--config", path)
    assert status == 78
    assert told in complaints
    assert "nothing is lost" in complaints
    assert "hunter2" not in complaints
    path.write_text(good)
    assert await run("second", *files(lineage), "--config", path) == (0, "")
    assert [name for name, _ in await queued(tmp_path, 2)] == ["first", "second"]


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (('"spool"', "1"), "publish.spool: Input is not a valid path"),
        (("[publish]", "publish"), "is not valid TOML"),
        (('["."]', '"."'), "trust.roots.files: Input should be"),
    ],
)
async def test_a_mistake_that_leaves_no_way_to_write_it_down_says_so(
    tmp_path: Path, mistake: tuple[str, str], told: str
) -> None:
    lineage, path = renewed(tmp_path), configuration(tmp_path)
    path.write_text(path.read_text().replace(*mistake))
    status, complaints = await run("shop", *files(lineage), "--config", path)
    assert status == 78
    assert told in complaints
    assert "nothing was written down: publish it again" in complaints


async def test_a_lineage_with_a_byte_order_mark_and_line_ends_of_windows_is_published(tmp_path: Path) -> None:
    lineage, path = renewed(tmp_path), configuration(tmp_path)
    for file in (lineage.chain, lineage.private_key):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert await run("named", *files(lineage), "--config", path) == (0, "")
    path.write_text(path.read_text().replace('files = ["."]', "files = []") + "plain = true\n")
    assert await run("open", *files(lineage), "--config", path) == (0, "")
    assert [name for name, _ in await queued(tmp_path, 2)] == ["named", "open"]


async def test_two_hooks_at_once_send_each_renewal_once(tmp_path: Path) -> None:
    lineage, path = renewed(tmp_path), configuration(tmp_path)
    names = ["a", "b", "c"]
    ended = await asyncio.gather(*(run(name, *files(lineage), "--config", path) for name in names))
    assert ended == [(0, "")] * 3
    assert sorted(name for name, _ in await queued(tmp_path, 3)) == names


async def test_while_another_process_sends_a_call_waits_for_its_turn(tmp_path: Path) -> None:
    lineage, path, spool = renewed(tmp_path), configuration(tmp_path), Spool(tmp_path / "spool")
    async with spool.held(1):
        hook = asyncio.create_task(run("shop", *files(lineage), "--config", path))
        while not (spool.waiting() or hook.done()):
            await asyncio.sleep(0.02)
        assert not hook.done()
    assert await hook == (0, "")
    assert await queued(tmp_path, 1) == [("shop", "acme-1")]


async def test_what_another_process_has_sent_meanwhile_counts_as_sent(tmp_path: Path) -> None:
    """The one that holds the spool sends what others wrote: they find it gone, and all is well."""
    lineage, by = renewed(tmp_path), settings(tmp_path, roots=[tmp_path])
    broker = open_broker(by.broker, Secret(by.broker.url), by.retry, producer="acme-1", exposes=kept_by_all)
    try:
        both = (publish(lineage.wish(name), by, broker, datetime.now(UTC)) for name in ("a", "b"))
        ended = await asyncio.gather(*both)
    finally:
        await broker.close()
    assert [one.waiting for one in ended] == [0, 0]
    assert sorted(renewal for one in ended for renewal in one.sent) == sorted(one.renewal_id for one in ended)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("worker.hooks", ("pydantic", "cryptography", "asyncio")),
        ("worker.publishing", ("aiohttp", "aio_pika", "aiosqlite", "structlog", "rich")),
        ("worker.commands.history", ("aiohttp", "aio_pika", "aiosqlite", "jinja2", "worker.rotation")),
        ("worker.commands.dead", ("aiohttp", "aio_pika", "aiosqlite", "jinja2", "worker.rotation")),
    ],
)
async def test_a_command_does_not_wait_for_imports_that_it_does_not_need(module: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {module}; sys.exit(', '.join(set({heavy!r}) & set(sys.modules)))"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE)
    _, loaded = await child.communicate()
    assert loaded.decode().strip() == ""


async def test_a_hook_that_is_traced_hands_its_trace_on_also_through_the_spool(tmp_path: Path) -> None:
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    away = configuration(tmp_path, url=f"amqp://guest:guest@127.0.0.1:{free_port()}/")
    words = ("shop", *files(renewed(tmp_path)), "--config", away)
    for told in (traceparent, "no trace at all"):
        assert (await run(*words, env={"TRACEPARENT": told}))[0] == 69
    waiting = [Spool(tmp_path / "spool").read(path) for path in Spool(tmp_path / "spool").waiting()]
    assert [one.message.traceparent for one in waiting if isinstance(one, Waiting)] == [traceparent, None]
    assert (await run(*words[:-1], configuration(tmp_path)))[0] == 0
    by = settings(tmp_path)
    broker = open_broker(by.broker, Secret(by.broker.url), by.retry, exposes=kept_by_all)
    try:
        async with broker.deliveries() as deliveries:
            assert (await anext(deliveries)).message.traceparent == traceparent
    finally:
        await broker.close()
