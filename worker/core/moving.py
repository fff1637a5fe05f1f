"""Planning where bindings move from an old stored certificate to a new one, in waves, and back if need be."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import accumulate, chain
from math import ceil
from typing import Final

from worker.core.bundle import Leaf
from worker.core.covering import check_names
from worker.core.deployment import Binding, Deployment
from worker.core.errors import RefusedError
from worker.core.outcome import Previous
from worker.core.past import Placed
from worker.core.planning import (
    Bound,
    Create,
    Keep,
    Observed,
    Plan,
    Stored,
    Superseded,
    age_of,
    distinct,
    is_as_wanted,
    previous_of,
    supersedes,
    with_flag,
)
from worker.core.retirement import succeeded_at
from worker.core.snapshot import Place
from worker.core.uploads import Joint, base_name, uploaded_name
from worker.core.urgency import Urgency

MOST_FORBIDDEN: Final = 40
"""Waves of one name alone: more in vain would be a storm against an account that may not attach."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Replaced:
    """What a deployment keeps although all of its bindings have moved on."""

    present: Stored
    """What they have moved to."""
    moved: Sequence[Binding]
    waiting: Sequence[tuple[Stored, float]]
    """Each of the old ones, with the seconds that it is still kept."""

    @property
    def over(self) -> Sequence[Stored]:
        return [one for one, left in self.waiting if left <= 0]


def plan_blue_green(
    deployment: Deployment,
    observed: Observed,
    leaf: Leaf,
    urgency: Urgency,
    past: Sequence[Placed] = (),
    condemned: Collection[Place] = (),
) -> Plan | Superseded:
    """At APIG: a new stored certificate, to which the domains move. `past`: what was put there before, oldest first.

    `condemned`: what goes back before anything is left to something newer, where it has moved.
    """
    check_names(deployment, [bound.binding for bound in observed.bound], leaf)
    green = _green(observed, leaf, None)
    has_ca = any(one.has_trusted_root_ca for one in _serving(observed))
    if has_ca and deployment.trusted_root_ca is None and not _has_to_go_back(observed, green, condemned):
        told = "the certificate that is replaced has a client CA, which a new one would lack: set trusted_root_ca_file"
        raise RefusedError("trusted_root_ca_missing", told)
    step = _plan_moving(deployment, observed, leaf, urgency, green, condemned, joint="_")
    if isinstance(step, Superseded):
        return step
    return replace(step, retire=tuple(_to_retire(deployment, observed, green, past)))


def plan_replace(
    deployment: Deployment, observed: Observed, leaf: Leaf, urgency: Urgency, condemned: Collection[Place] = ()
) -> Plan | Superseded:
    """At ByCloud: an upload, to which the listeners move. `condemned` as in `plan_blue_green`."""
    if deployment.name is None and observed.stored is None:
        raise RefusedError("not_found", "there is nothing to replace, and the deployment has no name to create it")
    green = _green(observed, leaf, urgency.stored_after)
    return _plan_moving(deployment, observed, leaf, urgency, green, condemned, joint="-")


def _plan_moving(
    deployment: Deployment,
    observed: Observed,
    leaf: Leaf,
    urgency: Urgency,
    green: Stored | None,
    condemned: Collection[Place],
    *,
    joint: Joint,
) -> Plan | Superseded:
    """`green`: the renewed certificate, where it is stored already."""
    newer = None if _has_to_go_back(observed, green, condemned) else _newer(observed, leaf, urgency)
    if newer is not None:
        return Superseded(newer)
    spared = [one for one in _serving(observed) if supersedes(one, leaf, urgency)]
    rows = [bound for bound in observed.bound if bound.stored not in spared]
    if spared and not rows:
        return Superseded(spared[0])
    wanted = [(bound, with_flag(bound, has_ca=deployment.trusted_root_ca is not None)) for bound in rows]
    is_right = [_is_at(bound, green) and is_as_wanted(bound, binding) for bound, binding in wanted]
    attach = _by_name(binding for (_, binding), right in zip(wanted, is_right, strict=True) if not right)
    return Plan(
        replacement=Create(_name(deployment, observed.stored, leaf, joint)) if green is None else Keep(green),
        attach=attach,
        unchanged=tuple(binding for (_, binding), right in zip(wanted, is_right, strict=True) if right),
        previous=_previous(rows, green, default=observed.stored if green is None else None),
        superseded_by=spared[0] if spared else None,
        waves=tuple(waves(deployment.waves, [one.name for one in attach], len(wanted))),
        back_to={binding: bound for bound, binding in wanted if not _is_at(bound, green)},
        from_old=_from_old(observed, green, wanted),
        seen=observed,
    )


