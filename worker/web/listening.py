"""The listening socket: whatever is sent there is answered in our words, with our headers, be it a request or not."""

from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from worker.web.access import Guard

_SILENT: Final = None
"""Nobody needs a line for each request."""
_CONTINUE: Final = "100-continue"


class _Connection(web.RequestHandler):
    """aiohttp itself would answer garbage with its version, without our headers, and with some of what it was sent."""

    __slots__ = ("_guard",)

    def __init__(self, server: web.Server, guard: Guard, **options: Any) -> None:
        super().__init__(server, **options)
        self._guard = guard

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            super().handle_error(request, status, exc, message)  # the log tells of the bug
        elif request.writer.output_size > 0:
            raise ConnectionError  # too late for another answer
        return self._guard.garbled(HTTPStatus(status))


class _Server(web.Server):
    def __init__(self, server: web.Server, guard: Guard) -> None:
        async def heard(request: web.BaseRequest) -> web.StreamResponse:
            # Else that is answered before the guard has seen it, with what was sent.
            if request.headers.get("Expect", _CONTINUE).lower() != _CONTINUE:
                return guard.garbled(HTTPStatus.EXPECTATION_FAILED)
            return await server.request_handler(request)

        super().__init__(heard, request_factory=server.request_factory, access_log=_SILENT)
        self._guard = guard

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._guard, loop=self._loop, **self._kwargs)


class GuardedRunner(web.AppRunner):
    """Of an application behind a guard."""

    __slots__ = ("_guard",)

    def __init__(self, app: web.Application, guard: Guard, *, leaving_seconds: float) -> None:
        super().__init__(app, shutdown_timeout=leaving_seconds)
        self._guard = guard

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server(), self._guard)
