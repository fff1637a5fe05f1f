"""A burst: thousands of certificates, twenty domains each, through a real RabbitMQ and `rotation-worker run`.

From the first renewal published to the last outcome event, against what the limit alone would take.
"""

import asyncio
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Final

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from benchmarks.report import Row, at_most
from benchmarks.standin import PROJECT, TOKEN, Standin, running
from benchmarks.subject import PRODUCER, issue, memory, message
from worker.sandbox.ca import Authority
from worker.sandbox.rabbit_node import RabbitNode

_GROUP: Final = "scale"
_CALLS_PER_SECOND: Final = 400
_DOMAINS: Final = 20
_LATENCY: Final = 0.03
_LEAVES: Final = 4
_AT_MOST: Final = 1.05
_EVENTS: Final = "certificate.events"
_RENEWALS: Final = "certificate.renewals"
_LOOK_EVERY: Final = 0.05
_PATIENCE: Final = 600.0
"""Seconds: so long without an event means that none will come."""

_SETTINGS: Final = """\
certificates_dir = "certificates.d"

[broker]
url = "{broker}"

[trust]
ca_bundle = "roots.pem"
roots.files = ["material"]

[http]
listen = "127.0.0.1:{port}"

[gateways.apig]
kind = "huawei_apig"
endpoint = "{endpoint}"
project_id = "{project}"
concurrency = 32
limits = [{{calls = {calls}, seconds = 1}}]
auth = {{kind = "token", token_file = "token"}}
"""
_CERTIFICATE: Final = """\
[certificates.{name}]
producers = ["{producer}"]
[[certificates.{name}.deployments]]
gateway = "apig"
certificate_id = "{name}"
domains = "attached"
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What one burst came to: seconds, megabytes."""

    seconds: float
    started_in: float
    outcomes: Counter[str]
    looks: Sequence[float]
    idle: float
    most: float
    cpu: float


def run(*, quick: bool) -> list[Row]:
    names = [f"d{_DOMAINS}-{number}" for number in range(300 if quick else 10_000)]
    limits = [(_CALLS_PER_SECOND, 1.0)]
    with (
        TemporaryDirectory() as home,
        rabbit(Path(home) / "rabbitmq") as broker,
        running(latency=_LATENCY, limits=limits) as standin,
    ):
        folder, port = Path(home), _free_port()
        _write(folder, names, _SETTINGS.format(**_places(broker, standin, port)))
        found = asyncio.run(_measured(folder, names, broker.url, port))
        told = standin.report(1.0)
    return _rows(found, names, told["total"], told["refused"], told["most"]["1"])


@contextmanager
def rabbit(home: Path) -> Iterator[RabbitNode]:
    """A node of one's own inside the block, whose user is our producer."""
    node = RabbitNode.below(home)
    node.start()
    try:
        node.ctl("add_user", PRODUCER, PRODUCER)
        node.ctl("set_permissions", PRODUCER, ".*", ".*", ".*")
        yield node
    finally:
        node.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _places(broker: RabbitNode, standin: Standin, port: int) -> dict[str, object]:
    own = {"broker": broker.url, "endpoint": standin.endpoint, "project": PROJECT}
    return {**own, "port": port, "calls": _CALLS_PER_SECOND}


def _write(folder: Path, names: Sequence[str], settings: str) -> None:
    """Everything that the worker reads, as an operator and an ACME client would leave it."""
    authority = Authority.create()
    for place in ("certificates.d", "material"):
        (folder / place).mkdir()
    for number in range(_LEAVES):
        issued = issue(authority)
        _private(folder / "material" / f"{number}.pem", issued.chain_pem)
        _private(folder / "material" / f"{number}.key", issued.private_key_pem)
    _private(folder / "token", TOKEN)
    (folder / "roots.pem").write_text(authority.root_pem, encoding="ascii")
    for name in names:
        text = _CERTIFICATE.format(name=name, producer=PRODUCER)
        (folder / "certificates.d" / f"{name}.toml").write_text(text, encoding="ascii")
    (folder / "worker.toml").write_text(settings, encoding="ascii")


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="ascii")


