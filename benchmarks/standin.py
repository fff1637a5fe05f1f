"""A stand-in for the cloud, fast enough not to be what is measured, in a process of its own.

`python -m benchmarks.standin --latency 0.03` prints its port; `running()` does that and gives a handle. It knows every
certificate id. What stands there is told by the id's first part: `d20-x` has 20 domains, `missing-x` is not there,
`sick-x` answers 503, `newer-x` holds a certificate newer than any that is sent; others have `--domains` of them.
"""

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from cryptography import x509

PROJECT: Final = "bench"
TOKEN: Final = "bench-token"  # noqa: S105 - made up
ZONE: Final = "bench.example"
"""Every domain is a name directly below it: a certificate for `*.bench.example` covers all."""
_CERTIFICATES: Final = f"/v2/{PROJECT}/apigw/certificates/"
_LONGEST_PAGE: Final = 500
_REASONS: Final = {200: "OK", 204: "No Content", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
_COUNTED: Final = re.compile(r"d(\d+)-")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_LEAF: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

Facts = Mapping[str, object]


@dataclass(slots=True)
class Arrivals:
    """When calls came (monotonic seconds), and what a strict sliding window says to them."""

    limits: Sequence[tuple[int, float]] = ()
    at: "array[float]" = field(default_factory=lambda: array("d"))
    calls: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    attached: int = 0
    _taken: list[deque[float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._taken = [deque() for _ in self.limits]

    def refusal(self, operation: str, now: float) -> str | None:
        """Counts the call; the vendor's words when it is one too many."""
        self.at.append(now)
        self.calls[operation] += 1
        for (calls, seconds), taken in zip(self.limits, self._taken, strict=True):
            while taken and taken[0] <= now - seconds:
                taken.popleft()
            if len(taken) >= calls:
                self.refused += 1
                return (
                    "The throttling threshold has been reached: policy user over ratelimit,"
                    f"limit:{calls},time:{seconds:g} second"
                )
        for taken in self._taken:
            taken.append(now)
        return None

    def most_within(self, seconds: float) -> int:
        """The most calls that came in any half-open span of so many seconds."""
        most, first = 0, 0
        for last, now in enumerate(self.at):
            while self.at[first] <= now - seconds:
                first += 1
            most = max(most, last - first + 1)
        return most

    def report(self, windows: Sequence[float]) -> Facts:
        return {
            "calls": dict(self.calls),
            "total": len(self.at),
            "refused": self.refused,
            "attached": self.attached,
            "first": self.at[0] if self.at else None,
            "last": self.at[-1] if self.at else None,
            "most": {f"{seconds:g}": self.most_within(seconds) for seconds in windows},
            "cpu": time.process_time(),
        }


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _leaf(serial: int, begins: datetime, ends: datetime) -> Facts:
    return {"serial_number": str(serial), "not_before": _time(begins), "not_after": _time(ends)}


@lru_cache(maxsize=4096)
def _facts_of(chain_pem: str) -> Facts:
    found = _LEAF.search(chain_pem)
    assert found is not None, "what is stored is a certificate"
    leaf = x509.load_pem_x509_certificate(found[0].encode())
    return _leaf(leaf.serial_number, leaf.not_valid_before_utc, leaf.not_valid_after_utc)


@lru_cache(maxsize=64)
def _page(count: int, offset: int, limit: int) -> bytes:
    """Domains by number: the pages of all certificates with as many are the same."""
    numbers = range(offset, min(offset + min(limit, _LONGEST_PAGE), count))
    rows = [
        {
            "url_domain": f"h{number}.{ZONE}",
            "id": f"domain{number}",
            "status": 3,
            "min_ssl_version": "TLSv1.2",
            "is_http_redirect_to_https": False,
            "verified_client_certificate_enabled": False,
            "ssl_id": "",
            "ssl_name": "",
            "api_group_id": "group1",
            "instance_id": "instance1",
        }
        for number in numbers
    ]
    return json.dumps({"size": len(rows), "total": count, "bound_domains": rows}).encode()


def _refused(code: str, text: str) -> bytes:
    return json.dumps({"error_code": code, "error_msg": text}).encode()


@dataclass(slots=True)
class Cloud:
    """Answers calls: status and body."""

    domains: int
    arrivals: Arrivals
    stored: dict[str, Facts] = field(default_factory=dict)

    def answer(self, method: str, target: str, head: bytes, body: bytes) -> tuple[int, bytes]:
        path, _, query = target.partition("?")
        certificate_id, _, rest = path.removeprefix(_CERTIFICATES).partition("/")
        operation, work = _WORK.get((method, rest), ("unknown", None))
        refusal = self.arrivals.refusal(operation, time.monotonic())
        if refusal is not None:
            return 429, _refused("APIG.0308", refusal)
        if TOKEN.encode() not in head and b"uthorization:" not in head:
            return 401, _refused("APIG.1002", "Incorrect token or token resolution failed")
        if certificate_id.startswith("sick-"):
            return 503, _refused("APIG.9999", "System error")
        if work is None or not path.startswith(_CERTIFICATES) or certificate_id.startswith("missing-"):
            return 404, _refused("APIG.3021", "The certificate does not exist")
        return work(self, certificate_id, query, body)

    def show(self, certificate_id: str, _query: str, _body: bytes) -> tuple[int, bytes]:
        return 200, self._shown(certificate_id)

    def _shown(self, certificate_id: str) -> bytes:
        told = {
            "id": certificate_id,
            "name": f"cert_{certificate_id.replace('-', '_')[:40]}",
            "type": "global",
            "instance_id": "common",
            "project_id": PROJECT,
            "common_name": f"*.{ZONE}",
            "san": [f"*.{ZONE}"],
            "is_has_trusted_root_ca": False,
            "version": 3,
        }
        return json.dumps({**told, **(self.stored.get(certificate_id) or _before(certificate_id))}).encode()

    def modify(self, certificate_id: str, _query: str, body: bytes) -> tuple[int, bytes]:
        self.stored[certificate_id] = _facts_of(json.loads(body)["cert_content"])
        return 200, self._shown(certificate_id)

    def bound(self, certificate_id: str, query: str, _body: bytes) -> tuple[int, bytes]:
        asked = parse_qs(query)
        counted = _COUNTED.match(certificate_id)
        count = int(counted[1]) if counted else self.domains
        offset, limit = (int(asked.get(name, [default])[0]) for name, default in (("offset", "0"), ("limit", "20")))
        return 200, _page(count, offset, limit)

    def attach(self, _certificate_id: str, _query: str, body: bytes) -> tuple[int, bytes]:
        self.arrivals.attached += len(json.loads(body)["domains"])
        return 204, b""


_NOW: Final = datetime.now(UTC)


def _before(certificate_id: str) -> Facts:
    """What stands there before anything was sent."""
    if certificate_id.startswith("newer-"):
        return _leaf(2, _NOW + timedelta(days=30), _NOW + timedelta(days=1000))
    return _leaf(1, _NOW - timedelta(days=80), _NOW + timedelta(days=10))


_Work = Callable[[Cloud, str, str, bytes], tuple[int, bytes]]
_WORK: Final[Mapping[tuple[str, str], tuple[str, _Work]]] = {
    ("GET", ""): ("show_certificate", Cloud.show),
    ("PUT", ""): ("modify_certificate", Cloud.modify),
    ("GET", "attached-domains"): ("list_domains", Cloud.bound),
    ("POST", "domains/attach"): ("attach_domains", Cloud.attach),
}


class Connection(asyncio.Protocol):
    """HTTP/1.1 with bodies of a told length, one request after the other; each is answered after `latency`."""

    def __init__(self, cloud: Cloud, latency: float) -> None:
        self._cloud = cloud
        self._latency = latency
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (request := self._next()) is not None:
            method, target, head, body = request
            if target.startswith("/_control/"):
                self._send(200, _controlled(self._cloud, target))
                continue
            status, answer = self._cloud.answer(method, target, head, body)
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._send, status, answer)
            else:
                self._send(status, answer)

    def _next(self) -> tuple[str, str, bytes, bytes] | None:
        """Method, target, head and body of the next whole request."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self._buffer[:end]
        length = _LENGTH.search(head)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < whole:
            return None
        body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
        method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ", 2)
        return method, target, head, body

    def _send(self, status: int, body: bytes) -> None:
        if self._transport is None:
            return
        kind = "Content-Type: application/json\r\n" if body else ""
        length = "" if status == 204 else f"Content-Length: {len(body)}\r\n"
        head = f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\n{kind}{length}X-Request-Id: 0123456789\r\n\r\n"
        self._transport.write(head.encode() + body)


def _controlled(cloud: Cloud, target: str) -> bytes:
    """`/_control/report?window=1&window=60`, and `/_control/reset` to count anew."""
    asked = urlsplit(target)
    if asked.path.endswith("/reset"):
        cloud.arrivals = Arrivals(cloud.arrivals.limits)
        return b"{}"
    return json.dumps(cloud.arrivals.report([float(one) for one in parse_qs(asked.query).get("window", [])])).encode()


async def serve(host: str, port: int, cloud: Cloud, latency: float) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(lambda: Connection(cloud, latency), host, port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()


def _limit(text: str) -> tuple[int, float]:
    calls, _, seconds = text.partition("/")
    return int(calls), float(seconds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.standin", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: the system chooses")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--domains", type=int, default=10, help="bound to a certificate whose id does not tell")
    parser.add_argument("--limit", type=_limit, action="append", default=[], help="CALLS/SECONDS, strict; repeatable")
    args = parser.parse_args()
    with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
        runner.run(serve("127.0.0.1", args.port, Cloud(args.domains, Arrivals(args.limit)), args.latency))
    return 0


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    new: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return new


@dataclass(frozen=True, slots=True)
class Standin:
    """A stand-in that runs."""

    pid: int
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def report(self, *windows: float) -> Mapping[str, Any]:
        """What came so far; `most` has the most calls in any span of each of `windows` seconds."""
        asked = "&".join(f"window={one:g}" for one in windows)
        return self._asked(f"report?{asked}")

    def reset(self) -> None:
        self._asked("reset")

    def _asked(self, what: str) -> Mapping[str, Any]:
        with urllib.request.urlopen(f"{self.endpoint}/_control/{what}", timeout=60) as answer:  # noqa: S310 - our own
            found: Mapping[str, Any] = json.load(answer)
        return found


@contextmanager
def running(*, latency: float = 0.0, domains: int = 10, limits: Sequence[tuple[int, float]] = ()) -> Iterator[Standin]:
    """A stand-in of one's own inside the block."""
    options = [f"--latency={latency}", f"--domains={domains}", *(f"--limit={calls}/{span}" for calls, span in limits)]
    command = [sys.executable, "-m", "benchmarks.standin", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Standin(process.pid, int(process.stdout.readline()))
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
