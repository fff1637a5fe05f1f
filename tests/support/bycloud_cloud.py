"""ByCloud in memory: what its transport leads to, for tests in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from tests.support.values import bundle, deployment, leaf, listener, stored
from tests.support.virtual_time import run_virtual
from worker.core.deployment import Binding
from worker.core.errors import NotAskedError, PermanentError, RotationError
from worker.core.outcome import BindingResult
from worker.core.planning import Create, Modify, Stored
from worker.core.uploads import uploaded_name
from worker.gateways.breaker import Outage
from worker.gateways.bycloud import ByCloud
from worker.gateways.transport import AmbiguousError, Answer, Request
from worker.limits import Usage

T = TypeVar("T")
PATIENCE = 60.0
NAME = uploaded_name("shop", leaf())
LOST = AmbiguousError("gateway_unavailable", "no answer in time")
BUSY = PermanentError("conflict", "Load Balancer is immutable and cannot be updated.", status=409)


@dataclass(slots=True)
class Change:
    """The next change is refused with `error`: before its effect, or after it."""

    error: RotationError
    after_effect: bool = False


@dataclass(slots=True)
class Cloud:
    """What the transport leads to: certificates by id, their bindings, and what shall go wrong."""

    certificates: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls_made: list[str] = field(default_factory=list)
    refusals: list[Change] = field(default_factory=list)
    activation: float = 0.0
    binding_statuses: dict[str, str] = field(default_factory=dict)
    """By listener, what a new binding's status is; active where nothing is said."""
    seconds_per_change: float = 0.0
    under_way: set[str] = field(default_factory=set)
    most_under_way: int = 0
    stuck: set[str] = field(default_factory=set)
    """Listeners whose load balancer is busy for ever."""
    failing_reads: list[RotationError] = field(default_factory=list)
    has_unique_names: bool = True
    writes_at: str = "2026-01-15T00:00:00Z"
    """When a certificate that tells when it was written is written next."""
    ends: str = "active"
    """The status of an upload once its time of activation is over."""

    def count(self, operation: str) -> int:
        return self.calls_made.count(operation)

    def add(self, **overrides: Any) -> dict[str, Any]:
        fields = {"id": "c1", "name": "shop", "status": "active", "expires_at": "2026-01-11T00:00:00Z", "bindings": []}
        certificate: dict[str, Any] = {**fields, **overrides}
        self.certificates[certificate["id"]] = certificate
        return certificate

    is_down: bool = False
    held_for: float = 0.0

    outage: Outage | None = None

    def usage(self) -> Usage:
        return Usage()

    def refusal(self) -> NotAskedError | None:
        return None

    def inherit(self, idle: float) -> None:
        """One worker is all there is."""

    def seconds_for(self, calls: int, longest: int | None = None) -> float:
        return float(calls)

    async def close(self) -> None:
        """Nothing is open."""

    async def send(self, request: Request) -> Answer:
        self.calls_made.append(request.operation)
        if request.method == "GET":
            await asyncio.sleep(0.01)
            if self.failing_reads:
                raise self.failing_reads.pop(0)
            return Answer(200, {}, self._shown(request.path.split("/")[3:]))
        self.under_way.add(str(request.body and request.body.get("resource_id")))
        self.most_under_way = max(self.most_under_way, len(self.under_way))
        await asyncio.sleep(self.seconds_per_change)
        self.under_way.discard(str(request.body and request.body.get("resource_id")))
        return self._changed(request)

    def _shown(self, path: Sequence[str]) -> dict[str, Any]:
        if not path:
            return {"certificates": list(self.certificates.values()), "meta": {"has_more": False}}
        if path[0] not in self.certificates:
            raise PermanentError("not_found", status=404)
        return {"certificate": self.certificates[path[0]]}

    def _changed(self, request: Request) -> Answer:
        if request.body and request.body.get("resource_id") in self.stuck:
            raise BUSY
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None and not refusal.after_effect:
            raise refusal.error
        work = {"create_certificate": self._create, "modify_certificate": self._modify, "create_binding": self._bind}
        answer = work[request.operation](request, dict(request.body or {}))
        if refusal is not None:
            raise refusal.error
        return answer

    def _create(self, _request: Request, body: dict[str, Any]) -> Answer:
        if self.has_unique_names and any(one["name"] == body["name"] for one in self.certificates.values()):
            raise PermanentError("conflict", "name exists", status=409)
        status = "pending_issuance" if self.activation else "active"
        made = self.add(
            id=f"new{len(self.certificates)}", name=body["name"], status=status, expires_at="2026-01-20T00:00:00Z"
        )
        self.later(self.activation, lambda: made.update(status=self.ends))
        return Answer(201, {}, {"certificate": made})

    def _modify(self, request: Request, _body: dict[str, Any]) -> Answer:
        made = self.certificates[request.path.split("/")[3]]
        new = {"status": "active", "expires_at": "2026-01-20T00:00:00Z"}
        if "updated_at" in made:
            new["updated_at"] = self.writes_at
        self.later(self.activation, lambda: made.update(new))
        return Answer(200, {}, None)

    def _bind(self, request: Request, body: dict[str, Any]) -> Answer:
        certificate = self.certificates[request.path.split("/")[3]]
        status = self.binding_statuses.get(body["resource_id"], "active")
        row = {"resource_id": body["resource_id"], "options": body["options"], "status": status}
        certificate["bindings"] = [*certificate["bindings"], row]
        return Answer(201, {}, {"binding": row})

    def later(self, seconds: float, change: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_later(seconds, change)

    def settle(self, seconds: float, status: str, **fields: Any) -> None:
        """All bindings have that status a while from now."""

        def change() -> None:
            for certificate in self.certificates.values():
                certificate["bindings"] = [{**row, "status": status, **fields} for row in certificate["bindings"]]

        self.later(seconds, change)


def opened(cloud: Cloud) -> ByCloud:
    return ByCloud("bycloud", cloud, PATIENCE, lambda: 0.0)


async def attach(cloud: Cloud, *listeners: Binding, to: Stored | None = None) -> Sequence[BindingResult]:
    wanted = listeners or (listener(),)
    heard: list[BindingResult] = []
    results = await opened(cloud).attach(deployment(), to or stored(), wanted, None, heard.append)
    assert sorted(heard, key=str) == sorted(results, key=str)
    return results


async def create(cloud: Cloud) -> Stored:
    return await opened(cloud).replace(deployment(strategy="replace"), Create(NAME), bundle())


async def modify(cloud: Cloud) -> Stored:
    return await opened(cloud).replace(deployment(), Modify(stored()), bundle())


def raised(coroutine: Coroutine[Any, Any, object]) -> RotationError:
    async def until_raised() -> RotationError:
        with pytest.raises(RotationError) as caught:
            await coroutine
        return caught.value

    return run_virtual(until_raised())


def reasons(results: Sequence[BindingResult]) -> list[str | None]:
    return [None if result.failure is None else result.failure.reason for result in results]
