"""One HTTP exchange as it goes over the wire: verified TLS, no redirects, no inflating, bounded reads, our errors."""

import ssl
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from worker.core.errors import PermanentError, TransientError, unchained
from worker.effort import current_effort
from worker.tls import Identity, verifying
from worker.tracing import Call, current_span

LONGEST_BODY: Final = 4 * 1024 * 1024
# Tokens are several kilobytes long, and aiohttp refuses a header over 8,190 bytes unless told otherwise.
_LONGEST_HEADER: Final = 65536


Told = tuple[int, Mapping[str, str], bytes]
"""Status, headers, body."""


class Fenced(aiohttp.ClientRequest):
    """A change waits for its fence at the last moment: connecting may have taken long, and the process slept."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        if self.method != "GET":
            await current_effort().fence()
        return await super().send(conn)


class AmbiguousError(TransientError):
    """A change whose effect is unknown: read before writing again."""


def tls_context(ca_file: Path | None, identity: Identity | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer, always verified; against `ca_file` alone where there is one."""
    try:
        return verifying(ca_file, identity)
    except OSError:
        raise PermanentError("gateway_untrusted", "ca_file: cannot be read as certificates") from None


def client_session(
    ca_file: Path | None,
    timeout: float,
    request_class: type[aiohttp.ClientRequest] = aiohttp.ClientRequest,
    proxy: str | None = None,
    identity: Identity | None = None,
) -> aiohttp.ClientSession:
    """A session that trusts no environment, inflates nothing, and leaves the number of connections to the limits.

    What goes through `proxy` is a tunnel for TLS: it sees names, and nothing else.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls_context(ca_file, identity)),
        timeout=aiohttp.ClientTimeout(total=timeout),
        auto_decompress=False,
        trust_env=False,
        proxy=proxy,
        max_field_size=_LONGEST_HEADER,
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=request_class,
    )
    # On a kept connection that breaks, aiohttp would send a GET, PUT or DELETE again by itself: a second call that no
    # limit counts, and a change made twice without looking.
    session._retry_connection = False  # noqa: SLF001
    return session


async def exchange(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    headers: Mapping[str, str],
    body: bytes,
    longest: int = LONGEST_BODY,
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers (by name in any case), and the body of at most `longest` bytes. No redirect is followed.

    Raises TransientError(`gateway_unavailable`), as AmbiguousError once something may have been sent, and
    PermanentError(`gateway_untrusted`).
    """
    with unchained:  # aiohttp's errors hold the request, and so its token
        try:
            async with session.request(
                method,
                url,
                data=body or None,
                headers={"Accept-Encoding": "identity", **headers},
                allow_redirects=False,
            ) as response:
                return response.status, response.headers, await _body_of(response, longest)
        except aiohttp.ClientConnectorCertificateError:
            raise PermanentError("gateway_untrusted", "its own TLS certificate does not verify") from None
        except aiohttp.ClientConnectorDNSError:
            raise TransientError("gateway_unavailable", "its name is not found") from None
        except aiohttp.ClientConnectorError:
            if isinstance(session.connector, aiohttp.TCPConnector):
                session.connector.clear_dns_cache()  # its name may lead elsewhere by now
            raise TransientError("gateway_unavailable", "no connection") from None
        except TimeoutError:
            raise AmbiguousError("gateway_unavailable", "no answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise AmbiguousError("gateway_unavailable", "the connection broke, or the answer is no HTTP") from None


async def traced(call: Call, answer: Awaitable[Told]) -> Told:
    """The answer; the call is a span of the rotation's, where that is traced."""
    with current_span().call(call) as span:
        told = await answer
        span.answered(told[0])
    return told


async def _body_of(response: aiohttp.ClientResponse, longest: int) -> bytes:
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > longest:
            raise AmbiguousError("gateway_unavailable", "the answer is too long", status=response.status)
    return bytes(body)