def _has_to_go_back(observed: Observed, green: Stored | None, condemned: Collection[Place]) -> bool:
    return any(_is_at(one, green) and one.binding.place in condemned for one in observed.bound)


def _from_old(
    observed: Observed, green: Stored | None, wanted: Sequence[tuple[Bound, Binding]]
) -> Mapping[Binding, Bound]:
    """What sits on the renewed one while others still sit on an older one of the deployment's own."""
    serving = {one.certificate_id for one in _serving(observed)}
    old = next((one for one in _others(observed, green) if one.certificate_id in serving), None)
    if old is None:
        return {}
    return {binding: replace(bound, stored=old) for bound, binding in wanted if _is_at(bound, green)}


def _green(observed: Observed, leaf: Leaf, stored_after: datetime | None) -> Stored | None:
    stored = observed.stored
    return stored if stored is not None and age_of(stored, leaf, stored_after=stored_after) == "same" else None


def _by_name(bindings: Iterable[Binding]) -> tuple[Binding, ...]:
    """Those of one name together, on several instances, say: a handshake cannot tell one from the other."""
    found = defaultdict[str, list[Binding]](list)
    for one in bindings:
        found[one.name].append(one)
    return tuple(chain.from_iterable(found.values()))


def waves(shares: Sequence[float], names: Sequence[str], total: int) -> Iterator[int]:
    """How many of the bindings with these `names` move in each wave, of `total` that shall have moved at the end.

    A whole number counts bindings, a fraction is a share of all, each with those of the waves before it. What is left
    after the last wave is one more. Neighbours of one name go in the same wave.
    """
    before, moved = total - len(names), 0
    for share in (*shares, 1.0):
        goal = min(share if isinstance(share, int) else ceil(share * total), total)
        end = _end_of_name(names, goal - before)
        if end > moved:
            yield end - moved
            moved = end


@dataclass(frozen=True, slots=True)
class Wave:
    """What moves together, and is proven before the next one moves."""

    number: int
    """As planned, from 1."""
    bindings: Sequence[Binding]
    is_last: bool


def next_wave(todo: Plan, at: int, *, has_canary: bool, is_alone: bool = False) -> Wave | None:
    """What moves when so many of `attach` have had their turn; None after the last.

    Without a canary (nothing has the certificate yet: what had its turn could not be moved) it is another first one, or
    one name alone.
    """
    ends = list(accumulate(todo.waves))
    if not ends or at >= ends[-1]:
        return None
    if has_canary:
        number = bisect_right(ends, at)
        goal = ends[number]
    else:
        number, goal = 0, min(at + (1 if is_alone else ends[0]), ends[-1])
    end = _end_of_name([one.name for one in todo.attach], goal)  # what was drawn has another place than planned
    return Wave(number + 1, todo.attach[at:end], end == ends[-1])


def drawn(todo: Plan, at: int, chance: float, forbidden: int = 0) -> Plan | None:
    """The same with one name of those that wait, by `chance` (from 0 to below 1), before them; None if it is enough.

    Bad ones often lie side by side, and an attempt that was cut short would begin with the same ones again. What an
    endpoint can prove goes before the others. `forbidden`: how many waves were refused as what the account may not do.
    An endpoint may prove just those that it may not: then as many of the others are tried.
    """
    if forbidden >= MOST_FORBIDDEN * (2 if todo.provable else 1):
        return None
    attach, is_front = todo.attach, forbidden < MOST_FORBIDDEN
    front, rest = range(at, todo.provable), range(max(at, todo.provable), len(attach))
    waiting = next((one for one in ((front, rest) if is_front else (rest, front)) if one), None)
    if waiting is None:
        return todo
    start = waiting[int(chance * len(waiting))]
    while start > waiting.start and attach[start - 1].name == attach[start].name:
        start -= 1
    end = _end_of_name([one.name for one in attach], start + 1)
    chosen = (*attach[:at], *attach[start:end], *attach[at:start], *attach[end:])
    return replace(todo, attach=chosen, provable=todo.provable + (end - start if waiting is rest and front else 0))


def in_order() -> float:
    """No chance: whoever waits longest is next."""
    return 0.0


def _end_of_name(names: Sequence[str], end: int) -> int:
    while 0 < end < len(names) and names[end] == names[end - 1]:
        end += 1
    return end


def _name(deployment: Deployment, stored: Stored | None, leaf: Leaf, joint: Joint) -> str:
    return uploaded_name(deployment.name or base_name(stored.name if stored else "", joint), leaf, joint)


def _is_at(bound: Bound, green: Stored | None) -> bool:
    return green is not None and bound.stored is not None and bound.stored.certificate_id == green.certificate_id


def _own(observed: Observed) -> Sequence[Stored]:
    return distinct([*(() if observed.stored is None else (observed.stored,)), *observed.leftovers])


