"""What the worker logs, as it arrives at stderr: no key, bounded texts, bugs by their place alone."""

import asyncio
import json
import sys
from typing import Any

from worker.sandbox.ca import Authority

LOGGING = """
import asyncio, logging, sys, warnings
import structlog
from worker.telemetry import configure_logs
configure_logs(logging.INFO)
key = sys.stdin.read()
log = structlog.get_logger()
class Answer:
    def __repr__(self):
        return f"Answer({key})"
def failing():
    raise ValueError(f"cannot read {key}")
async def failing_soon():
    failing()
"""


async def logged(code: str, key: str) -> tuple[list[dict[str, Any]], str]:
    """Each line on stderr as an object, and everything that was written."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LOGGING + code),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await child.communicate(key.encode())
    assert said == b""
    return [json.loads(line) for line in complained.decode().splitlines()], complained.decode()


def key() -> str:
    return Authority.create().issue(["shop.example.com"]).private_key_pem


def quotes(written: str, private_key: str) -> bool:
    body = [line for line in private_key.splitlines() if not line.startswith("-----")]
    return any(line in written for line in body)


async def test_no_key_is_logged_wherever_it_is_in_a_line() -> None:
    private_key = key()
    lines, written = await logged(
        """
log.info("a.b", text=f"before {key} after", cut=key[:100], many=[key, {"deep": (key,)}])
log.info("a.d", named={key: 1, "deep": {key: 2}, 7: 3})
log.info("a.c", answer=Answer(), raw=key.encode())
log.info(f"event {key}")
with structlog.contextvars.bound_contextvars(bound=key):
    log.info("c.d", error=ValueError(key))
""",
        private_key,
    )
    assert not quotes(written, private_key)
    assert lines[0]["text"] == "before [PEM]\\n after".replace("\\n", "\n")
    assert (lines[0]["cut"], lines[0]["many"]) == ("[PEM]", ["[PEM]\n", {"deep": ["[PEM]\n"]}])
    assert lines[1]["named"] == {"[PEM]\n": 1, "deep": {"[PEM]\n": 2}, "7": 3}
    assert lines[4]["bound"] == lines[4]["error"] == "[PEM]\n"


async def test_what_is_no_text_stays_what_it_is() -> None:
    lines, _ = await logged('log.info("a.b", number=1, share=0.5, is_good=True, nothing=None)', "")
    assert {name: lines[0][name] for name in ("number", "share", "is_good", "nothing")} == {
        "number": 1,
        "share": 0.5,
        "is_good": True,
        "nothing": None,
    }


async def test_a_text_is_bounded() -> None:
    lines, _ = await logged('log.info("a.b", text="x" * 100_000, many=["y" * 100_000])', "")
    assert (len(lines[0]["text"]), len(lines[0]["many"][0])) == (2000, 2000)


async def test_a_bug_is_told_by_its_type_and_frames_alone() -> None:
    private_key = key()
    lines, written = await logged(
        """
try:
    failing()
except ValueError as error:
    log.exception("a.b")
    log.error("c.d", exc_info=error)
    log.error("e.f", exc_info=ExceptionGroup(key, [error]))
""",
        private_key,
    )
    assert [line["exception"] for line in lines] == ["ValueError", "ValueError", "ExceptionGroup"]
    assert lines[0]["frames"][-1].endswith("failing")
    assert lines[2]["within"][0]["frames"] == lines[1]["frames"]
    assert "cannot read" not in written
    assert not quotes(written, private_key)


async def test_of_libraries_neither_texts_nor_exceptions_are_shown() -> None:
    private_key = key()
    lines, written = await logged(
        """
library = logging.getLogger("aiohttp.server")
library.info("a detail")
library.log(35, "got %s", key)
try:
    failing()
except ValueError:
    library.exception("while reading %s", key)
warnings.warn(key)
""",
        private_key,
    )
    assert [(line["level"], line["logger"]) for line in lines] == [
        ("warning", "aiohttp.server"),
        ("error", "aiohttp.server"),
        ("warning", "py.warnings"),
    ]
    assert lines[1]["exception"] == "ValueError"
    assert lines[1]["frames"][-1].endswith("failing")
    assert "cannot read" not in written
    assert not quotes(written, private_key)


async def test_a_command_that_shows_its_progress_itself_logs_next_to_nothing() -> None:
    lines, _ = await logged(
        """
from worker.telemetry import quiet_logs
quiet_logs()
log.error("a.b")
logging.getLogger("aiohttp").error("c.d")
log.critical("e.f")
""",
        "",
    )
    assert [line["event"] for line in lines] == ["e.f"]