async def _measured(folder: Path, names: Sequence[str], broker: str, port: int) -> Found:
    began = time.monotonic()
    with _worker(folder) as worker:
        await _until_ready(worker, port)
        started_in, (idle, _), before = time.monotonic() - began, memory(worker.pid), _cpu(worker.pid)
        with _looking(port, folder / "looks"):
            seconds, outcomes = await _burst(names, broker.replace("guest:guest", f"{PRODUCER}:{PRODUCER}"))
        looks = [float(line) for line in (folder / "looks").read_text(encoding="ascii").splitlines()]
        return Found(seconds, started_in, outcomes, looks, idle, memory(worker.pid)[1], _cpu(worker.pid) - before)


@contextmanager
def _worker(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "worker", "run", "--config", str(folder / "worker.toml")]
    with (folder / "worker.log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()


async def _until_ready(worker: subprocess.Popen[bytes], port: int) -> None:
    while True:
        assert worker.poll() is None, "the worker starts"
        with suppress(OSError):
            await asyncio.to_thread(_asked, port, "readyz")
            return
        await asyncio.sleep(0.1)


def _asked(port: int, path: str) -> float:
    """Seconds until the worker answered."""
    began = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as answer:
        answer.read()
    return time.monotonic() - began


@contextmanager
def _looking(port: int, found: Path) -> Iterator[None]:
    """Asks for `/livez` all the time, from a process of its own: this one is busy publishing."""
    command = [sys.executable, "-m", "benchmarks.scale", str(port), str(found)]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.terminate()


def look(port: int, found: Path) -> None:
    """How long each answer took, a line each: the loop's lag, and a little for HTTP."""
    with found.open("a", encoding="ascii", buffering=1) as file:
        while True:
            file.write(f"{_asked(port, 'livez')}\n")
            time.sleep(_LOOK_EVERY)


async def _burst(names: Sequence[str], url: str) -> tuple[float, Counter[str]]:
    """Everything published at once; until every one has its outcome."""
    outcomes: Counter[str] = Counter()
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        events = await channel.declare_queue(exclusive=True)
        await events.bind(_EVENTS, "#")
        renewals = await channel.get_exchange(_RENEWALS)
        told = asyncio.Event()

        async def hear(event: AbstractIncomingMessage) -> None:
            outcomes[json.loads(event.body)["data"]["outcome"]] += 1
            told.set()

        await events.consume(hear, no_ack=True)
        began = time.monotonic()
        await asyncio.gather(*(_publish(renewals, number, name) for number, name in enumerate(names)))
        while outcomes.total() < len(names):
            told.clear()
            await asyncio.wait_for(told.wait(), _PATIENCE)
        return time.monotonic() - began, outcomes


async def _publish(renewals: aio_pika.abc.AbstractExchange, number: int, name: str) -> None:
    leaf = number % _LEAVES
    sent = message(name, {"kind": "file", "chain": f"{leaf}.pem", "private_key": f"{leaf}.key"})
    body = aio_pika.Message(sent.body, delivery_mode=2, content_type=sent.content_type, user_id=PRODUCER)
    await renewals.publish(body, "certificate.renewed")


def _cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _rows(found: Found, names: Sequence[str], calls: int, refused: int, most: int) -> list[Row]:
    what = f"{len(names):,} certificates × {_DOMAINS} domains"  # noqa: RUF001 - times
    ideal = calls / _CALLS_PER_SECOND
    outcomes = ", ".join(f"{number:,} {outcome}" for outcome, number in found.outcomes.items())
    note = f"{calls:,} calls at {_CALLS_PER_SECOND}/s in {found.seconds:.1f} s"
    p99 = quantiles(found.looks, n=100)[98] * 1000
    return [
        at_most(_GROUP, what, found.seconds / ideal, "of the ideal", _AT_MOST, note),
        at_most(_GROUP, "refused", refused, "calls", 0),
        at_most(_GROUP, "most in any second", most, "calls", _CALLS_PER_SECOND),
        at_most(_GROUP, "not succeeded", len(names) - found.outcomes["succeeded"], "rotations", 0, outcomes),
        Row(_GROUP, "memory, most held", found.most, "MB", note=f"{found.idle:.0f} MB before the burst"),
        at_most(
            _GROUP, "/livez, p99", p99, "ms", 50.0, f"{len(found.looks)} looks; most {max(found.looks) * 1000:.0f} ms"
        ),
        Row(_GROUP, "processor time a rotation", found.cpu / len(names) * 1000, "ms"),
        Row(_GROUP, "start to ready", found.started_in, "s", note="with the settings of all certificates"),
    ]


if __name__ == "__main__":
    look(int(sys.argv[1]), Path(sys.argv[2]))
