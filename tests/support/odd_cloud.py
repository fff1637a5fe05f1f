"""The sandbox with what a real cloud does at times: it shows changes late, and keeps an answer to itself for a while.

It also books what was stored where the very same was stored already.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.answering import Answering, Result, Work
from worker.sandbox.apig import Apig
from worker.sandbox.credentials import ApigCheck, iam_routes
from worker.sandbox.server import _MALFORMED
from worker.sandbox.world import Stored


@dataclass(slots=True)
class Held:
    """The answer to one call, the next of its operation: the call has done its work, and whoever asked waits."""

    operation: str
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it has done its work."""
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        self.released.set()


@dataclass(frozen=True, slots=True)
class Withholding(Answering):
    """Answers all but what is held."""

    held: list[Held] = field(default_factory=list)

    def route(self, operation: str, work: Work) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        answer = Answering.route(self, operation, work)

        async def withheld(request: web.Request) -> web.StreamResponse:
            response = await answer(request)
            due = next((one for one in self.held if one.operation == operation and not one.reached.is_set()), None)
            if due is not None:
                due.reached.set()
                await due.released.wait()
            return response

        return withheld


@dataclass(slots=True)
class Sight:
    """Changes are read `lag` seconds late."""

    lag: float = 0.0
    before: dict[str, tuple[float, Stored]] = field(default_factory=dict)
    in_vain: list[tuple[float, str]] = field(default_factory=list)
    """When, and in which certificate, the same was stored that was stored already, although that could be read."""


@dataclass(frozen=True, slots=True)
class LateApig(Apig):
    """Shows what was stored before for a while; what it does, it does at once."""

    sight: Sight = field(default_factory=Sight)

    def show(self, request: web.Request, body: Mapping[str, object]) -> Result:
        certificates, key = self.world.certificates, request.match_info["certificate"]
        before = self._before(key)
        if before is None or key not in certificates:
            return Apig.show(self, request, body)
        now = certificates[key]
        certificates[key] = before
        try:
            return Apig.show(self, request, body)
        finally:
            certificates[key] = now

    def _before(self, key: str) -> Stored | None:
        """What is read instead of what is stored."""
        until, before = self.sight.before.get(key, (0.0, None))
        return before if time.monotonic() < until else None

    def modify(self, request: web.Request, body: Mapping[str, object]) -> Result:
        key = request.match_info["certificate"]
        before, could_be_read = self.world.certificates.get(key), self._before(key) is None
        result = Apig.modify(self, request, body)
        if before is not None and result.is_good:
            if self.sight.lag:
                self.sight.before[key] = (time.monotonic() + self.sight.lag, before)
            if could_be_read and before.leaf.serial_number == self.world.certificates[key].leaf.serial_number:
                self.sight.in_vain.append((time.monotonic(), key))
        return result


class OddSandbox(Sandbox):
    """As `Sandbox`, at APIG and IAM."""

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.sight = Sight()
        self.held: list[Held] = []
        super().__init__(config)

    def hold(self, operation: str) -> Held:
        self.held.append(Held(operation))
        return self.held[-1]

    def _routes_of_apig(self) -> Sequence[web.RouteDef]:
        own = self.config
        check = ApigCheck(self.apig_throttle, self.iam, own.project_id, own.access_key, own.secret_key)
        apig = LateApig(self.world, own.project_id, self.sight)
        return apig.routes(Withholding(self.world, check, _MALFORMED, own.latency, self.held))

    def _routes_of_iam(self) -> Sequence[web.RouteDef]:
        answering = Withholding(self.world, lambda _request, _raw: None, _MALFORMED, self.config.latency, self.held)
        return [iam_routes(self.iam, answering)]
