"""What a deployment was like before a renewal's first change to it, as its later attempts need to know."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from worker.core.deployment import Binding, Deployment
from worker.core.outcome import Previous
from worker.core.planning import Bound, Keep, Modify, Observed, Plan, Superseded

Flags = Mapping[tuple[str, str | None], bool]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Client-verification flags, and which certificate was replaced: after the first change nothing else tells."""

    flags: Flags = field(default_factory=dict)
    previous: Previous | None = None
    is_replaced: bool = False
    """An earlier attempt was to put the renewed certificate there: if it is there now, this renewal did it."""
    replaced_at: datetime | None = None
    """When that was written which an earlier attempt was to replace: if it was written later, this renewal did it."""

    def with_plan(self, todo: Plan) -> "Snapshot":
        """Also what a plan knows that was made before its change."""
        is_replaced = self.is_replaced or not isinstance(todo.replacement, Keep)
        replaced_at = self.replaced_at or _written_at(todo)
        return Snapshot({**self.flags, **_flags_in(todo)}, self.previous or todo.previous, is_replaced, replaced_at)

    def followed_by(self, later: "Snapshot") -> "Snapshot":
        """Both as one. What was known first stands: what was seen later may be what we moved."""
        previous = self.previous or later.previous
        is_replaced, replaced_at = self.is_replaced or later.is_replaced, self.replaced_at or later.replaced_at
        return Snapshot({**later.flags, **self.flags}, previous, is_replaced, replaced_at)

    def proof(self, stored_after: datetime | None) -> datetime | None:
        """Since when what is stored may be this renewal's: a renewal that tells no time would write again and again."""
        if stored_after is None or self.replaced_at is None:
            return stored_after
        return min(stored_after, self.replaced_at)

    def before(self, observed: Observed) -> Observed:
        """What is observed, each binding wanted with its flag of then: what it shows now may be what we moved.

        What the settings say of a flag stands.
        """
        if not self.flags:
            return observed
        return replace(observed, bound=tuple(self._pinned(bound) for bound in observed.bound))

    def _pinned(self, bound: Bound) -> Bound:
        binding = bound.binding
        if binding.client_verification is not None:
            return bound
        flag = self.flags.get(_place(binding))
        return Bound(binding.with_flag(flag), bound.stored, bound.client_verification)

    def told(self, step: Plan | Superseded) -> Plan | Superseded:
        """The step, with what earlier attempts have done."""
        if isinstance(step, Superseded):
            return step
        return replace(step, previous=step.previous or self.previous, was_replaced=self.is_replaced)


def is_at_risk(snapshot: Snapshot, deployment: Deployment, todo: Plan) -> bool:
    """Whether what the plan replaces may move flags of which nothing but the snapshot tells how they were."""
    replacement = todo.replacement
    if todo.is_nothing or isinstance(replacement, Keep) or _is_pinned(deployment):
        return False
    has_ca = isinstance(replacement, Modify) and replacement.stored.has_trusted_root_ca
    return any(snapshot.flags.values()) or (bool(snapshot.flags) and (has_ca or bool(deployment.trusted_root_ca)))


def _is_pinned(deployment: Deployment) -> bool:
    """Whether the settings say of every flag what it shall be."""
    bindings = deployment.bindings
    return bindings is not None and all(one.client_verification is not None for one in bindings)


def _place(binding: Binding) -> tuple[str, str | None]:
    return binding.domain_id or binding.name, binding.instance_id


def _written_at(todo: Plan) -> datetime | None:
    return todo.replacement.stored.issued_before if isinstance(todo.replacement, Modify) else None


def _flags_in(todo: Plan) -> Flags:
    """The flags that the plan means its bindings to have."""
    bindings = (*todo.attach, *todo.unchanged)
    return {_place(one): one.client_verification for one in bindings if one.client_verification is not None}
