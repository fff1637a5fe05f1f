"""One HTTP call to a cloud: limits, credentials, deadline, repeats, classification."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

from yarl import URL

from worker.core.backoff import jittered
from worker.core.errors import NotAskedError, PermanentError, RotationError, TransientError
from worker.effort import current_effort
from worker.gateways.bodies import lenient, parsed, secrets_in, serialised
from worker.gateways.breaker import Breaker, Outage
from worker.gateways.exchange import AmbiguousError, Fenced, HttpClient, exchange, http_client, traced
from worker.gateways.redaction import shown
from worker.gateways.restraint import Restraint
from worker.limits import LONGEST_WAIT, HeldError, Limits, Turn, Usage
from worker.tracing import Call

__all__ = ["AmbiguousError", "Answer", "Authenticator", "Dialect", "OnCall", "Request", "Transport", "path_of"]

_SEGMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_MOST_THROTTLED: Final = 6


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
    expect: frozenset[int] = frozenset({200})
    patience: float = inf
    """Seconds that may be spent on it and its repeats, where the deadline is longer."""


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


OnCall = Callable[[str, int | str, float | None], None]
"""Operation, status (or the reason why there is none), seconds waited under the limits (None where there are none)."""

Exchange = Callable[[HttpClient, str, URL, Mapping[str, str], bytes], Awaitable[tuple[int, Mapping[str, str], bytes]]]
"""`exchange`, or what stands in for it."""


@lru_cache(maxsize=4096)
def path_of(*segments: str) -> str:
    """A path of segments that are names or ids: nothing in them can leave its place."""
    for segment in segments:
        if _SEGMENT.fullmatch(segment) is None:
            raise PermanentError("bad_request", "an id is not of the form that ids have")
    return "/" + "/".join(segments)


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
        wall_clock: Callable[[], datetime],
        on_call: OnCall | None = None,
        proxy: str | None = None,
        exchange: Exchange = exchange,
    ) -> None:
        self._gateway = gateway
        self._endpoint = endpoint.rstrip("/")
        self._limits = limits
        self._authenticator = authenticator
        self._dialect = dialect
        self._timeout = timeout
        self._deadline = deadline
        self._ca_file = ca_file
        self._proxy = proxy
        self._chance = chance
        self._on_call = on_call
        self._wall_clock = wall_clock
        self._over_the_wire = exchange
        self._client: HttpClient | None = None
        self._renewing = asyncio.Lock()
        self._renewals = 0
        self._breaker = Breaker(gateway)
        self._restraint = Restraint(gateway, limits, wall_clock)

    @property
    def is_down(self) -> bool:
        return self._breaker.outage is not None

    @property
    def held_for(self) -> float:
        return self._limits.held_for

    @property
    def outage(self) -> Outage | None:
        return self._breaker.outage

    def usage(self) -> Usage:
        return self._limits.usage()

    def refusal(self) -> NotAskedError | None:
        held_for = self._limits.held_for
        return _held(held_for) if held_for > LONGEST_WAIT else self._breaker.refusal()

    def seconds_for(self, calls: int, longest: int | None = None) -> float:
        return self._limits.seconds_for(calls, longest)

    def inherit(self, idle: float) -> None:
        self._limits.inherit(idle)

    async def send(self, request: Request) -> Answer:
        """The answer, if its status is one that the request expects.

        What failed in passing is tried again: repeatable requests always, others when they surely had no effect. Gives
        up when `deadline` seconds, or its `patience`, were spent on it, waiting under the limits not counted, or when
        the gateway wants to be left alone for so long that the renewal is better parked.
        """
        budget = _Budget(min(self._deadline, request.patience))
        while True:
            budget.tries += 1
            try:
                return await self._try(request, budget)
            except HeldError as held:
                raise _held(held.seconds) from None
            except RotationError as error:
                error.attempts = budget.tries
                budget.heard(error)
                self._book(request, error)
                if self._may_renew(error, budget):
                    budget.is_renewed = True
                    await self._renew(budget.renewals)
                elif isinstance(error, TransientError) and _may_repeat(request, error):
                    await self._pause(error, budget)
                else:
                    raise

    def _book(self, request: Request, error: RotationError) -> None:
        """Whoever looks at the rotation sees what keeps it."""
        effort, operation = current_effort(), request.operation
        if isinstance(error, TransientError):
            effort.refused(self._gateway, operation, error.reason, error.status, self._wall_clock())
        else:
            effort.answered(self._gateway, operation)

    def _may_renew(self, error: RotationError, budget: "_Budget") -> bool:
        """Once a request, and only where the gateway has refused: what IAM refuses is not asked again."""
        is_stale = self._authenticator.is_stale(error.status or 0, error.code)
        return is_stale and budget.is_sent and not budget.is_renewed

    async def _renew(self, known: int) -> None:
        """Many calls may be refused for the same credentials: the first renews, the others use what it got."""
        async with self._renewing:
            if self._renewals == known:
                await self._authenticator.renew()
                self._renewals += 1

    async def _pause(self, error: TransientError, budget: "_Budget") -> None:
        """Waits before the next try; raises the error when there shall be none."""
        if error.reason == "throttled" and budget.is_sent:
            budget.throttled += 1
            if budget.throttled >= _MOST_THROTTLED or error.hold > LONGEST_WAIT:
                raise error
            return  # the hold makes every call of this gateway wait
        pause = max(error.hold, jittered(budget.tries, self._chance()))
        if budget.spent + pause > budget.deadline:
            raise error
        budget.spent += pause
        await asyncio.sleep(pause)

    async def _try(self, request: Request, budget: "_Budget") -> Answer:
        body = b"" if request.body is None else serialised(request.body)
        while True:
            with suppress(_HeldMeanwhileError):
                return await self._in_turn(request, budget, body)

    async def _in_turn(self, request: Request, budget: "_Budget", body: bytes) -> Answer:
        budget.is_sent = False
        slot = self._limits.slot()
        try:
            async with slot as turn, self._breaker.trying(request.method, request.path, turn.began) as tried:
                # Only now: a signature ages, and a wait may be long.
                budget.renewals = self._renewals
                headers = await self._authenticator.headers(request.method, request.path, request.query, body)
                if self._limits.held_for:
                    raise _HeldMeanwhileError
                budget.is_sent = tried.is_sent = True
                turn.sending()
                return await self._exchange(request, turn, headers, body, budget.tries)
        finally:
            budget.spent += slot.turn.lasted

    async def _exchange(
        self, request: Request, turn: Turn, headers: Mapping[str, str], body: bytes, tries: int
    ) -> Answer:
        current_effort().calls += 1
        # Only JSON goes out; a content type on an empty body would be signed for nothing.
        kind = {"Content-Type": "application/json"} if body else {}
        url = self._url(request)
        try:
            answer = self._over_the_wire(self._open_client(), request.method, url, {**kind, **headers}, body)
            told_of = (request.operation, request.method, url.host or "", url.port, self._gateway)
            status, told, content = await traced(Call(*told_of, tries - 1, turn.waited), answer)
        except RotationError as error:
            self._restraint.unanswered(turn)
            self._tell(request, error.reason, turn.waited)
            raise
        self._tell(request, status, turn.waited)
        self._restraint.answered(turn, told)
        if status in request.expect:
            self._restraint.accepted(turn)
            turn.accepted = request.operation
            current_effort().answered(self._gateway, request.operation)
            return Answer(status, told, parsed(content, status))
        refusal = self._refusal(status, told, content)
        self._restraint.refused(turn, refusal)
        refusal.message = shown(refusal.message, secrets_in(request.body), _words(headers))
        refusal.args = (refusal.message,)
        raise refusal

    def _refusal(self, status: int, headers: Mapping[str, str], content: bytes) -> RotationError:
        match status // 100:
            case 2:
                return AmbiguousError("gateway_unavailable", "the answer has an undocumented status", status=status)
            case 3:
                return PermanentError("unexpected_redirect", "the gateway answers with a redirect", status=status)
            case 5:
                return _in_doubt(self._dialect.failure(status, headers, lenient(content)))
            case _:
                return self._dialect.failure(status, headers, lenient(content))

    def _tell(self, request: Request, status: int | str, waited: float) -> None:
        if self._on_call is not None:
            self._on_call(request.operation, status, waited)

    def _url(self, request: Request) -> URL:
        # Spelled as signatures spell it, so that what is sent is what was signed.
        query = "?" + urlencode(request.query, quote_via=quote, safe="~") if request.query else ""
        return URL(f"{self._endpoint}{request.path}{query}", encoded=True)

    def _open_client(self) -> HttpClient:
        if self._client is None:
            self._client = http_client(self._ca_file, self._timeout, Fenced, self._proxy)
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


@dataclass(slots=True)
class _Budget:
    """What a request may still cost, and what has become of it."""

    deadline: float
    spent: float = 0.0
    tries: int = 0
    throttled: int = 0
    is_sent: bool = False
    is_renewed: bool = False
    renewals: int = 0
    """How often credentials had been renewed when it was sent."""
    last: RotationError | None = None

    def heard(self, error: RotationError) -> None:
        """One that is not asked any more fails of what it was answered before."""
        if isinstance(error, NotAskedError) and self.last is not None:
            error.message, error.status, error.code = self.last.message, self.last.status, self.last.code
            error.args = self.last.args
        self.last = error


class _HeldMeanwhileError(Exception):
    """A hold came while a call that had its turn waited for a probe or for credentials: it waits for another turn."""


def _held(seconds: float) -> NotAskedError:
    return NotAskedError("throttled", "the gateway wants to be left alone", hold=seconds)


def _may_repeat(request: Request, error: TransientError) -> bool:
    if error.reason == "auth_failed":
        return False  # their file cannot be used: the renewal comes again, and nobody waits for it here
    is_known = not isinstance(error, AmbiguousError)
    return (request.repeatable or is_known) and not isinstance(error, NotAskedError)


def _in_doubt(error: RotationError) -> RotationError:
    """A 5xx may come after the effect; one that says throttled surely comes before."""
    if not isinstance(error, TransientError) or error.reason == "throttled":
        return error
    return AmbiguousError(error.reason, error.message, hold=error.hold, status=error.status, code=error.code)


def _words(headers: Mapping[str, str]) -> Iterator[str]:
    """What credentials consist of: an answer may quote one without its scheme or its key's name."""
    for value in headers.values():
        yield from re.split(r"[\s:,=]+", value)
