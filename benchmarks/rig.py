"""The minimum rotation, and what it is measured with: messages, settings, a private broker, contestants as processes.

A contestant is a process of its own that takes messages from a full queue, makes the calls of each against the
stand-in, publishes an event and waits for its confirm, and acks. Counted are the events that come, from the first tenth
on until the queue runs dry, and the processor time of the contestant with its children over the same span.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from benchmarks.standin import PROJECT, TOKEN, ZONE, Standin, running
from tests.support.judging import kept_by_all
from worker.broker import open_broker
from worker.core.secret import Secret
from worker.sandbox.ca import Authority
from worker.sandbox.rabbit_node import SERVER, RabbitNode
from worker.settings.model import Broker, Retry

DOMAINS: Final = 10
IN_FLIGHT: Final = 32
CERTIFICATES: Final = 256
"""Messages go round them: two of one certificate are never in flight together."""
RENEWED: Final = "certificate.renewed"
_PATIENCE: Final = 180.0
"""Seconds: a contestant that is not done by then has lost messages."""
_SETTLED: Final = 2.0
"""Seconds that a quorum queue is given after its declaration."""
_LAST_ACK: Final = 0.5
"""Seconds for the acks that follow the last event."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the worker sends it; `{id}` stands for the certificate's id. A PUT's body is left out."""

    method: str
    target: str
    body: str = ""


Steps = Sequence[Sequence[Call]]
"""One after the other; the calls within one together."""


@dataclass(frozen=True, slots=True)
class Rig:
    """One broker with its objects, and the messages."""

    folder: Path
    amqp: str
    objects: Broker
    messages: Sequence[bytes]
    roots: Path
    password: Path
    steps: Steps = ()
    event: str = "{}"

    def spec(self, standin: Standin, steps: Steps) -> Path:
        """What a contestant that is no worker needs to know, as a file."""
        told = {
            "amqp": self.amqp,
            "queue": self.objects.queue,
            "events": self.objects.events_exchange,
            "endpoint": standin.endpoint,
            "token": TOKEN,
            "in_flight": IN_FLIGHT,
            "event": self.event,
            "messages": str(self.folder / "messages"),
            "steps": [[[call.method, call.target, call.body] for call in step] for step in steps],
        }
        path = self.folder / f"spec-{standin.port}.json"
        path.write_text(json.dumps(told), encoding="utf-8")
        return path


@dataclass(frozen=True, slots=True)
class Contestant:
    """`command` gives argv for a stand-in; `enqueue` is its own way to fill its queue, where it has one."""

    name: str
    command: Callable[[Rig, Standin], Sequence[str]]
    enqueue: Callable[[Rig, Standin], Sequence[str]] | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass showed."""

    rate: float
    """Rotations a second."""
    cpu: float
    """Processor seconds a rotation."""
    calls: float
    """Calls a rotation."""


@contextmanager
def rig(count: int) -> Iterator[Rig]:
    """A broker with its objects and `count` messages, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="rotation-bench-") as name, _broker(Path(name)) as amqp:
        folder = Path(name)
        authority = Authority.create("Bench")
        roots, password = folder / "roots.pem", folder / "password"
        roots.write_text(authority.root_pem, encoding="ascii")
        password.write_text("made-up", encoding="ascii")
        password.chmod(0o600)
        messages = [_message(authority, number) for number in range(count)]
        (folder / "messages").write_bytes(b"\n".join(messages))
        objects = Broker(url=amqp, prefetch=IN_FLIGHT)
        asyncio.run(_declare(objects, amqp))
        time.sleep(_SETTLED)
        yield Rig(folder, amqp, objects, messages, roots, password)


@contextmanager
def _broker(folder: Path) -> Iterator[str]:
    """The one that the environment names, which must be empty, else a private one."""
    named = os.environ.get("ROTATION_TEST_AMQP_URL")
    if named:
        yield named
        return
    assert SERVER.exists(), "RabbitMQ is not installed"
    node = RabbitNode.below(folder / "rabbitmq")
    node.start()
    try:
        yield node.url
    finally:
        node.stop()


