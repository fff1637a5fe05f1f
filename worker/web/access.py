"""Who may see what the worker serves; and headers that let a browser do nothing else with it."""

import base64
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware
from yarl import URL

from worker.core.errors import RotationError
from worker.settings import SettingsError
from worker.settings.credentials import read_secret
from worker.settings.http import Http
from worker.settings.listening import host_of, is_loopback

_log = structlog.get_logger()
_SHORTEST: Final = 16
"""Characters of a token: shorter ones can be guessed."""
PROBES: Final = ("/livez", "/readyz")
HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Where a page needs to allow itself more, it says so."""
_HSTS: Final = {"Strict-Transport-Security": "max-age=31536000"}
_ASKED: Final = ('Bearer realm="rotation-worker"', 'Basic realm="rotation-worker", charset="UTF-8"')
"""A header each: in one, Chromium would see the first alone, and ask nobody for a password."""
_UNGUARDED: Final = "not served here: set http.token_file or http.client_ca_file"
_OTHER_HOST: Final = "asked for as another host: behind a proxy set http.token_file, and http.listen as it is"
_Answers = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Guard:
    """Of one listening socket."""

    http: Http

    def check(self) -> None:
        """Raises SettingsError for a token that is none."""
        if self.http.token_file is not None:
            try:
                token = self._token()
            except RotationError as error:
                raise SettingsError([error.message]) from None
            if len(token) < _SHORTEST:
                raise SettingsError(
                    [f"http.token_file: under {_SHORTEST} characters: `openssl rand -hex 32` makes one"]
                )

    def _token(self) -> str:
        """Read when it is asked for: it may be replaced."""
        return "" if self.http.token_file is None else read_secret(self.http.token_file, "http.token_file").reveal()

    def objection(self, request: web.Request) -> web.Response | None:
        """Why the request is not served; None where it is."""
        if self.http.is_guarded:
            return None if self._is_known(request) else _refused(HTTPStatus.UNAUTHORIZED, "who asks?")
        if not is_loopback(host_of(self.http.listen)):
            return _refused(HTTPStatus.NOT_FOUND, _UNGUARDED)
        # Any name may lead to loopback, so that a page elsewhere could read this one with the browser of who sees both.
        return None if _is_own(request.headers.get("Host", "")) else _refused(HTTPStatus.FORBIDDEN, _OTHER_HOST)

    def _is_known(self, request: web.Request) -> bool:
        if self.http.client_ca_file is not None and request.get_extra_info("peercert"):
            return True
        if self.http.token_file is None:
            return False
        try:
            token = self._token()
        except RotationError as error:
            _log.error("http.token_unreadable", error=error.message)
            return False
        given = _given(request.headers.get("Authorization", ""))
        # Whoever asks may send any bytes: what is no UTF-8 comes as surrogates.
        return hmac.compare_digest(given.encode(errors="surrogateescape"), token.encode())

    def middleware(self) -> Middleware:
        """Probes are answered whoever asks, but without details to strangers."""

        @web.middleware
        async def guarded(request: web.Request, handler: _Answers) -> web.StreamResponse:
            objection = self.objection(request)
            if objection is None:
                return await handler(request)
            if request.path in PROBES:
                return _without_details(await handler(request))
            return objection

        return guarded

    async def add_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        """To whatever is answered to a request; to errors, too."""
        self.dress(response)

    def dress(self, response: web.StreamResponse) -> None:
        for name, value in {**HEADERS, **(_HSTS if self.http.cert_file is not None else {})}.items():
            response.headers.setdefault(name, value)
        response.headers["Server"] = "rotation-worker"  # else it says which version of what serves it

    def garbled(self, status: HTTPStatus) -> web.Response:
        """To what is no request at all, or broke off in the worker: without a word of what was sent."""
        response = _refused(status, status.description)
        self.dress(response)
        response.force_close()
        return response


def _given(authorization: str) -> str:
    """The token, or the password of anybody; empty where there is none."""
    kind, _, given = authorization.partition(" ")
    match kind.lower():
        case "bearer":
            return given.strip()
        case "basic":
            try:
                return base64.b64decode(given.strip(), validate=True).decode().partition(":")[2]
            except ValueError:  # no base64, no ASCII, or no text in it
                return ""
        case _:
            return ""


def _is_own(host: str) -> bool:
    """Whether a Host header names loopback."""
    try:
        named = URL(f"http://{host}").host or ""
    except ValueError:
        return False
    return is_loopback(named) or named.endswith(".localhost")


def _refused(status: HTTPStatus, why: str) -> web.Response:
    response = web.json_response({"error": {"reason": status.phrase.lower(), "message": why}}, status=status)
    for asked in _ASKED if status is HTTPStatus.UNAUTHORIZED else ():
        response.headers.add("WWW-Authenticate", asked)
    return response


def _without_details(answer: web.StreamResponse) -> web.Response:
    status = "ready" if answer.status == HTTPStatus.OK else "not ready"
    return web.json_response({"status": status}, status=answer.status)
