"""Reading back: what is missing between what a rotation meant to reach and what the gateway shows afterwards."""

from collections.abc import Sequence

from worker.core.bundle import Leaf
from worker.core.deployment import Binding
from worker.core.errors import Failure
from worker.core.outcome import BindingResult
from worker.core.planning import Bound, Observed, age_of

FLAG_MOVED = "client_verification_changed"


def confirmed(results: Sequence[BindingResult], observed: Observed, leaf: Leaf | None) -> tuple[BindingResult, ...]:
    """The results, those that claim success turned into failures where the gateway shows otherwise."""
    return tuple(_confirm(result, observed.bound, leaf) for result in results)


def _confirm(result: BindingResult, bound: Sequence[Bound], leaf: Leaf | None) -> BindingResult:
    if result.state == "failed":
        return result
    rows = [row for row in bound if _is_about(row.binding, result.binding)]
    failure = _shortfall(result.binding, rows, leaf)
    return result if failure is None else BindingResult(result.binding, "failed", failure)


def _is_about(row: Binding, wanted: Binding) -> bool:
    """Whether a row that was read is the wanted binding; one without an instance is every instance's."""
    if wanted.domain_id is not None:
        return (row.instance_id, row.domain_id) == (wanted.instance_id, wanted.domain_id)
    return row.name == wanted.name and row.sni == wanted.sni and wanted.instance_id in (None, row.instance_id)


def _shortfall(wanted: Binding, rows: Sequence[Bound], leaf: Leaf | None) -> Failure | None:
    if not rows or any(row.stored is None for row in rows):
        return Failure("binding_failed", "accepted, but not bound when read back", transient=True)
    if leaf is not None and any(row.stored is not None and age_of(row.stored, leaf) != "same" for row in rows):
        return Failure("still_old", "accepted, but another certificate is stored when read back", transient=True)
    flags = {row.client_verification for row in rows} - {None}
    if wanted.client_verification is not None and flags - {wanted.client_verification}:
        return Failure(FLAG_MOVED, "client verification is not as it was before", transient=False)
    return None


def moved_flags(results: Sequence[BindingResult]) -> tuple[Binding, ...]:
    """The bindings whose client-verification flag moved: to be put right."""
    return tuple(one.binding for one in results if one.failure is not None and one.failure.reason == FLAG_MOVED)


def is_complete(results: Sequence[BindingResult], before: Sequence[BindingResult]) -> bool:
    """Whether reading back found no new failure: waiting longer would not change the rest."""
    return all(now.state == then.state for now, then in zip(results, before, strict=True))
