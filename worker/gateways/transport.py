"""One HTTP call to a cloud: limits, credentials, deadline, repeats, classification; bounded reads, no redirects."""

import asyncio
import json
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from worker.core.backoff import jittered
from worker.core.errors import PermanentError, RotationError, TransientError
from worker.core.secret import Secret
from worker.gateways.redaction import shown
from worker.limits import Limits

LONGEST_BODY: Final = 4 * 1024 * 1024
_SEGMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_MOST_THROTTLED: Final = 6
_FIRST_HOLD: Final = 1.0
# Tokens are several kilobytes long, and aiohttp refuses a header over 8,190 bytes unless told otherwise.
_LONGEST_HEADER: Final = 65536


class AmbiguousError(TransientError):
    """A change whose effect is unknown: read before writing again."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `body` may hold `Secret`s, revealed only when it is sent."""

    operation: str
    """Names it in metrics."""
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] | None = field(default=None, repr=False)
    repeatable: bool = False
    """Sending it twice does no more than sending it once."""
    urgent: bool = False
    expect: frozenset[int] = frozenset({200})


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` by lower-case name; `body` is parsed JSON, None when there was none."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Authenticator(Protocol):
    """Credentials for one account."""

    async def headers(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Mapping[str, str]: ...

    def is_stale(self, status: int, code: str | None) -> bool:
        """Whether this refusal may end with renewed credentials."""
        ...

    async def renew(self) -> None:
        """Renews; the transport sees to it that many refusals of the same credentials are one renewal."""
        ...


class Dialect(Protocol):
    """How a cloud says no. Pure."""

    def failure(self, status: int, headers: Mapping[str, str], body: object) -> RotationError: ...


OnCall = Callable[[str, int | str, float], None]
"""Operation, status (or the reason why there is none), seconds waited under the limits."""


def path_of(*segments: str) -> str:
    """A path of segments that are names or ids: nothing in them can leave its place."""
    for segment in segments:
        if _SEGMENT.fullmatch(segment) is None:
            raise PermanentError("bad_request", "an id is not of the form that ids have")
    return "/" + "/".join(segments)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, always verified; against `ca_file` alone where there is one."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError:
        raise PermanentError("gateway_untrusted", "ca_file: cannot be read as certificates") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def client_session(ca_file: Path | None, timeout: float) -> aiohttp.ClientSession:
    """A session that trusts no environment, inflates nothing, and leaves the number of connections to the limits."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls_context(ca_file)),
        timeout=aiohttp.ClientTimeout(total=timeout),
        auto_decompress=False,
        trust_env=False,
        max_field_size=_LONGEST_HEADER,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    # On a kept connection that breaks, aiohttp would send a GET, PUT or DELETE again by itself: a second call that no
    # limit counts, and a change made twice without looking.
    session._retry_connection = False  # noqa: SLF001
    return session


async def exchange(
    session: aiohttp.ClientSession, method: str, url: URL, headers: Mapping[str, str], body: bytes
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers by lower-case name, and the body up to its limit. No redirect is followed.

    Raises TransientError(`gateway_unavailable`), as AmbiguousError once something may have been sent, and
    PermanentError(`gateway_untrusted`).
    """
    try:
        async with session.request(
            method, url, data=body or None, headers={"Accept-Encoding": "identity", **headers}, allow_redirects=False
        ) as response:
            answer = bytearray()
            async for chunk in response.content.iter_chunked(65536):
                answer += chunk
                if len(answer) > LONGEST_BODY:
                    raise AmbiguousError("gateway_unavailable", "the answer is too long", status=response.status)
            return response.status, {name.lower(): value for name, value in response.headers.items()}, bytes(answer)
    except aiohttp.ClientConnectorCertificateError:
        raise PermanentError("gateway_untrusted", "the gateway's own TLS certificate does not verify") from None
    except aiohttp.ClientConnectorError:
        raise TransientError("gateway_unavailable", "no connection to the gateway") from None
    except TimeoutError:
        raise AmbiguousError("gateway_unavailable", "no answer in time") from None
    except (aiohttp.ClientError, OSError, ValueError):
        raise AmbiguousError("gateway_unavailable", "the connection broke, or the answer is no HTTP") from None


class Transport:
    """Sends requests to one gateway account. Durations in seconds of the loop's clock."""

    def __init__(
        self,
        *,
        gateway: str,
        endpoint: str,
        limits: Limits,
        authenticator: Authenticator,
        dialect: Dialect,
        timeout: float,
        deadline: float,
        ca_file: Path | None,
        chance: Callable[[], float],
        on_call: OnCall | None = None,
    ) -> None:
        self._gateway = gateway
        self._endpoint = endpoint.rstrip("/")
        self._limits = limits
        self._authenticator = authenticator
        self._dialect = dialect
        self._timeout = timeout
        self._deadline = deadline
        self._ca_file = ca_file
        self._chance = chance
        self._on_call = on_call
        self._session: aiohttp.ClientSession | None = None
        self._throttled_in_a_row = 0
        self.calls = 0

    async def send(self, request: Request) -> Answer:
        """The answer, if its status is one that the request expects.

        What failed in passing is tried again: repeatable requests always, others when they surely had no effect. Gives
        up when `deadline` seconds were spent on it; waiting under the limits is not counted.
        """
        budget = _Budget(self._deadline)
        renewed = False
        while True:
            budget.tries += 1
            try:
                return await self._try(request, budget)
            except RotationError as error:
                error.attempts = budget.tries
                if self._authenticator.is_stale(error.status or 0, error.code) and not renewed:
                    renewed = True
                    await self._authenticator.renew()
                    continue
                if not isinstance(error, TransientError) or not _may_repeat(request, error):
                    raise
                await self._pause(error, budget)

    async def _pause(self, error: TransientError, budget: "_Budget") -> None:
        """Waits before the next try; raises the error when there shall be none."""
        if error.reason == "throttled":
            budget.throttled += 1
            if budget.throttled >= _MOST_THROTTLED:
                raise error
            return  # the hold makes every call of this gateway wait
        pause = max(error.hold, jittered(budget.tries, self._chance()))
        if budget.spent + pause > budget.deadline:
            raise error
        budget.spent += pause
        await asyncio.sleep(pause)

    async def _try(self, request: Request, budget: "_Budget") -> Answer:
        body = b"" if request.body is None else _serialised(request.body)
        now = asyncio.get_running_loop().time
        asked = now()
        headers = await self._authenticator.headers(request.method, request.path, request.query, body)
        budget.spent += now() - asked
        asked = now()
        async with self._limits.slot(urgent=request.urgent):
            waited, began = now() - asked, now()
            try:
                return await self._exchange(request, headers, body, waited)
            finally:
                budget.spent += now() - began

    async def _exchange(self, request: Request, headers: Mapping[str, str], body: bytes, waited: float) -> Answer:
        self.calls += 1
        # Only JSON goes out; a content type on an empty body would be signed for nothing.
        kind = {"Content-Type": "application/json"} if body else {}
        try:
            status, told, content = await exchange(
                self._open_session(), request.method, self._url(request), {**kind, **headers}, body
            )
        except RotationError as error:
            self._tell(request, error.reason, waited)
            raise
        self._tell(request, status, waited)
        secrets = [*_secrets_in(request.body), *headers.values()]
        return self._judged(request, status, told, content, secrets)

    def _judged(
        self, request: Request, status: int, headers: Mapping[str, str], content: bytes, secrets: list[str]
    ) -> Answer:
        if status in request.expect:
            self._throttled_in_a_row = 0
            return Answer(status, headers, _parsed(content, status))
        if 300 <= status < 400:  # noqa: PLR2004 - HTTP's own classes
            raise PermanentError("unexpected_redirect", "the gateway answers with a redirect", status=status)
        error = self._dialect.failure(status, headers, _lenient(content))
        error.message = shown(error.message, secrets)
        error.args = (error.message,)
        if isinstance(error, TransientError) and error.reason == "throttled":
            self._hold(error)
        raise _in_doubt(error) if status >= 500 and error.reason != "throttled" else error  # noqa: PLR2004

    def _hold(self, error: TransientError) -> None:
        """One refusal holds the whole gateway: for as long as it says, else a second, doubled each time in a row."""
        self._throttled_in_a_row += 1
        if not error.hold:
            error.hold = _FIRST_HOLD * 2.0 ** min(self._throttled_in_a_row - 1, 8)
        self._limits.hold(error.hold)

    def _tell(self, request: Request, status: int | str, waited: float) -> None:
        if self._on_call is not None:
            self._on_call(request.operation, status, waited)

    def _url(self, request: Request) -> URL:
        # Spelled as signatures spell it, so that what is sent is what was signed.
        query = urlencode(request.query, quote_via=quote, safe="~")
        return URL(f"{self._endpoint}{request.path}{'?' if query else ''}{query}", encoded=True)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = client_session(self._ca_file, self._timeout)
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


@dataclass(slots=True)
class _Budget:
    """What a request may still cost."""

    deadline: float
    spent: float = 0.0
    tries: int = 0
    throttled: int = 0


def _may_repeat(request: Request, error: TransientError) -> bool:
    return request.repeatable or not isinstance(error, AmbiguousError)


def _in_doubt(error: RotationError) -> RotationError:
    """A 5xx may come after the effect."""
    if not isinstance(error, TransientError):
        return error
    return AmbiguousError(error.reason, error.message, hold=error.hold, status=error.status, code=error.code)


def _serialised(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, default=_revealed, separators=(",", ":")).encode()


def _revealed(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"a request body cannot hold a {type(value).__name__}")


def _secrets_in(body: Mapping[str, object] | None) -> Iterator[str]:
    yield from (value.reveal() for value in (body or {}).values() if isinstance(value, Secret))


def _parsed(content: bytes, status: int) -> Any:
    """The JSON of an answer that says success: anything else leaves the effect in doubt."""
    if not content:
        return None
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        raise AmbiguousError("gateway_unavailable", "the answer is no valid JSON", status=status) from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _lenient(content: bytes) -> object:
    """The body of an error, as far as it is one: JSON or nothing."""
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
