"""The command line as such: the order of words, bugs, and a stdout that takes nothing."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.commands.processes import run, run_code
from tests.settings.files import APIG, certificate, in_place, written

NOT_FOUND = "rotation-worker: not found: x\nnext: `rotation-worker dead list` shows which there are\n"
PASS = "next: name the files that the ACME client has just written: the chain with the leaf first, and its own key\n"
EMBEDDED = '[broker]\nurl = "sqlite:///queue.db"\n'
BUG = """
import sys
import worker.commands.history as command
from worker.cli import main
def crashing(*_):
    raise {error}
command.settings_of = crashing
sys.exit(main(["history", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("command", ["dead replay {} x", "dead {} replay x", "dead replay x {}", "dead replay -v {} x"])
async def test_options_and_other_words_come_in_any_order(tmp_path: Path, command: str) -> None:
    path = written(tmp_path, EMBEDDED)
    (tmp_path / "queue.db").touch(mode=0o600)
    assert await run(*command.format(f"--config {path}").split()) == (1, "Nothing to put back.\n", NOT_FOUND)


async def test_behind_two_dashes_words_may_begin_with_a_dash(tmp_path: Path) -> None:
    words = ("--config", written(tmp_path, EMBEDDED), "--", "shop", "-key.pem", "cert", "ca", "-chain.pem")
    status, _, complaints = await run("publish", *words)
    assert (status, complaints) == (65, "rotation-worker publish: file_not_found: chain: no such file\n" + PASS)


async def test_what_no_command_knows_is_told_by_that_command(tmp_path: Path) -> None:
    status, _, complaints = await run("dead", "--config", tmp_path)
    told, what_next = complaints.splitlines()
    assert (status, told) == (2, "rotation-worker dead: the following arguments are required: action")
    assert what_next == "next: `rotation-worker dead --help` shows what there is"


@pytest.mark.parametrize(
    ("error", "name"),
    [('ValueError("hunter2")', "ValueError"), ('ExceptionGroup("x", [OSError("hunter2")])', "ExceptionGroup")],
)
async def test_a_bug_is_told_by_its_type_and_place_and_not_by_its_text(error: str, name: str) -> None:
    code = BUG.format(error=error)
    told = f"rotation-worker: internal error: {name} at <string>:6\n"
    told += "next: report it with the output of the same command with -v\n"
    assert await run_code(code) == (70, "", told)
    status, said, complaints = await run_code(code, "-v", "--json")
    assert (status, json.loads(said)["error"]["reason"]) == (70, "internal_error")
    assert "<string>:6 crashing\n" in complaints
    assert "hunter2" not in said + complaints


async def piped(stdout: int, *words: str | Path) -> tuple[int, str]:
    """Exit status and complaints, with stdout led elsewhere."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", *map(str, words)), stdout=stdout, stderr=asyncio.subprocess.PIPE
    )
    _, complaints = await child.communicate()
    return child.returncode or 0, complaints.decode()


@pytest.mark.parametrize("command", ["topology export", "--help"])
async def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    options = () if command == "--help" else ("--config", written(tmp_path, ""))
    try:
        assert await piped(writer, *command.split(), *options) == (0, "")
    finally:
        os.close(writer)


async def test_a_full_disk_behind_stdout_is_an_error(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        status, complaints = await piped(full, "topology", "export", "--config", written(tmp_path, ""))
    finally:
        os.close(full)
    told = "rotation-worker: what it writes: No space left on device\nnext: make room on the disk that it writes to"
    assert (status, complaints.startswith(told)) == (74, True)


@pytest.mark.parametrize("command", ["history", "dead list", "dead replay"])
async def test_what_only_reads_makes_no_database(tmp_path: Path, command: str) -> None:
    path = written(tmp_path, '[broker]\nurl = "sqlite:///var/queue.db"\n')
    status, said, complaints = await run(*command.split(), "--config", path)
    assert (status, said) == (69, "")
    assert complaints.startswith("rotation-worker: broker: the embedded broker has no file yet: ")
    assert [one.name for one in tmp_path.iterdir()] == ["worker.toml"]


async def test_a_gateway_that_cannot_be_asked_is_told_on_stderr(tmp_path: Path) -> None:
    status, said, complaints = await run("discover", "apig-main", "--config", written(tmp_path, APIG))
    assert (status, said) == (1, "")
    assert complaints.startswith("rotation-worker: apig-main: auth_failed: ")


@pytest.mark.parametrize("command", ["plan", "rotate"])
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("none", "file_not_found: --chain: no such file"),
        ("fifo", "file_not_regular: --chain: not a regular file"),
        ("device", "file_not_regular: --chain: not a regular file"),
        ("large", "too_large: --chain: over 65536 bytes"),
    ],
)
async def test_a_chain_that_cannot_be_one_is_bad_material(tmp_path: Path, command: str, kind: str, reason: str) -> None:
    path, key = written(tmp_path, APIG + certificate(in_place())), written(tmp_path, "", "key.pem")
    os.mkfifo(tmp_path / "fifo")
    written(tmp_path, "x" * 70_000, "large")
    chain = Path("/dev/zero") if kind == "device" else tmp_path / kind
    words = (command, "shop", "--chain", chain, "--key", key, "--config", path)
    assert await run(*words) == (65, "", f"rotation-worker: {reason}\n{PASS}")
    status, said, _ = await run(*words, "--json")
    assert (status, json.loads(said)["error"]["reason"]) == (65, reason.partition(":")[0])


async def test_letters_that_the_output_does_not_have_are_written_in_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    status, said, complained = await run("check", "--config", written(tmp_path, EMBEDDED + '["\u00e9"]\n'))
    assert (status, complained) == (78, "")
    assert "\\xe9: unknown key" in said
