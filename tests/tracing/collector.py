"""An OTLP collector on loopback that decodes what it is sent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

LONG: Final = 64 * 1024 * 1024
"""Bytes, far more than sockets hold."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A span."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    is_error: bool
    told: Mapping[str, Any]


@dataclass(slots=True)
class Collector:
    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    encoding: str | None = None
    """What its answers are said to be, which are `LONG` then, and are not."""
    sent: int = 0
    peers: set[object] = field(default_factory=set)
    accepted: str | None = None

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        self.peers.add(request.transport and request.transport.get_extra_info("peername"))
        self.accepted = request.headers.get("Accept-Encoding")
        if self.encoding is not None:
            return await self._answer_at_length(request, self.encoding)
        return web.Response(body=b"", content_type="application/x-protobuf")

    async def _answer_at_length(self, request: web.Request, encoding: str) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Encoding": encoding})
        await answer.prepare(request)
        with suppress(ConnectionError):
            while self.sent < LONG and (link := request.transport) is not None and not link.is_closing():
                await answer.write(bytes(64 * 1024))
                self.sent += 64 * 1024
                await asyncio.sleep(0)  # it is heard that nobody listens any more
        return answer

    @property
    def spans(self) -> list[Seen]:
        """In the order in which they ended."""
        found = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                told = {one.key: one.value.string_value for one in resource.resource.attributes}
                self.services.add(told["service.name"])
                found += [_seen(span) for scope in resource.scope_spans for span in scope.spans]
        return found


def _seen(span: Any) -> Seen:
    told = {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}
    ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
    return Seen(span.name, *ids, span.status.code == span.status.STATUS_CODE_ERROR, told)


@asynccontextmanager
async def collecting(tls: ssl.SSLContext | None = None) -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.add_routes([web.post("/v1/traces", collector.take)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        collector.url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
        yield collector
    finally:
        await runner.cleanup()
