"""The sandbox's clouds without sockets: the same strict work behind a transport's exchange, in virtual time."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Final, Literal, cast

from aiohttp import web
from yarl import URL

from tests.reliability.crash_life import Life
from worker.core.errors import TransientError
from worker.gateways.exchange import HttpClient
from worker.gateways.transport import AmbiguousError
from worker.sandbox.answering import Answering, Result, Work
from worker.sandbox.apig import Apig
from worker.sandbox.bycloud import ByCloud
from worker.sandbox.world import Call, World

PROJECT: Final = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
How = Literal["timeout before", "timeout after", "500 before", "500 after", "503", "429", "unreached", "garbage", "lie"]
HOWS: Final[Sequence[How]] = (
    "timeout before",
    "timeout after",
    "500 before",
    "500 after",
    "503",
    "429",
    "unreached",
    "garbage",
    "lie",
)
_HAS_EFFECT: Final = frozenset({"timeout after", "500 after", "garbage"})
_STATUS: Final[Mapping[str, int]] = {"500 before": 500, "500 after": 500, "503": 503, "429": 429}
Told = tuple[int, Mapping[str, str], bytes]


@dataclass(slots=True)
class Trouble:
    """The next `times` calls of `operation` go wrong in this way."""

    operation: str
    how: How
    times: int = 1
    match: str = ""
    """Only of those whose body has this text."""


@dataclass(frozen=True, slots=True)
class Table(Answering):
    """Collects what the clouds do, by the function that a route leads to."""

    works: dict[object, tuple[str, Work]] = field(default_factory=dict)

    def route(self, operation: str, work: Work) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def unserved(_request: web.Request) -> web.StreamResponse:
            raise NotImplementedError

        self.works[unserved] = (operation, work)
        return unserved


@dataclass(frozen=True, slots=True)
class Way:
    """A method and a path that lead to an operation."""

    method: str
    path: re.Pattern[str]
    operation: str
    work: Work


@dataclass(slots=True)
class Cloud:
    """Both clouds. A change is two effects of the life that makes it: sent, and done but not yet answered."""

    world: World
    latency: float = 0.0
    troubles: list[Trouble] = field(default_factory=list)
    down_until: float = 0.0
    """Seconds of the loop's clock: until then nobody is served."""
    in_vain: list[str] = field(default_factory=list)
    """Calls that stored what was stored there already."""
    _ways: Sequence[Way] = ()

    def __post_init__(self) -> None:
        table = Table(self.world, lambda _request, _raw: None, Result(400))
        routes = [*Apig(self.world, PROJECT).routes(table), *ByCloud(self.world).routes(table)]
        self._ways = [Way(one.method, _pattern(one.path), *table.works[one.handler]) for one in routes]

    async def exchange(self, life: Life, method: str, url: URL, body: bytes) -> Told:
        life.check()
        await asyncio.sleep(self.latency)
        way, place = self._way(method, url.path)
        is_change = method != "GET"
        if is_change:
            await life.passes(f"{way.operation} sent")
        how = self._trouble(way.operation, body.decode())
        result = self._result(way, place, url, body, how)
        self._write_down(way, url, body, result)
        if is_change:
            await life.passes(f"{way.operation} done")
        await asyncio.sleep(30.0 if how in ("timeout before", "timeout after") else self.latency)
        return _told(result, how)

    def _way(self, method: str, path: str) -> tuple[Way, Mapping[str, str]]:
        for way in self._ways:
            match = way.path.fullmatch(path)
            if match is not None and way.method == method:
                return way, match.groupdict()
        raise AssertionError(f"no cloud has {method} {path}")

    def _trouble(self, operation: str, body: str) -> How | None:
        if asyncio.get_running_loop().time() < self.down_until:
            return "503"
        about = (one for one in self.troubles if one.operation in operation and one.match in body)
        due = next((one for one in about if one.times > 0), None)
        if due is None:
            return None
        due.times -= 1
        return due.how

    def _result(self, way: Way, place: Mapping[str, str], url: URL, body: bytes, how: How | None) -> Result:
        if how == "lie":
            return undone(self.world, lambda: self._worked(way, place, url, body))
        if how is None or how in _HAS_EFFECT:
            return self._worked(way, place, url, body)
        return Result(_STATUS.get(how, 0), {})

    def _worked(self, way: Way, place: Mapping[str, str], url: URL, body: bytes) -> Result:
        asked = SimpleNamespace(match_info=place, query=url.query, path=url.path, method=way.method)
        before = self._held(way, place)
        result = way.work(cast("web.Request", asked), json.loads(body) if body else {})
        if result.is_good and before is not None and before == self._held(way, place):
            self.in_vain.append(way.operation)
        return result

    def _held(self, way: Way, place: Mapping[str, str]) -> object:
        """What a call that stores is about, as it is now; None for all other calls."""
        match way.operation:
            case "modify_certificate":
                return _serial(self.world, place["certificate"])
            case "add_certificate" if place["domain"] in self.world.domains:
                return _serial(self.world, self.world.domains[place["domain"]].certificate_id)
            case "create_upload":
                return frozenset(one.leaf.serial_number for one in self.world.uploads.values())
            case _:
                return None

    def _write_down(self, way: Way, url: URL, body: bytes, result: Result) -> None:
        facts: Mapping[str, Any] = json.loads(body) if body else {}
        told = {name: value for name, value in facts.items() if name in ("name", "domains", "resource_id")}
        at = asyncio.get_running_loop().time()
        self.world.journal.append(Call(at, way.operation, way.method, url.path, result.status, told))


def _serial(world: World, certificate_id: str | None) -> int | None:
    stored = world.certificates.get(certificate_id or "")
    return None if stored is None else stored.leaf.serial_number


def undone(world: World, work: Callable[[], Result]) -> Result:
    """The answer of a work that leaves no trace: a lie."""
    certificates, uploads, changes = dict(world.certificates), dict(world.uploads), list(world.changes)
    domains = {key: replace(one) for key, one in world.domains.items()}
    listeners = {key: replace(one, bindings=dict(one.bindings)) for key, one in world.listeners.items()}
    result = work()
    world.certificates, world.uploads, world.changes = certificates, uploads, changes
    world.domains, world.listeners = domains, listeners
    return result


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))


def _told(result: Result, how: How | None) -> Told:
    match how:
        case "timeout before" | "timeout after":
            raise AmbiguousError("gateway_unavailable", "no answer in time")
        case "unreached":
            raise TransientError("gateway_unavailable", "no connection to the gateway")
        case "garbage":
            return 200, {}, b"<html>busy</html>"
        case "500 before" | "500 after" | "503" | "429":
            return _STATUS[how], {}, b"{}"
        case _:
            return result.status, {}, b"" if result.body is None else json.dumps(result.body).encode()


@dataclass(frozen=True, slots=True)
class Wire:
    """What a transport sends through."""

    cloud: Cloud
    life: Life

    async def __call__(
        self, _client: HttpClient, method: str, url: URL, _headers: Mapping[str, str], body: bytes
    ) -> Told:
        return await self.cloud.exchange(self.life, method, url, body)
