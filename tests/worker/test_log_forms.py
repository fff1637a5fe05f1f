"""Logs for people on a terminal, and for machines everywhere else."""

import asyncio
import json
import os
import pty
import re
import sys
from contextlib import suppress

import pytest

from tests.worker.test_redaction import LOGGING, logged

TELLING = """
with structlog.contextvars.bound_contextvars(certificate="shop", renewal_id="7f0c", attempt=1):
    log.info("rotation.planned", gateway="apig")
    log.info("rotation.finished", outcome="succeeded", reason="rotated")
    log.warning("a.b", told="\\x1b[2Jgone")
try:
    failing()
except ValueError as error:
    log.error("rotation.crashed", exc_info=error)
logging.getLogger("aiormq.connection").error("no connection to amqp://user:hunter2@rabbit.example.com")
"""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


async def seen(**environ: str) -> str:
    """On a terminal."""
    ours, theirs = pty.openpty()
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LOGGING + TELLING),
        env={**{name: value for name, value in os.environ.items() if name != "NO_COLOR"}, **environ},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    reading = asyncio.create_task(asyncio.to_thread(_all_of, ours))
    assert await child.wait() == 0
    return await reading


def _all_of(terminal: int) -> str:
    found = b""
    with suppress(OSError):  # the other end is closed
        while part := os.read(terminal, 4096):
            found += part
    os.close(terminal)
    return found.decode()


async def test_on_a_terminal_lines_are_in_columns_and_in_colour() -> None:
    written = await seen()
    assert _COLOUR.search(written)
    lines = _COLOUR.sub("", written).splitlines()
    first, second = (line for line in lines if " rotation." in line and "certificate=shop" in line)
    assert re.match(
        r"\S+ \[info     ] rotation\.planned +attempt=1 certificate=shop gateway=apig renewal_id=7f0c$", first
    )
    assert first.index("attempt=") == second.index("attempt=")
    assert [line for line in lines if line.startswith("{")] == []


async def test_a_terminal_is_not_steered_by_what_others_have_named() -> None:
    written = await seen(NO_COLOR="1")
    assert "\x1b" not in written
    assert "told=\\x1b[2Jgone" in written


async def test_a_bug_is_told_in_lines_of_its_own() -> None:
    lines = (await seen(NO_COLOR="1")).splitlines()
    at = next(number for number, line in enumerate(lines) if " rotation.crashed" in line)
    assert lines[at + 1] == "  ValueError"
    assert lines[at + 2 : at + 4][-1].endswith(" failing")


@pytest.mark.parametrize("is_terminal", [True, False])
async def test_of_libraries_lines_have_our_form_and_not_their_words(is_terminal: bool) -> None:
    if is_terminal:
        written = await seen(NO_COLOR="1")
        line = next(line for line in written.splitlines() if "aiormq" in line)
        assert re.match(r"\S+ \[error    ] library\.told +\[aiormq\.connection] place=<string>:\d+$", line)
    else:
        lines, written = await logged(TELLING, "")
        assert {**lines[-1], "timestamp": "", "place": ""} == {
            "timestamp": "",
            "level": "error",
            "event": "library.told",
            "logger": "aiormq.connection",
            "place": "",
        }
    assert "hunter2" not in written


async def test_elsewhere_each_line_is_json_and_begins_with_when_how_bad_and_what() -> None:
    _, written = await logged(TELLING, "")
    lines = [json.loads(line) for line in written.splitlines()]
    assert {tuple(line)[:3] for line in lines} == {("timestamp", "level", "event")}
