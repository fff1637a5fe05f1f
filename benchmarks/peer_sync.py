"""The calls of one renewal as a task in a thread or a process makes them: one after the other, on a kept connection."""

import http.client
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_own = threading.local()


def spec_of(path: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return found


def messages_of(spec: Mapping[str, Any]) -> list[str]:
    return Path(spec["messages"]).read_text(encoding="ascii").splitlines()


def send_all(spec: Mapping[str, Any], body: str) -> None:
    renewal = json.loads(body)["data"]
    for step in spec["steps"]:
        for method, target, sent in step:
            _send(spec, method, target.replace("{id}", renewal["certificate"]), sent or _material(renewal))


def _material(renewal: Mapping[str, Any]) -> str:
    material = renewal["material"]
    stored = {"name": f"cert_{renewal['certificate']}", "type": "global", "cert_content": material["chain_pem"]}
    return json.dumps({**stored, "private_key": material["private_key_pem"]})


def _send(spec: Mapping[str, Any], method: str, target: str, body: str) -> None:
    link = _connection(spec)
    link.request(method, target, body, {"X-Auth-Token": spec["token"], "Content-Type": "application/json"})
    answer = link.getresponse()
    content = answer.read()
    assert answer.status < 300, answer.status
    if content:
        json.loads(content)


def _connection(spec: Mapping[str, Any]) -> http.client.HTTPConnection:
    """One a thread."""
    if not hasattr(_own, "link"):
        _own.link = http.client.HTTPConnection(urlsplit(spec["endpoint"]).netloc)
    link: http.client.HTTPConnection = _own.link
    return link
