"""Reading back: what is missing between what a rotation meant to reach and what the gateway shows afterwards."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from worker.core.bundle import Leaf
from worker.core.deployment import Binding
from worker.core.errors import Failure, TransientError
from worker.core.outcome import BindingResult
from worker.core.planning import Bound, Observed, Stored, age_of

FLAG_MOVED = "client_verification_changed"
_THERE_ALREADY = frozenset({"conflict", "busy"})


def may_be_there(reason: str) -> bool:
    """Whether a binding that was refused for this may be there all the same: applied before, and not taken again."""
    return reason in _THERE_ALREADY


def is_in_doubt(result: BindingResult) -> bool:
    """Whether only what is shown tells if a binding that failed is there.

    A domain is bound or not. Of a listener that is busy the old binding may be shown.
    """
    failure = result.failure
    return failure is not None and may_be_there(failure.reason) and not _is_busy_listener(result.binding, failure)


def _is_busy_listener(binding: Binding, failure: Failure) -> bool:
    return failure.reason == "busy" and binding.kind == "listener"


def is_written(found: Stored, before: Stored | None, leaf: Leaf) -> bool:
    """Whether a write whose answer was lost, of the leaf in the place of `before`, can be seen to have had its effect.

    Raises TransientError(`downgrade`) where something newer has come there meanwhile: what was planned is no reason to
    write over that, and whether anything else is shall be judged anew.
    """
    age = age_of(found, leaf)
    if age == "newer" and (before is None or _facts(found) != _facts(before)):
        raise TransientError("downgrade", "a newer certificate was stored meanwhile")
    return age == "same" and not is_untouched(found, before)


def is_untouched(found: Stored, before: Stored | None) -> bool:
    """Whether what is shown is still what was there before, as far as its gateway tells when it was written.

    Of two certificates that end at the same time some gateways tell no other difference.
    """
    if before is None or before.issued_before is None:
        return False
    return (found.not_after, found.issued_before) == (before.not_after, before.issued_before)


def _facts(stored: Stored) -> tuple[object, ...]:
    return stored.serial_number, stored.not_before, stored.not_after


def confirmed(results: Sequence[BindingResult], observed: Observed, leaf: Leaf | None) -> tuple[BindingResult, ...]:
    """The results, those that claim success turned into failures where the gateway shows otherwise.

    And the other way round where the gateway only says that a binding is there already, or that it is busy: a chunk may
    have been applied in part before, or by a call whose answer was lost.
    """
    rows, others = _rows(observed), _others(observed, leaf)
    return tuple(_confirm(result, _about(result.binding, rows), others) for result in results)


_Place = tuple[str, bool]


def _rows(observed: Observed) -> Mapping[_Place, Sequence[Bound]]:
    rows: dict[_Place, list[Bound]] = defaultdict(list)
    for row in observed.bound:
        rows[_place(row.binding)].append(row)
    return rows


def _about(binding: Binding, rows: Mapping[_Place, Sequence[Bound]]) -> Sequence[Bound]:
    """A binding without an instance is every instance's."""
    found, at = rows.get(_place(binding), ()), binding.instance_id
    return found if at is None else [row for row in found if row.binding.instance_id == at]


def _place(binding: Binding) -> _Place:
    """Where to look for a binding, on whichever instance."""
    return binding.place[0], binding.sni


def _others(observed: Observed, leaf: Leaf | None) -> frozenset[int]:
    """What is bound and is not the leaf, by `id`: thousands of rows may share one, and each is looked at once."""
    bound = {id(row.stored): row.stored for row in observed.bound if row.stored is not None}
    return frozenset(key for key, one in bound.items() if leaf is not None and age_of(one, leaf) != "same")


def _confirm(result: BindingResult, mine: Sequence[Bound], others: Collection[int]) -> BindingResult:
    wanted = result.binding
    is_failed = result.state == "failed"
    if is_failed and not is_in_doubt(result):
        return result
    failure = _shortfall(wanted, mine, others)
    if is_failed:
        return result if failure is not None else BindingResult(wanted, "attached")
    return result if failure is None else BindingResult(wanted, "failed", failure)


def _shortfall(wanted: Binding, rows: Sequence[Bound], others: Collection[int]) -> Failure | None:
    shown = {None if row.stored is None else id(row.stored) for row in rows}
    if not shown or None in shown:
        return Failure("binding_failed", "accepted, but not bound when read back", transient=True)
    if not shown.isdisjoint(others):
        return Failure("still_old", "accepted, but another certificate is stored when read back", transient=True)
    flags = {row.client_verification for row in rows}
    if wanted.client_verification is not None and flags - {None, wanted.client_verification}:
        return Failure(FLAG_MOVED, "client verification is not as it was before", transient=False)
    return None


def astray(
    observed: Observed, moved: Sequence[Binding], back_to: Mapping[Binding, Bound], to: Stored | None
) -> frozenset[Binding]:
    """What had moved `to` it, and is shown neither there nor where it was: somebody has bound it to something else."""
    rows = _rows(observed)

    def is_others(row: Bound, was: Bound) -> bool:
        mine = {one.certificate_id for one in (to, was.stored) if one is not None}
        return row.stored is not None and mine.isdisjoint((row.stored.certificate_id, *row.others))

    return frozenset(one for one in moved if any(is_others(row, back_to[one]) for row in _about(one, rows)))


def elsewhere(observed: Observed, bindings: Sequence[Binding]) -> Collection[Binding]:
    """What is bound to something else than the deployment's own certificate, and not to that."""
    rows = _rows(observed)
    away = [one for one in bindings if any(row.stored is None and row.others for row in _about(one, rows))]
    return dict.fromkeys(away)


def put_back(
    results: Sequence[BindingResult], observed: Observed, back_to: Mapping[Binding, Bound]
) -> tuple[BindingResult, ...]:
    """The results, those that were put back told as such where the gateway shows it, else as failures."""
    rows = _rows(observed)
    return tuple(
        one
        if one.state == "failed" and not is_in_doubt(one)
        else _put_back(one, _about(one.binding, rows), back_to[one.binding])
        for one in results
    )


def _put_back(result: BindingResult, rows: Sequence[Bound], was: Bound) -> BindingResult:
    for row in rows or (None,):
        told = _not_back(row, was)
        if told is not None:
            reason, message = told
            failure = Failure(reason, f"put back, but {message}", transient=True)
            return result if result.state == "failed" else BindingResult(result.binding, "failed", failure)
    return BindingResult(result.binding, "rolled_back")


def _not_back(row: Bound | None, was: Bound) -> tuple[str, str] | None:
    """Reason and message; None where it is as it was."""
    now = None if row is None else row.stored
    if was.stored is None:
        return None if now is None else ("binding_failed", "still bound when read back")
    if row is None or now is None:
        return "binding_failed", "not bound when read back"
    if was.stored.certificate_id not in (now.certificate_id, *row.others):
        return "binding_failed", "bound to another certificate when read back"
    if {was.client_verification, row.client_verification} == {True, False}:
        return FLAG_MOVED, "client verification is not as it was"
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
    return all(now.state != "failed" or then.state == "failed" for now, then in zip(results, before, strict=True))
