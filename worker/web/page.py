"""The status page: the fleet at a glance, each certificate, and their news."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Final

from aiohttp import web

from worker.fleet.values import FleetSource
from worker.web import guarding
from worker.web.asked import Asked
from worker.web.certificate import CertificatePage, certificate_page
from worker.web.grading import Grading
from worker.web.live import Live, Shown
from worker.web.overview import Overview, overview
from worker.web.showing import (
    STATIC,
    VERSIONS,
    certificate_html,
    certificate_parts,
    missing_html,
    overview_html,
    overview_parts,
    path_of,
    static_file,
)

_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS: Final[Mapping[str, str]] = {
    **guarding.HEADERS,
    "Content-Security-Policy": "; ".join(f"{what} {whence}" for what, whence in _POLICY.items()),
}
_FOR_LONG: Final = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}


def add_page(app: web.Application, source: FleetSource) -> None:
    """The page and all that it asks for."""
    page = Page(source, Live(source.changed))
    app.add_routes(
        [
            web.get("/", page.overview),
            web.get("/live", page.overview_news, allow_head=False),
            web.get("/certificates/{name}", page.certificate),
            web.get("/certificates/{name}/live", page.certificate_news, allow_head=False),
            web.get("/static/{name}", static),
        ]
    )
    app.on_shutdown.append(page.live.close)


@dataclass(frozen=True, slots=True)
class Page:
    """Answers from the fleet as it is."""

    source: FleetSource
    live: Live
    grading: Grading = field(default_factory=Grading)

    async def overview(self, request: web.Request) -> web.Response:
        return _html(overview_html(await self._overview(Asked.of(request.query))))

    async def overview_news(self, request: web.Request) -> web.StreamResponse:
        return await self.live.follow(request, HEADERS, partial(self._overview_shown, Asked.of(request.query)))

    async def certificate(self, request: web.Request) -> web.Response:
        name, is_whole = request.match_info["name"], _is_whole(request)
        view = await self._certificate(name, is_whole=is_whole)
        if view is None:
            return _html(missing_html(name), HTTPStatus.NOT_FOUND)
        return _html(certificate_html(view, live=f"{path_of(name)}/live{'?bindings=all' if is_whole else ''}"))

    async def certificate_news(self, request: web.Request) -> web.StreamResponse:
        name, is_whole = request.match_info["name"], _is_whole(request)
        if await self.source.certificate(name) is None:
            return _html(missing_html(name), HTTPStatus.NOT_FOUND)
        return await self.live.follow(request, HEADERS, partial(self._certificate_shown, name, is_whole=is_whole))

    async def _overview(self, asked: Asked) -> Overview:
        fleet = await self.source.fleet()
        return overview(fleet, self.grading.ranked(fleet.certificates, fleet.at), asked)

    async def _overview_shown(self, asked: Asked) -> Shown:
        view = await self._overview(asked)
        return Shown(view.fleet.version, overview_parts(view), view.said)

    async def _certificate(self, name: str, *, is_whole: bool) -> CertificatePage | None:
        details = await self.source.certificate(name)
        return None if details is None else certificate_page(details, is_whole=is_whole)

    async def _certificate_shown(self, name: str, *, is_whole: bool) -> Shown | None:
        view = await self._certificate(name, is_whole=is_whole)
        return None if view is None else Shown(view.details.version, certificate_parts(view), view.said)


def _is_whole(request: web.Request) -> bool:
    return request.query.get("bindings") == "all"


def _html(text: str, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    response = web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)
    response.enable_compression()
    return response


async def static(request: web.Request) -> web.Response:
    """A file by its name; kept for long where the address says which version it is of."""
    name = request.match_info["name"]
    if name not in STATIC:
        raise web.HTTPNotFound(headers=HEADERS)
    is_of_now = request.query.get("v") == VERSIONS[name]
    headers = {**(_FOR_LONG if is_of_now else HEADERS), "Content-Type": f"{STATIC[name]}; charset=utf-8"}
    return web.Response(body=static_file(name), headers=headers)
