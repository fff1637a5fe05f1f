"""What the worker really sends for one rotation, recorded, so that others can send the very same."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from benchmarks.rig import Call, Rig, Steps, certificate_id, one_event, worker_settings
from benchmarks.standin import TOKEN, Arrivals, Cloud, Connection, Standin

_LATENCY: Final = 0.1
"""Seconds until an answer comes: calls that begin within half of it do not wait for each other."""


@dataclass(slots=True)
class RecordingCloud(Cloud):
    """Keeps every call with its time."""

    heard: list[tuple[float, Call]] = field(default_factory=list)

    def answer(self, method: str, target: str, head: bytes, body: bytes) -> tuple[int, bytes]:
        kept = "" if method == "PUT" else body.decode()
        own = target.replace(certificate_id(0), "{id}")
        self.heard.append((time.monotonic(), Call(method, own, kept)))
        return Cloud.answer(self, method, target, head, body)


class _Iam(BaseHTTPRequestHandler):
    """Gives everybody the stand-in's token."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"token": {"expires_at": "2037-01-01T00:00:00.000000Z"}}).encode()
        self.send_response(201)
        self.send_header("X-Subject-Token", TOKEN)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """It is asked once a pass."""


@contextmanager
def iam() -> Iterator[str]:
    """IAM's endpoint inside the block, in a thread: it has next to nothing to do."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Iam)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def recorded(rig: Rig, script: Path, iam_endpoint: str) -> Rig:
    """The rig with the calls of one rotation and the event that tells of it. `script`: rotation-worker."""
    return asyncio.run(_recorded(rig, script, iam_endpoint))


async def _recorded(rig: Rig, script: Path, iam_endpoint: str) -> Rig:
    cloud = RecordingCloud(10, Arrivals())
    server = await asyncio.get_running_loop().create_server(lambda: Connection(cloud, _LATENCY), "127.0.0.1", 0)
    async with server:
        standin = Standin(0, server.sockets[0].getsockname()[1])
        command = [str(script), "run", "--config", str(worker_settings(rig, standin, iam_endpoint))]
        event = await one_event(rig, command, rig.messages[0])
    return replace(rig, steps=_steps(cloud.heard), event=event)


def _steps(heard: Sequence[tuple[float, Call]]) -> Steps:
    steps: list[list[Call]] = []
    began = float("-inf")
    for at, call in heard:
        if at - began > _LATENCY / 2:
            steps.append([])
            began = at
        steps[-1].append(call)
    return steps
