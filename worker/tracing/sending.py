"""How spans leave: by OTLP over HTTP, under TLS of ours, and by no proxy that the environment names."""

import ssl
from collections.abc import Callable
from io import BytesIO
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExporter
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

Contexts = Callable[[], ssl.SSLContext]
_TLS: Final = "https"
_LONGEST: Final = 16 * 1024
"""Bytes of an answer: that spans were taken is said in some tens."""


def sending(contexts: Contexts) -> SpanExporter:
    """To the collector that the environment names. `contexts` is asked for each request; OSError: it is not sent."""
    session = Session()
    # A proxy that the environment names would get the collector's key, and so would a host of ~/.netrc.
    session.trust_env = False
    session.headers["Accept-Encoding"] = "identity"
    session.mount(f"{_TLS}://", _Verified(contexts))
    session.mount("http://", _Bounded())
    return OTLPSpanExporter(session=session)


class _Bounded(HTTPAdapter):
    """The library reads answers whole, and inflates them, whatever was asked for."""

    def send(self, *what: Any, **how: Any) -> Response:
        response = super().send(*what, **how)
        try:
            begin = response.raw.read(_LONGEST, decode_content=False)
        finally:
            response.raw.close()
        response.raw = BytesIO(begin)
        return response


class _Verified(_Bounded):
    """The library's own contexts have the keys of connections written where SSLKEYLOGFILE says."""

    def __init__(self, contexts: Contexts) -> None:
        self._contexts = contexts
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A context that was made anew has connections of its own."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"cert_reqs": "CERT_REQUIRED", "ssl_context": self._contexts()}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing: the context has it all, and what is told here would be trusted besides."""
