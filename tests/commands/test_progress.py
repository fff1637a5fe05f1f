"""Progress where there is no terminal: plain lines, in virtual time."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.commands.processes import run
from tests.commands.test_sweep import written
from tests.support.virtual_time import run_virtual
from tests.worker.test_sweep import Shop, issued
from worker.commands.progress import Part, progress
from worker.sandbox import Sandbox
from worker.sandbox.playground import Playground

Work = Callable[[Part], Awaitable[None]]


def lines(capsys: pytest.CaptureFixture[str], work: Work, total: int = 4) -> list[str]:
    """What is told of a part while it is worked on."""

    async def scenario() -> None:
        async with progress() as shown:
            await work(shown.part("rows", total))

    run_virtual(scenario())
    said = capsys.readouterr()
    assert said.out == "", "the result has stdout to itself"
    return said.err.splitlines()


def test_a_line_comes_every_few_seconds_where_something_has_changed(capsys: pytest.CaptureFixture[str]) -> None:
    async def work(part: Part) -> None:
        for _ in range(4):
            await asyncio.sleep(4.5)
            part.ended("good")

    assert lines(capsys, work) == [
        "rows: 0/4",
        "rows: 1/4, 1 good, about 15 s",
        "rows: 2/4, 2 good, about 10 s",
        "rows: 3/4, 3 good, about 5 s",
        "rows: 4/4, 4 good",
    ]


def test_what_goes_fast_is_told_when_it_begins_and_when_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    async def work(part: Part) -> None:
        for how in ("good", "bad", "good", "good"):
            part.ended(how)

    assert lines(capsys, work) == ["rows: 0/4", "rows: 4/4, 1 bad, 3 good"]


def test_how_far_it_got_is_told_of_what_was_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    async def work(part: Part) -> None:
        part.ended("good")
        raise KeyError

    with pytest.raises(KeyError):
        lines(capsys, work)
    assert capsys.readouterr().err.splitlines() == ["rows: 0/4", "rows: 1/4, 1 good, a moment"]


def test_a_name_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        async with progress() as shown:
            shown.part("a\x1b[2Jb\n", 1)

    run_virtual(scenario())
    assert capsys.readouterr().err == "a?[2Jb?: 0/1\n"


@pytest.mark.parametrize("form", [(), ("--json",)])
async def test_without_a_terminal_there_are_lines_on_stderr_and_the_result_on_stdout(
    tmp_path: Path, form: tuple[str, ...]
) -> None:
    async with Sandbox() as sandbox:
        told = await Playground(sandbox, tmp_path).laid_out()
        words = ("rotate", "shop", "--config", str(told["settings"]), "--chain", tmp_path / "chain.pem")
        status, said, complained = await run(*words, "--key", tmp_path / "key.pem", *form)
    assert status == 0
    assert [line.partition(",")[0] for line in complained.splitlines() if line.startswith("apig")] == [
        "apig (in_place): 0/1",
        "apig (in_place): 1/1",
    ]
    assert "\x1b" not in said + complained
    assert json.loads(said)["outcome"] == "succeeded" if form else said.startswith("shop: succeeded (rotated)")


async def test_whoever_wants_colours_everywhere_gets_none_where_a_machine_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        shop.lie(issued())
        status, said, complained = await run("sweep", "--config", written(shop, tmp_path))
    assert (status, "\x1b" in said + complained) == (0, False)