def _serving(observed: Observed) -> Sequence[Stored]:
    return distinct([bound.stored for bound in observed.bound if bound.stored is not None])


def _newer(observed: Observed, leaf: Leaf, urgency: Urgency) -> Stored | None:
    """A newer certificate of the deployment's own that is its latest, or that any of its bindings is shown with.

    Some clouds show a binding with all that it was ever attached to.
    """
    latest = [] if observed.stored is None else [observed.stored]
    shown = {one.certificate_id for one in _serving(observed)}.union(*(one.others for one in observed.bound))
    there = (one for one in _own(observed) if one.certificate_id in shown)
    return next((one for one in (*latest, *there) if supersedes(one, leaf, urgency)), None)


def _others(observed: Observed, green: Stored | None) -> Sequence[Stored]:
    """The deployment's own but the renewed one, the latest first."""
    others = [one for one in _own(observed) if green is None or one.certificate_id != green.certificate_id]
    return sorted(others, key=_began, reverse=True)


def _began(stored: Stored) -> datetime:
    return stored.not_before or stored.stored_at or _NEVER


def _previous(rows: Sequence[Bound], green: Stored | None, *, default: Stored | None) -> Previous | None:
    """Of what is served now where it is to be replaced; also where the renewed one was stored by an earlier attempt."""
    there = (bound.stored for bound in rows if not _is_at(bound, green))
    latest = max((one for one in there if one is not None), key=_began, default=default)
    return None if latest is None else previous_of(latest)


def _to_retire(
    deployment: Deployment, observed: Observed, green: Stored | None, past: Sequence[Placed]
) -> Iterator[Stored]:
    """The deployment's own others whose time has come; where they are kept, it begins with the success of what follows.

    So nothing is over that still serves, nor before the renewed one has succeeded.
    """
    present = green if green is not None else _present(observed)
    proven_at = None if present is None else succeeded_at(present, past)
    is_kept = deployment.retire_after_seconds > 0
    if is_kept and green is not None and proven_at is None:
        return
    serving = {one.certificate_id for one in _serving(observed)}
    for one in _others(observed, green):
        is_idle = one.certificate_id not in serving
        if not is_kept or (is_idle and _is_over(one, present, deployment, observed, proven_at)):
            yield one


def _present(observed: Observed) -> Stored | None:
    """The latest of the deployment's own that any of its bindings is bound to."""
    serving = {one.certificate_id for one in _serving(observed)}
    return max((one for one in _own(observed) if one.certificate_id in serving), key=_began, default=None)


def _is_over(
    one: Stored, present: Stored | None, deployment: Deployment, observed: Observed, proven_at: datetime | None
) -> bool:
    """Whether it was left by an attempt that failed, or was replaced by the present one long enough ago."""
    if present is None or one.stored_at is None or present.stored_at is None:
        return present is None
    left = _seconds_left(one, present, deployment, observed, proven_at)
    return one.stored_at > present.stored_at or (left is not None and left <= 0)


def _seconds_left(
    one: Stored, present: Stored, deployment: Deployment, observed: Observed, proven_at: datetime | None
) -> float | None:
    """Until it has been kept for long enough; None where the present one has not replaced it, as far as is known.

    Where nobody tells when that succeeded (`proven_at`), it is counted from when it was stored.
    """
    if observed.at is None or one.stored_at is None or present.stored_at is None or one.stored_at > present.stored_at:
        return None
    began = present.stored_at if proven_at is None else max(present.stored_at, proven_at)
    return deployment.retire_after_seconds - (observed.at - began).total_seconds()


def replaced_ones(deployment: Deployment, observed: Observed, past: Sequence[Placed] = ()) -> Replaced | None:
    """None where nothing of its own is served. `past`: what was put there before, oldest first.

    What failed attempts left is not among them: the next attempt may have a use for it.
    """
    present = _present(observed)
    if present is None:
        return None
    moved = [bound.binding for bound in observed.bound if bound.stored == present]
    needed, proven_at = _needed_beside(moved, observed), succeeded_at(present, past)
    waiting = [
        (one, left)
        for one in _own(observed)
        if one.certificate_id not in {present.certificate_id, *needed}
        and (left := _seconds_left(one, present, deployment, observed, proven_at)) is not None
    ]
    return Replaced(present, moved, waiting)


def _needed_beside(moved: Sequence[Binding], observed: Observed) -> Collection[str]:
    """Ids of what bindings are bound to that have not moved: some clouds show those that have with both."""
    places = {(one.name, one.instance_id) for one in moved}
    return {
        bound.stored.certificate_id
        for bound in observed.bound
        if bound.stored is not None and (bound.binding.name, bound.binding.instance_id) not in places
    }
