"""Client-verification flags as they were before a rotation's first change, kept over its attempts."""

from collections.abc import Mapping
from dataclasses import replace

from worker.core.deployment import Binding
from worker.core.planning import Bound, Observed, Plan

Flags = Mapping[tuple[str, str | None], bool]


def _place(binding: Binding) -> tuple[str, str | None]:
    return binding.domain_id or binding.name, binding.instance_id


def flags_in(todo: Plan) -> Flags:
    """The flags that the plan means its bindings to have."""
    bindings = (*todo.attach, *todo.unchanged)
    return {_place(one): one.client_verification for one in bindings if one.client_verification is not None}


def as_before(observed: Observed, flags: Flags) -> Observed:
    """What is observed, each binding wanted with the flag of the snapshot: what it shows now may be what we moved.

    What the settings say of a flag stands.
    """
    return replace(observed, bound=tuple(_pinned(bound, flags) for bound in observed.bound)) if flags else observed


def _pinned(bound: Bound, flags: Flags) -> Bound:
    binding = bound.binding
    flag = flags.get(_place(binding)) if binding.client_verification is None else binding.client_verification
    return replace(bound, binding=replace(binding, client_verification=flag))
