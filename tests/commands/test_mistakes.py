"""What every command says to whoever makes a mistake: one line on what is wrong, and one on what to do next."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.broker.places import retry
from tests.commands.mistakes import FILES, MISTAKES, SETTINGS, Mistake, lineage
from tests.commands.processes import run
from tests.settings.files import written
from tests.support.rabbit import broker_settings, remove
from tests.support.service import toml
from worker.broker.base import BrokerError
from worker.cli import COMMANDS
from worker.commands.next_steps import next_step
from worker.settings.model import Broker
from worker.spool import SpoolError


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda one: f"{one.words.partition(' --')[0]}: {one.name}")
async def test_a_mistake_is_told_with_what_to_do_next(tmp_path: Path, mistake: Mistake) -> None:
    words = mistake.words.format(folder=tmp_path).split()
    needs_none = "--config" in words or mistake.command in ("keygen", "sandbox")
    named = () if needs_none else ("--config", tmp_path / "worker.toml")
    with mistake.held(tmp_path):
        status, said, complained = await run(*words, *named, "--json")
    is_service = mistake.command == "run"  # it logs
    lines = [line for line in complained.splitlines() if not (is_service and line.startswith("{"))]
    assert (status, lines[0], lines[-1]) == (mistake.status, mistake.line(tmp_path), f"next: {mistake.next}")
    assert ("Traceback" in complained, "hunter2" in said + complained) == (False, False)
    document = json.loads(said)
    if isinstance(document, dict):  # the dead letters that were found are a list, empty or not
        assert document["next"] == mistake.next


def test_no_command_is_left_out() -> None:
    assert {one.command for one in MISTAKES} == set(COMMANDS) - {"check", "demo"}, "these have tests of their own"


async def test_a_command_that_there_is_not_is_told_with_the_one_that_is_meant() -> None:
    status, said, complained = await run("rotatte", "shop")
    assert (status, said, complained.splitlines()[1]) == (2, "", "next: did you mean rotate?")
    status, said, complained = await run("xyzzy", "--json")
    assert (status, json.loads(said)["next"]) == (2, "`rotation-worker --help` shows what there is")


async def test_a_demo_whose_broker_is_away_says_how_to_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTATION_TEST_AMQP_URL", "amqp://guest:hunter2@127.0.0.1:1/")
    status, said, complained = await run("demo", "--json")
    document = json.loads(said)
    assert (status, document["error"]["reason"]) == (69, "broker_unavailable")
    assert document["next"].startswith("start the broker of ROTATION_TEST_AMQP_URL, or unset it")
    assert ("Traceback" in complained, "hunter2" in said + complained) == (False, False)


LOWLY: Sequence[str] = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
"""Root, but without the right to read what it has closed to itself."""


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may read everything")
@pytest.mark.parametrize(
    ("closed", "words", "status", "first", "what_next"),
    [
        ("worker.toml", "history", 78, "{folder}/worker.toml: Permission denied", "run it as a user who may"),
        (
            *("archive/shop/privkey.pem", f"publish shop {FILES}", 65),
            *("file_permissions: key: Permission denied", "give the file to the user who reads it, with chmod 600"),
        ),
        ("live", f"rotate shop {FILES}", 65, "file_permissions: --chain: Permission denied", "give the file"),
        ("live", f"plan shop {FILES}", 65, "file_permissions: --chain: Permission denied", "give the file"),
    ],
)
async def test_what_may_not_be_read_is_named_with_who_has_to_be_asked(
    tmp_path: Path, closed: str, words: str, status: int, first: str, what_next: str
) -> None:
    config = written(tmp_path, SETTINGS)
    lineage(tmp_path)
    (tmp_path / closed).chmod(0)
    lowly = LOWLY if os.geteuid() == 0 else ()
    told = words.format(folder=tmp_path).split()
    ended, _, complained = await run(*told, "--config", config, before=lowly)
    (tmp_path / closed).chmod(0o700)
    lines = complained.splitlines()
    assert (ended, lines[0].endswith(first.format(folder=tmp_path))) == (status, True), complained
    assert lines[-1].startswith(f"next: {what_next}")


def at(folder: Path, settings: Broker) -> Path:
    return written(folder, f"broker = {toml(settings.model_dump(mode='json', by_alias=True, exclude_none=True))}\n")


@pytest.mark.rabbitmq
async def test_what_is_wrong_at_rabbitmq_is_told_with_what_mends_it(tmp_path: Path, rabbit: str) -> None:
    settings = broker_settings(url=rabbit, timeout_seconds=10, declare=False)
    missing = await run("dead", "list", "--config", at(tmp_path, settings))
    assert (missing[0], "no queue" in missing[2]) == (78, True)
    apply = "next: declare what is missing with `rotation-worker topology apply`, as a user who may configure\n"
    assert missing[2].endswith(apply)
    _, found, _ = await run("check", "--config", at(tmp_path, settings))
    assert "FAILED  broker: topology: " in found
    assert f"        {apply}" in found
    try:
        status, said, _ = await run("topology", "apply", "--config", at(tmp_path, settings))
        assert (status, said) == (0, "The broker objects are there, as the settings want them.\n")
        assert (await run("dead", "list", "--config", at(tmp_path, settings)))[0] == 0
        other = settings.model_copy(update={"delivery_limit": 3})
        status, _, complained = await run("topology", "apply", "--config", at(tmp_path, other))
        assert (status, "exists with other arguments" in complained) == (78, True)
        assert complained.endswith("or empty and delete it, then `rotation-worker topology apply`\n")
    finally:
        await remove(rabbit, settings, retry())
    wrong = settings.model_copy(update={"url": rabbit.replace("guest:guest@", "guest:hunter2@")})
    status, _, complained = await run("history", "--config", at(tmp_path, wrong))
    assert (status, "hunter2" in complained) == (69, False)
    assert complained.endswith(
        "\nnext: look at user and password in broker.url, or in the file that broker.url_file names\n"
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BrokerError("the embedded broker cannot write: database or disk is full"), "make room on the disk"),
        (SpoolError("/var/spool/rotation-worker: No space left on device"), "make room on the disk"),
        (SpoolError("/var/spool/rotation-worker: the folder is another user's"), "run it as that user"),
        (SpoolError("/var/spool/rotation-worker: Not a directory"), "make publish.spool a folder"),
        (KeyError("x"), "report it with the output of the same command with -v"),
    ],
)
def test_what_no_test_can_bring_about_everywhere_has_its_next_step_too(error: Exception, told: str) -> None:
    assert next_step(error).startswith(told)