async def _declare(objects: Broker, amqp: str) -> None:
    broker = open_broker(objects, Secret(amqp), Retry(), exposes=kept_by_all)
    await broker.declare()
    await broker.close()


def certificate_id(number: int) -> str:
    return f"d{DOMAINS}-{number % CERTIFICATES}"


def _message(authority: Authority, number: int) -> bytes:
    """A renewal with a leaf of its own, newer than those before it."""
    begins = datetime.now(UTC).replace(microsecond=0) - timedelta(days=40) + timedelta(seconds=number)
    issued = authority.issue([f"*.{ZONE}"], not_before=begins)
    material = {"kind": "plain", "chain_pem": issued.chain_pem, "private_key_pem": issued.private_key_pem}
    event = {
        "specversion": "1.0",
        "id": f"renewal-{number}",
        "source": "/bench",
        "type": RENEWED,
        "data": {"certificate": certificate_id(number), "material": material},
    }
    return json.dumps(event).encode()


def worker_settings(rig: Rig, standin: Standin, iam: str) -> Path:
    """Settings of a worker whose limits never bind. Two windows, as by default."""
    limits = "limits = [{calls = 1000000, seconds = 1}, {calls = 10000000, seconds = 10}]"
    lines = [
        f"[broker]\nurl = {json.dumps(rig.amqp)}\nprefetch = {IN_FLIGHT}",
        f"[trust]\nallow_plain_keys = true\nca_bundle = {json.dumps(str(rig.roots))}",
        '[http]\nlisten = "127.0.0.1:0"',
        f'[gateways.apig]\nkind = "huawei_apig"\nendpoint = {json.dumps(standin.endpoint)}\nproject_id = "{PROJECT}"',
        f"domains_per_attach = 1\nconcurrency = 1000\n{limits}",
        f'[gateways.apig.auth]\nkind = "password"\niam_endpoint = {json.dumps(iam)}\naccount = "a"\nuser = "u"',
        f'project = "p"\npassword_file = {json.dumps(str(rig.password))}',
    ]
    for name in (certificate_id(number) for number in range(CERTIFICATES)):
        lines += [f'[certificates."{name}"]\nproducers = ["guest"]', f'[[certificates."{name}".deployments]]']
        lines += [f'gateway = "apig"\ncertificate_id = "{name}"\ndomains = "attached"']
    path = rig.folder / f"worker-{standin.port}.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def compare(
    rig: Rig, contestants: Sequence[Contestant], *, latency: float, rounds: int
) -> Mapping[str, Sequence[Pass]]:
    """All in turn, `rounds` times; the order turns too."""
    found: dict[str, list[Pass]] = {one.name: [] for one in contestants}
    for number in range(rounds):
        shift = number % len(contestants)
        for one in (*contestants[shift:], *contestants[:shift]):
            measured = run_once(rig, one, latency=latency)
            print(f"  {one.name}: {measured.rate:.0f}/s, {measured.cpu * 1000:.2f} ms", file=sys.stderr, flush=True)
            found[one.name].append(measured)
    return found


def run_once(rig: Rig, one: Contestant, *, latency: float) -> Pass:
    with running(latency=latency, domains=DOMAINS) as standin:
        timed = asyncio.run(_timed(rig, one, standin))
        return replace(timed, calls=standin.report()["total"] / len(rig.messages))


def rate(passes: Sequence[Pass]) -> float:
    return median(one.rate for one in passes)


def cpu(passes: Sequence[Pass]) -> float:
    return median(one.cpu for one in passes)


