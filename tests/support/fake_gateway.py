"""One stateful cloud in memory behind the Gateway protocol: what is stored, what is bound, and what went wrong."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from worker.core.bundle import Bundle, Leaf
from worker.core.calls import PlannedCall, one_after_another, parcels
from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure, NotAskedError, PermanentError, RotationError
from worker.core.outcome import BindingResult
from worker.core.planning import Bound, Create, Modify, Observed, Plan, Stored
from worker.gateways.base import NOWHERE, Discovered, OnResult, Right
from worker.gateways.breaker import Outage
from worker.limits import Usage


@dataclass(slots=True)
class FakeGateway:
    """Serves `in_place`. `errors` are raised by the named operation, in turn; `sick` bindings always fail."""

    stored: Stored | None
    rows: dict[str, bool | None]
    """Bound domain name to its client-verification flag."""
    name: str = "apig"
    journal: list[str] = field(default_factory=list)
    errors: dict[str, list[RotationError]] = field(default_factory=dict)
    sick: dict[str, Failure] = field(default_factory=dict)
    lies: bool = False
    """Accepts a PUT without effect."""
    moves_flags: int = 0
    """So many attaches switch client verification off, whatever was sent."""
    put_moves_flags: bool = False
    strangers: dict[str, str] = field(default_factory=dict)
    """Domain name to the id of somebody else's certificate that it is bound to."""
    leftovers: Sequence[Stored] = ()
    retired: list[str] = field(default_factory=list)

    elsewhere_until: datetime | None = None
    """When what is bound to something else expires."""
    is_down: bool = False
    held_for: float = 0.0
    tells_beginnings: bool = True
    detaches: bool = True

    @property
    def account(self) -> "FakeGateway":
        return self

    outage: Outage | None = None

    def usage(self) -> Usage:
        return Usage()

    def refusal(self) -> NotAskedError | None:
        return None

    def inherit(self, idle: float) -> None:
        self.journal.append(f"inherit {idle:.0f}")

    def seconds_for(self, calls: int, longest: int | None = None) -> float:
        return self.held_for + calls * 0.5

    def calls(self, deployment: Deployment, todo: Plan) -> Sequence[PlannedCall]:
        """Two, and one for each binding."""
        if todo.is_nothing:
            return ()
        put, last = PlannedCall("put", "PUT", "/", "replace"), len(todo.waves) or None
        show = PlannedCall("show", "GET", "/", "read_back", last)
        return one_after_another(
            [[put], parcels(todo.attach, 1, lambda at: PlannedCall("attach", "POST", "/", "attach", None, at)), [show]]
        )

    def _called(self, operation: str) -> None:
        self.journal.append(operation)
        waiting = self.errors.get(operation)
        if waiting:
            raise waiting.pop(0)

    async def observe(
        self, deployment: Deployment, leaf: Leaf | None, *, elsewhere: bool = True, known: Collection[str] = ()
    ) -> Observed:
        self._called("observe")
        wanted = [Binding("domain", name, "i1") for name in self.rows]
        if deployment.bindings is not None:
            wanted = list(deployment.bindings)
        bound = tuple(self._bound(one) for one in wanted)
        return Observed(self.stored, bound, self.leftovers)

    def _bound(self, one: Binding) -> Bound:
        others = (self.strangers[one.name],) if one.name in self.strangers else ()
        return Bound(one, self.stored if one.name in self.rows else None, self.rows.get(one.name), others)

    async def served_until(self, bindings: Sequence[Binding]) -> datetime | None:
        self._called(f"served until: {', '.join(one.name for one in bindings)}")
        return self.elsewhere_until

    async def replace(self, deployment: Deployment, how: Modify | Create, bundle: Bundle) -> Stored:
        self._called("replace")
        held = how.stored if isinstance(how, Modify) else Stored("c9", how.name)
        leaf = bundle.leaf
        facts: dict[str, Any] = {
            "serial_number": leaf.serial_number,
            "not_before": leaf.not_before,
            "not_after": leaf.not_after,
        }
        new = replace(held, **facts, known_not_before=None)
        if not self.lies:
            self.stored = new
        if self.put_moves_flags:
            self.rows = dict.fromkeys(self.rows, False)
        return new

    async def attach(
        self,
        deployment: Deployment,
        to: Stored | None,
        bindings: Sequence[Binding],
        bundle: Bundle | None,
        on_result: OnResult,
    ) -> Sequence[BindingResult]:
        self._called("attach")
        results = []
        self.moves_flags, moves = max(self.moves_flags - 1, 0), self.moves_flags > 0
        for binding in bindings:
            failure = self.sick.get(binding.name)
            if failure is None:
                self.rows[binding.name] = False if moves else binding.client_verification
                self.strangers.pop(binding.name, None)
            results.append(BindingResult(binding, "attached" if failure is None else "failed", failure))
            on_result(results[-1])
        return results

    async def detach(self, stored: Stored, bindings: Sequence[Binding], on_result: OnResult) -> Sequence[BindingResult]:
        self._called("detach")
        results = [BindingResult(one, "attached") for one in bindings]
        for one in results:
            self.rows.pop(one.binding.name, None)
            on_result(one)
        return results

    async def retire(self, stored: Stored, moved: Mapping[Binding, str] = NOWHERE) -> bool:
        self._called("retire")
        self.retired.append(stored.certificate_id)
        return True

    async def discover(self) -> Sequence[Discovered]:
        return ()

    async def show(self, certificate_id: str) -> Stored:
        self._called("show")
        if self.stored is None or self.stored.certificate_id != certificate_id:
            raise PermanentError("not_found", "nothing is stored there")
        return self.stored

    async def check(self) -> None:
        self._called("check")

    async def rights(self, deployments: Sequence[Deployment]) -> Sequence[Right]:
        return ()

    async def close(self) -> None: ...
