"""The leak canary bites: at each door a test that lets a secret out fails, and the door is named, never the secret."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import PrivateFormat

from tests.support.keys_made import MADE, is_told, traces
from worker.sandbox.ca import Authority, key_pem
from worker.trust.keys import made

ROOT = Path(__file__).parents[2]
LEAKING = """
import json, logging, sys, warnings
from datetime import UTC, datetime
import pytest
import structlog
from tests.broker.places import place_at
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.clouds import message
from worker.core.errors import Failure, RefusedError
from worker.core.events import outcome_event
from worker.core.outcome import Report, Timing
from worker.sandbox import SandboxConfig
from worker.sandbox.ca import Authority
from worker.tracing import Subject
from worker.tracing.exporting import exporting

AUTHORITY = Authority.create()
OF_THE_MODULE = AUTHORITY.issue(["shop.example.com"]).private_key_pem

def key():
    return AUTHORITY.issue(["shop.example.com"]).private_key_pem

def body():
    return "".join(key().splitlines()[1:-1])

def test_stdout(): print(key())
def test_stdout_of_a_key_of_the_module(): print(OF_THE_MODULE)
def test_stdout_of_half_a_key(): print(body()[50:90])
def test_stdout_of_a_password(): print(SandboxConfig().secret_key)
def test_stdout_of_a_url(): print("lost amqp://user:hunter2@rabbit.example.com/")
def test_stderr(): print(repr(key()), file=sys.stderr)
def test_structlog(): structlog.get_logger().info("a.b", text=key())
def test_log(): logging.getLogger("a").error("got %s", key())
def test_log_extra(): logging.getLogger("a").error("got it", extra={"held": key()})
def test_log_exception():
    try: json.loads(key())
    except ValueError: logging.getLogger("a").exception("cannot")
def test_warning(): warnings.warn(key())
def test_warning_caught():
    warnings.warn(key())
def test_exception():
    with pytest.raises(ValueError): raise ValueError(key())
def test_exception_doc():
    with pytest.raises(ValueError): json.loads(key())
def test_exception_object():
    with pytest.raises(UnicodeDecodeError): (key().encode() + b"\\xff").decode()
def test_exception_context():
    with pytest.raises(RefusedError):
        try: json.loads(key())
        except ValueError: raise RefusedError("malformed") from None
def test_exception_note():
    error = ValueError("x"); error.add_note(key())
    with pytest.raises(ValueError): raise error
def test_exception_group():
    with pytest.raises(ExceptionGroup): raise ExceptionGroup("x", [ValueError(key())])
def test_event():
    at = datetime.now(UTC)
    report = Report.refused(Failure("malformed", body(), transient=False))
    outcome_event(report, "r1", "shop", Timing(at, at, 1.0), None, id_source="x")
def test_span():
    with exporting(InMemorySpanExporter()).rotation(None, Subject(body(), "r1", 1)):
        pass
def test_span_exception():
    with pytest.raises(RefusedError), exporting(InMemorySpanExporter()).rotation(None, Subject("shop", "r1", 1)):
        raise RefusedError(body())
async def test_dead_letter(tmp_path):
    async with place_at(f"sqlite:///{tmp_path / 'broker.db'}") as place:
        broker = place.broker()
        await broker.publish_renewal(message(b"{}"))
        async with broker.deliveries() as deliveries:
            await (await anext(deliveries)).bury("malformed", keep_body=True, renewal_id=body())
@pytest.fixture
def ending():
    yield
    print(key())
def test_teardown(ending): pass
@pytest.fixture
def beginning():
    print(key())
def test_setup(beginning): pass

def test_harmless(tmp_path):
    (tmp_path / "key.pem").write_text(key())
    print(AUTHORITY.issue(["shop.example.com"]).chain_pem, "amqps://rabbit.example.com:5671/", "https://a/?b=c@d")
"""
DOORS = {
    "stdout": "captured stdout call",
    "stderr": "captured stderr call",
    "structlog": "captured stdout call",
    "log": "a log record",
    "log_exception": "a log record's exception",
    "warning": "a warning",
    "exception": "an exception",
    "event": "an outcome event",
    "span": "a span",
    "dead_letter": "a dead letter's headers",
    "teardown": "captured stdout teardown",
    "setup": "captured stdout setup",
}


async def run(folder: Path, tests: str) -> str:
    """What pytest says of these tests."""
    (folder / "test_leaking.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    words = ["-p", "tests.support.canary", "-p", "no:randomly", "-p", "no:cacheprovider", "-c", folder / "pytest.ini"]
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", *map(str, words), "-rA", "--basetemp", str(folder / "base"), str(folder)),
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await child.communicate()
    return said.decode()


async def test_each_door_is_watched_and_named(tmp_path: Path) -> None:
    said = await run(tmp_path, LEAKING)
    leaking = set(re.findall(r"def test_(\w+)", LEAKING)) - {"harmless"}
    told = dict(re.findall(r"^_+ (?:ERROR at \w+ of )?test_(\w+) _+\na secret came out: (.+)$", said, re.MULTILINE))
    assert set(told) == leaking, said
    wrong = {name: doors for name, doors in told.items() if door_of(name) not in doors}
    assert wrong == {}
    assert re.findall(r"^PASSED \S+::test_(\w+)", said, re.MULTILINE) == ["teardown", "harmless"]


def door_of(name: str) -> str:
    return DOORS[max((known for known in DOORS if name.startswith(known)), key=len)]


async def test_what_came_out_is_not_told_again(tmp_path: Path) -> None:
    leaking = LEAKING.replace(
        "def key():",
        "def key():\n    return KEY\nKEY = AUTHORITY.issue(['a.example.com']).private_key_pem\ndef unused():",
    )
    leaking += "\ndef test_last():\n    open('" + str(tmp_path / "key.pem") + "', 'w').write(KEY)\n"
    said = await run(tmp_path, leaking)
    body = (tmp_path / "key.pem").read_text().splitlines()[1:-1]
    assert "a secret came out" in said
    assert [line for line in body if line in said] == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate,
        x25519.X25519PrivateKey.generate,
    ],
    ids=["ec", "rsa", "ed25519", "x25519"],
)
def test_every_kind_of_key_is_known(make: object) -> None:
    assert callable(make)
    key = make()
    assert MADE[-1] is key
    assert traces(key)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_any_line_of_a_key_is_enough_but_not_what_is_public(form: PrivateFormat) -> None:
    for key in (ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)):
        lines = [line for line in key_pem(key, form).splitlines() if not line.startswith("-----")]
        secret = [is_told(line, [key]) for line in lines]
        assert sum(secret) >= (len(lines) - 1) // 2
        assert not is_told(key_pem(Authority.create().key), [key])


@pytest.mark.parametrize("signs", [False, True])
def test_a_key_of_a_file_that_was_made_is_known(tmp_path: Path, signs: bool) -> None:
    private, public = made(tmp_path, "one", signs=signs)
    assert is_told(json.dumps({"text": private.read_text()}), MADE)
    assert not is_told(public.read_text(), MADE)