async def _timed(rig: Rig, one: Contestant, standin: Standin) -> Pass:
    connection = await aio_pika.connect(rig.amqp)
    async with connection:
        channel = await connection.channel()
        # The same renewals as in the pass before: a worker that remembers those refuses them as replayed.
        await channel.queue_delete(rig.objects.history_stream)
        await _declare(rig.objects, rig.amqp)
        if one.enqueue is None:
            await fill(channel, rig)
        else:
            await asyncio.to_thread(subprocess.run, one.enqueue(rig, standin), check=True)
        count = _Count(len(rig.messages))
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(rig.objects.events_exchange, "#")
        await queue.consume(count.heard, no_ack=True)
        with _process(one.command(rig, standin)) as process:
            count.pid = process.pid
            await _ended(count, process)
            await asyncio.sleep(_LAST_ACK)
        await (await channel.get_queue(rig.objects.queue, ensure=False)).purge()
    return count.result()


async def _ended(count: "_Count", process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _PATIENCE
    while not count.all_here.is_set():
        assert process.poll() is None, "the contestant has ended"
        assert time.monotonic() < end, f"{count.seen} of {count.wanted} events came"
        with_time = asyncio.wait_for(count.all_here.wait(), 1)
        await asyncio.gather(with_time, return_exceptions=True)


async def fill(channel: AbstractChannel, rig: Rig) -> None:
    """Confirmed, a hundred at once."""
    exchange = await channel.get_exchange(rig.objects.exchange, ensure=False)
    for start in range(0, len(rig.messages), 100):
        await asyncio.gather(
            *(exchange.publish(_outgoing(body), RENEWED) for body in rig.messages[start : start + 100])
        )


def _outgoing(body: bytes) -> aio_pika.Message:
    return aio_pika.Message(
        body,
        content_type="application/cloudevents+json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        user_id="guest",
    )


@dataclass(slots=True)
class _Count:
    """Events as they come, with the time and the contestant's effort at the two ends of what is measured."""

    wanted: int
    pid: int = 0
    seen: int = 0
    began: tuple[float, float] = (0.0, 0.0)
    ended: tuple[float, float] = (0.0, 0.0)
    last: bytes = b""
    all_here: asyncio.Event = field(default_factory=asyncio.Event)

    async def heard(self, message: AbstractIncomingMessage) -> None:
        assert message.routing_key == "certificate.rotation.succeeded", message.body
        self.seen += 1
        if self.seen == self._first:
            self.began = (time.monotonic(), cpu_seconds(self.pid))
        if self.seen == self._last:
            self.ended = (time.monotonic(), cpu_seconds(self.pid))
        if self.seen == self.wanted:
            self.last = message.body
            self.all_here.set()

    @property
    def _first(self) -> int:
        return max(self.wanted // 10, 1)

    @property
    def _last(self) -> int:
        """While the queue still fills all places."""
        return max(self.wanted - IN_FLIGHT, self._first + 1)

    def result(self) -> Pass:
        done = self._last - self._first
        return Pass(done / (self.ended[0] - self.began[0]), (self.ended[1] - self.began[1]) / done, 0.0)


def cpu_seconds(pid: int) -> float:
    """Of a process and its living descendants."""
    own = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return (int(own[11]) + int(own[12])) / _TICKS + sum(cpu_seconds(int(child)) for child in children)


@contextmanager
def _process(command: Sequence[str]) -> "Iterator[subprocess.Popen[bytes]]":
    """Ends by SIGTERM; its words are shown when it fails."""
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(command, stdout=told, stderr=told)
        try:
            yield process
        except BaseException:
            told.seek(0)
            sys.stderr.write(told.read()[-4000:].decode(errors="replace"))
            raise
        finally:
            _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def one_event(rig: Rig, command: Sequence[str], body: bytes) -> str:
    """Lets a worker rotate once, and gives its event."""
    connection = await aio_pika.connect(rig.amqp)
    async with connection:
        channel = await connection.channel()
        count = _Count(1)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(rig.objects.events_exchange, "#")
        await queue.consume(count.heard, no_ack=True)
        await (await channel.get_exchange(rig.objects.exchange)).publish(_outgoing(body), RENEWED)
        with _process(command) as process:
            count.pid = process.pid
            await _ended(count, process)
            await asyncio.sleep(_LAST_ACK)
    return count.last.decode()
