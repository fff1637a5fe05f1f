"""One HTTP exchange as it goes over the wire: verified TLS, no redirects, no inflating, bounded reads, our errors."""

import asyncio
import ssl
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from worker.core.errors import PermanentError, TransientError, unchained
from worker.effort import current_effort
from worker.tls import Identity, verifying
from worker.tracing import Call, current_span

LONGEST_BODY: Final = 4 * 1024 * 1024
# Tokens are several kilobytes long, and aiohttp refuses a header over 8,190 bytes unless told otherwise.
_LONGEST_HEADER: Final = 65536
_UNCOMPRESSED: Final = {"Accept-Encoding": "identity"}
_NO_TIMEOUTS: Final = aiohttp.ClientTimeout()
"""Of aiohttp's: one of ours is around all of a call."""


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


@dataclass(frozen=True, slots=True)
class HttpClient:
    """Kept connections to one server, and what is sent over them.

    aiohttp's connections, requests and answers without its session, which costs as much again: what it is for (cookies,
    redirects, credentials of the environment, and sending again by itself what a broken connection may have carried: a
    second call that no limit counts) is what no call here may have.
    """

    connector: aiohttp.TCPConnector
    timeout: float
    """Seconds for a call, connecting included."""
    request_class: type[aiohttp.ClientRequest]
    proxy: URL | None

    async def send(self, method: str, url: URL, headers: Mapping[str, str], body: bytes, longest: int) -> Told:
        """Raises aiohttp's errors, OSError and TimeoutError."""
        async with asyncio.timeout(self.timeout):
            loop = asyncio.get_running_loop()
            request = self.request_class(
                method, url, headers={**_UNCOMPRESSED, **headers}, data=body or None, loop=loop, proxy=self.proxy
            )
            connection = await self.connector.connect(request, [], _NO_TIMEOUTS)
            return await _answer(await _sent(request, connection), connection, longest)

    async def close(self) -> None:
        await self.connector.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()


async def _sent(request: aiohttp.ClientRequest, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
    protocol = cast("ResponseHandler", connection.protocol)  # None once it is closed
    protocol.set_response_params(auto_decompress=False, read_until_eof=True, max_field_size=_LONGEST_HEADER)
    try:
        return await request.send(connection)
    except BaseException:
        connection.close()
        raise


async def _answer(response: aiohttp.ClientResponse, connection: aiohttp.connector.Connection, longest: int) -> Told:
    try:
        await response.start(connection)
        return response.status, response.headers, await _body_of(response, longest)
    finally:
        if response.connection is not None:
            response.close()  # and its connection: who knows what is still to come, or to be sent, over it


def http_client(
    ca_file: Path | None,
    timeout: float,
    request_class: type[aiohttp.ClientRequest] = aiohttp.ClientRequest,
    proxy: str | None = None,
    identity: Identity | None = None,
) -> HttpClient:
    """One that leaves the number of connections to the limits.

    What goes through `proxy` is a tunnel for TLS: it sees names, and nothing else.
    """
    connector = aiohttp.TCPConnector(limit=0, ssl=tls_context(ca_file, identity))
    return HttpClient(connector, timeout, request_class, None if proxy is None else URL(proxy))


async def exchange(
    client: HttpClient,
    method: str,
    url: URL,
    headers: Mapping[str, str],
    body: bytes,
    longest: int = LONGEST_BODY,
) -> Told:
    """Status, headers (by name in any case), and the body of at most `longest` bytes. No redirect is followed.

    Raises TransientError(`gateway_unavailable`), as AmbiguousError once something may have been sent, and
    PermanentError(`gateway_untrusted`).
    """
    with unchained:  # aiohttp's errors hold the request, and so its token
        try:
            return await client.send(method, url, headers, body, longest)
        except aiohttp.ClientConnectorCertificateError:
            raise PermanentError("gateway_untrusted", "its own TLS certificate does not verify") from None
        except aiohttp.ClientConnectorDNSError:
            raise TransientError("gateway_unavailable", "its name is not found") from None
        except aiohttp.ClientConnectorError:
            client.connector.clear_dns_cache()  # its name may lead elsewhere by now
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
