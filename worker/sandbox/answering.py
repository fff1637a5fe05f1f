"""What every simulated call goes through: throttle, faults, credentials, the work itself, the journal."""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from aiohttp import web

from worker.sandbox.world import Call, Fault, World

Work = Callable[[web.Request, Mapping[str, object]], "Result"]
Check = Callable[[web.Request, bytes], "Result | None"]
_SECRET_FIELDS = frozenset(
    {"private_key", "cert_content", "certificate", "chain", "trusted_root_ca", "password", "auth"}
)


@dataclass(frozen=True, slots=True)
class Result:
    """An answer of the simulated cloud; `body` None: none at all."""

    status: int
    body: object = None
    headers: Mapping[str, str] | None = None

    @property
    def is_good(self) -> bool:
        return self.status < 300  # noqa: PLR2004 - HTTP's own classes


class NoSuchBodyError(ValueError):
    """The body is no JSON object."""


@dataclass(frozen=True, slots=True)
class Answering:
    """One cloud's way of answering. `check` refuses before anything is done: throttle and credentials."""

    world: World
    check: Check
    malformed: Result
    latency: float = 0.0
    cloud: str = field(default="", kw_only=True)
    """A fault may be of every call of it."""
    told: Callable[[], Mapping[str, str]] = field(default=dict, kw_only=True)
    """Headers of every answer."""

    def route(self, operation: str, work: Work) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        self.world.operations.add(operation)

        async def answer(request: web.Request) -> web.StreamResponse:
            raw = await request.read()
            text = f"{request.path_qs} {raw.decode(errors='replace')}"
            await asyncio.sleep(self.latency)
            fault = self.world.fault_for(operation, self.cloud, text, after_effect=False)
            if fault is None:
                result = self._worked(request, raw, work)
                fault = self.world.fault_for(operation, self.cloud, text, after_effect=True)
            else:
                result = Result(fault.status, dict(fault.body), fault.headers)
            self._write_down(operation, request, raw, result)
            return await _sent(request, replace(result, headers={**self.told(), **(result.headers or {})}), fault)

        return answer

    def _worked(self, request: web.Request, raw: bytes, work: Work) -> Result:
        refusal = self.check(request, raw)
        if refusal is not None:
            return refusal
        try:
            return work(request, _object(raw))
        except NoSuchBodyError:
            return self.malformed

    def _write_down(self, operation: str, request: web.Request, raw: bytes, result: Result) -> None:
        try:
            asked = {name: value for name, value in _object(raw).items() if name not in _SECRET_FIELDS}
        except NoSuchBodyError:
            asked = {}
        facts = {**request.query, **asked}
        call = Call(time.monotonic(), operation, request.method, request.path, result.status, facts)
        self.world.journal.append(call)


def _object(raw: bytes) -> Mapping[str, object]:
    if not raw:
        return {}
    try:
        value = json.loads(raw)
    except ValueError:
        raise NoSuchBodyError from None
    if not isinstance(value, dict):
        raise NoSuchBodyError
    return value


async def _sent(request: web.Request, result: Result, fault: Fault | None) -> web.StreamResponse:
    kind = "answer" if fault is None else fault.kind
    headers = {"X-Request-Id": uuid.uuid4().hex, **(result.headers or {})}
    if fault is not None and fault.after_effect and kind == "answer":
        result = Result(fault.status, dict(fault.body))
        headers |= fault.headers
    if kind == "hang":
        await asyncio.sleep(3600)
    if kind in ("reset", "truncate") and request.transport is not None:
        if kind == "truncate":
            request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        request.transport.abort()
    if kind == "garbage":
        return web.Response(status=200, text="<html>busy</html>", headers=headers)
    if result.body is None:
        return web.Response(status=result.status, headers=headers)
    return web.json_response(result.body, status=result.status, headers=headers)
