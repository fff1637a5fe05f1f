"""Reading back: what is missing between what a rotation meant to reach and what the gateway shows afterwards."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from worker.core.bundle import Leaf
from worker.core.deployment import Binding
from worker.core.errors import Failure
from worker.core.outcome import BindingResult
from worker.core.planning import Bound, Observed, age_of

FLAG_MOVED = "client_verification_changed"


def confirmed(results: Sequence[BindingResult], observed: Observed, leaf: Leaf | None) -> tuple[BindingResult, ...]:
    """The results, those that claim success turned into failures where the gateway shows otherwise."""
    rows: dict[_Place, list[Bound]] = defaultdict(list)
    for row in observed.bound:
        rows[_place(row.binding)].append(row)
    return tuple(_confirm(result, rows, leaf) for result in results)


_Place = tuple[str, bool]


def _place(binding: Binding) -> _Place:
    """Where to look for a binding: by its id where it has one, else by its name."""
    return binding.domain_id or binding.name, binding.sni


def _confirm(result: BindingResult, rows: Mapping[_Place, Sequence[Bound]], leaf: Leaf | None) -> BindingResult:
    if result.state == "failed":
        return result
    mine = [row for row in rows.get(_place(result.binding), ()) if _is_at(row.binding, result.binding)]
    failure = _shortfall(result.binding, mine, leaf)
    return result if failure is None else BindingResult(result.binding, "failed", failure)


def _is_at(row: Binding, wanted: Binding) -> bool:
    """Whether a row that was read is on the wanted instance; a binding without one is every instance's."""
    return wanted.instance_id in (None, row.instance_id)


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


def put_right(results: Sequence[BindingResult], again: Sequence[BindingResult]) -> tuple[BindingResult, ...]:
    """What to tell of flags that moved, when `again` is what came of setting them once more.

    That they were not as before for a while is told in any case; one that is still wrong is worth another try.
    """
    remaining = {result.binding: result.failure for result in again}
    return tuple(
        replace(result, failure=_flag_failure(remaining[result.binding])) if result.binding in remaining else result
        for result in results
    )


def _flag_failure(remaining: Failure | None) -> Failure:
    if remaining is None:
        return Failure(FLAG_MOVED, "client verification was not as before; it is put right", transient=False)
    return Failure(FLAG_MOVED, "client verification is not as before, and could not be put right", transient=True)


def is_complete(results: Sequence[BindingResult], before: Sequence[BindingResult]) -> bool:
    """Whether reading back found no new failure: waiting longer would not change the rest."""
    return all(now.state == then.state for now, then in zip(results, before, strict=True))
