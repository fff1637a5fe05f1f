"""The status page: the fleet at a glance, each certificate, and their news."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Final

from aiohttp import web

from worker.fleet.values import FleetSource
from worker.web import access
from worker.web.certificate import CertificatePage, certificate_page
from worker.web.live import Live, PageSnapshot
from worker.web.overview import Overview, overview
from worker.web.query import PageQuery
from worker.web.ranking import Ranking, find
from worker.web.rendering import (
    STATIC,
    VERSIONS,
    certificate_html,
    certificate_parts,
    load_templates,
    missing_html,
    overview_html,
    overview_parts,
    path_of,
    static_file,
)
from worker.web.sharing import Sharing

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
    **access.HEADERS,
    "Content-Security-Policy": "; ".join(f"{what} {whence}" for what, whence in _POLICY.items()),
}
_FOR_LONG: Final = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}


def add_page(app: web.Application, source: FleetSource) -> None:
    """The page and all that it asks for."""
    load_templates()
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
    ranking: Ranking = field(default_factory=Ranking)
    sharing: Sharing = field(default_factory=Sharing)

    async def overview(self, request: web.Request) -> web.Response:
        return _html(await overview_html(await self._overview(PageQuery.of(request.query))))

    async def overview_news(self, request: web.Request) -> web.StreamResponse:
        asked = PageQuery.of(request.query)
        make = partial(self._overview_shown, asked)
        return await self.live.follow(request, HEADERS, partial(self.sharing.shown, asked, make))

    async def certificate(self, request: web.Request) -> web.Response:
        name, is_whole = request.match_info["name"], _is_whole(request)
        view = await self._certificate(name, is_whole=is_whole)
        if view is None:
            return _html(missing_html(name), HTTPStatus.NOT_FOUND)
        return _html(await certificate_html(view, live=f"{path_of(name)}/live{'?bindings=all' if is_whole else ''}"))

    async def certificate_news(self, request: web.Request) -> web.StreamResponse:
        name, is_whole = request.match_info["name"], _is_whole(request)
        if await self.source.certificate(name) is None:
            return _html(missing_html(name), HTTPStatus.NOT_FOUND)
        make = partial(self._certificate_shown, name, is_whole=is_whole)
        return await self.live.follow(request, HEADERS, partial(self.sharing.shown, (name, is_whole), make))

    async def _overview(self, asked: PageQuery) -> Overview:
        fleet = await self.source.fleet()
        ranked = await self.ranking.ranked(fleet.certificates, fleet.at)
        return overview(fleet, ranked, await find(ranked, asked), asked)

    async def _overview_shown(self, asked: PageQuery) -> PageSnapshot:
        view = await self._overview(asked)
        return PageSnapshot(view.fleet.version, await overview_parts(view), view.said)

    async def _certificate(self, name: str, *, is_whole: bool) -> CertificatePage | None:
        details = await self.source.certificate(name)
        return None if details is None else certificate_page(details, is_whole=is_whole)

    async def _certificate_shown(self, name: str, *, is_whole: bool) -> PageSnapshot | None:
        view = await self._certificate(name, is_whole=is_whole)
        if view is None:
            return None
        return PageSnapshot(view.details.version, await certificate_parts(view, is_news=True), view.said)


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
