"""What a deployment was like before a renewal's first change to it, as its later attempts need to know."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure
from worker.core.outcome import Previous
from worker.core.planning import Bound, Create, Keep, Modify, Observed, Plan, Stored, Superseded
from worker.core.proof import NOT_LOOKED, Reach, Shortfall
from worker.core.urgency import ORDINARY, Urgency

_TOLD: Final = 100
"""So many verdicts are kept in full: thousands of domains that are bad are so for one reason."""
_UNTOLD: Final = "found bad by an earlier attempt"
Flags = Mapping[tuple[str, str | None], bool]
Place = tuple[str, str | None, bool]
"""A binding's name, its instance, and whether it is one by SNI."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a binding was before it moved."""

    certificate_id: str | None
    """None: bound to nothing."""
    flag: bool | None = None


Origins = Mapping[Place, Origin]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why what was served somewhere was bad. `place` is None for what belongs to no binding."""

    place: Place | None
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Condemned:
    """What is bad and has to go back, whatever a later attempt would find."""

    verdicts: tuple[Verdict, ...]
    moved: frozenset[Place] = frozenset()
    """What had moved by then, of what moves to another stored certificate."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Client-verification flags, and what was replaced: after the first change nothing else tells."""

    flags: Flags = field(default_factory=dict)
    previous: Previous | None = None
    is_replaced: bool = False
    """An earlier attempt was to put the renewed certificate there: if it is there now, this renewal did it."""
    replaced_at: datetime | None = None
    """When that was written which an earlier attempt was to replace: if it was written later, this renewal did it."""
    origins: Origins = field(default_factory=dict)
    """Of bindings that move to another stored certificate."""
    bad: Condemned | None = None
    """An earlier attempt was to take it all back."""
    reach: Reach = NOT_LOOKED
    """Of endpoints, before the first change."""
    has_client_ca: bool = False
    """What is put there has to have one: what it replaces had, or it was to be stored with one."""

    @property
    def certificates(self) -> frozenset[str]:
        """Ids of the stored certificates that bindings have moved from."""
        return frozenset(one.certificate_id for one in self.origins.values() if one.certificate_id is not None)

    def with_plan(self, todo: Plan, reach: Reach | None = None, *, has_client_ca: bool = False) -> "Snapshot":
        """Also what a plan knows that was made before its change."""
        is_moving = bool(todo.waves) and todo.previous is not None
        is_replaced = self.is_replaced or is_moving or not isinstance(todo.replacement, Keep)
        replaced_at = self.replaced_at or _written_at(todo)
        flags, origins = {**self.flags, **_flags_in(todo)}, {**self.origins, **dict(self._news_in(todo))}
        previous = self.previous or todo.previous
        known = self.reach if reach is None else self.reach.joined(reach)
        has_ca = self.has_client_ca or has_client_ca
        return Snapshot(flags, previous, is_replaced, replaced_at, origins, self.bad, known, has_ca)

    def _news_in(self, todo: Plan) -> Iterator[tuple[Place, Origin]]:
        """Where bindings are that nothing is noted of, or that somebody has bound to something else since."""
        for one, was in todo.back_to.items():
            known = self.origins.get(one.place)
            if known is None or (was.stored is not None and known.certificate_id not in (_id(was), *was.others)):
                yield one.place, Origin(_id(was), was.client_verification)

    def condemned(self, moved: Sequence[Binding], shortfalls: Sequence[Shortfall]) -> "Snapshot":
        """Also that it is bad, and what of it has moved."""
        verdicts = (_verdict(one, is_told=at < _TOLD) for at, one in enumerate(shortfalls))
        places = frozenset(one.place for one in moved)
        return replace(self, bad=self.bad or Condemned(tuple(verdicts), places))

    def followed_by(self, later: "Snapshot") -> "Snapshot":
        """Both as one. What was known first stands: what was seen later may be what we moved.

        Not so of where bindings were: each note tells what was known, and what somebody has bound elsewhere since.
        """
        previous = self.previous or later.previous
        is_replaced, replaced_at = self.is_replaced or later.is_replaced, self.replaced_at or later.replaced_at
        since = {place: one for place, one in later.origins.items() if one.certificate_id is not None}
        origins = {**later.origins, **self.origins, **since}
        bad, reach = self.bad or later.bad, later.reach if self.reach == NOT_LOOKED else self.reach
        has_ca = self.has_client_ca or later.has_client_ca
        return Snapshot({**later.flags, **self.flags}, previous, is_replaced, replaced_at, origins, bad, reach, has_ca)

    def condemned_in(self, observed: Observed, urgency: Urgency) -> frozenset[Place]:
        """Of what is observed, what had moved when it was found bad and has to go back wherever it has not."""
        if self.bad is None or urgency.is_key_exposed:
            return frozenset()
        as_noted = _as_noted(self.bad.moved)
        return frozenset(one.binding.place for one in observed.bound if as_noted(one.binding.place) in self.bad.moved)

    def planned_in(self, observed: Observed, urgency: Urgency) -> frozenset[Place]:
        """Of what is observed, what an earlier attempt was to move from where it still is, or to take back."""
        from_here = (one.binding.place for one in observed.bound if self._is_where_it_was(one))
        return self.condemned_in(observed, urgency).union(from_here)

    def known_to(self, urgency: Urgency) -> Urgency:
        """Since when what is stored may be this renewal's: a renewal that tells no time would write again and again."""
        if urgency.stored_after is None or self.replaced_at is None:
            return urgency
        return replace(urgency, stored_after=min(urgency.stored_after, self.replaced_at))

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
        name, instance_id, _ = binding.place
        flag = self.flags.get((name, instance_id), self.flags.get((name, None)))
        return Bound(binding.with_flag(flag), bound.stored, bound.client_verification, bound.others)

    def told(self, step: Plan | Superseded, urgency: Urgency = ORDINARY) -> Plan | Superseded:
        """The step, with what earlier attempts have done. To an exposed key nothing goes back, whatever was found."""
        return step if isinstance(step, Superseded) else self._seen_at(step).told_as_shown(step, urgency)

    def _seen_at(self, step: Plan) -> "Snapshot":
        """By the places as the step has them: a listed domain that is bound to nothing is on no instance."""
        if not self.origins and self.bad is None:
            return self
        bad, as_noted = self.bad or Condemned(()), _as_noted(self._places)
        noted = [(one.place, as_noted(one.place)) for one in (*step.attach, *step.unchanged)]
        shown = {was: now for now, was in reversed(noted)}
        origins = {now: self.origins[was] for now, was in noted if was in self.origins}
        moved = frozenset(now for now, was in noted if was in bad.moved)
        verdicts = (
            one if one.place is None else replace(one, place=shown.get(one.place, one.place)) for one in bad.verdicts
        )
        return replace(self, origins=origins, bad=self.bad and Condemned(tuple(verdicts), moved))

    @property
    def _places(self) -> Collection[Place]:
        bad = self.bad or Condemned(())
        return {*self.origins, *bad.moved, *(one.place for one in bad.verdicts if one.place is not None)}

    def told_as_shown(self, step: Plan, urgency: Urgency) -> Plan:
        """As `told`, of places that have the names that the step has for them."""
        came = {**step.from_old, **dict(self._came_from(step))}
        adrift = frozenset[Binding]()
        if self.bad is not None and not urgency.is_key_exposed:
            step = self._going_back(step, self.bad)
            adrift = frozenset(self._adrift(step))
            came |= {one: self._origin(one, step) for one in adrift}
        return replace(
            step,
            previous=step.previous or self.previous,
            was_replaced=self.is_replaced,
            reach=self.reach,
            back_to={**step.back_to, **came},
            moved=tuple(binding for binding in came if binding not in step.back_to or binding in adrift),
        )

    def _came_from(self, step: Plan) -> Iterator[tuple[Binding, Bound]]:
        """What has moved, or is as it was but for its flag. What somebody else has moved since then is theirs."""
        known = {one.certificate_id: one for one in _stored_in(step)}
        for binding in (*step.attach, *step.unchanged) if self.origins else ():
            origin, now = self.origins.get(binding.place), step.back_to.get(binding)
            if origin is not None and (now is None or _id(now) == origin.certificate_id):
                yield binding, Bound(binding, _stored(origin.certificate_id, known), origin.flag)

    def _going_back(self, step: Plan, bad: Condemned) -> Plan:
        """What had moved and is as it was has gone back; what is bound to something else is somebody else's."""
        bindings = {one.place: one for one in (*step.attach, *step.unchanged)}
        shortfalls = [_shortfall(one, None if one.place is None else bindings.get(one.place)) for one in bad.verdicts]
        moved = [one for one in step.back_to if one.place in bad.moved]
        returned = tuple(one for one in moved if self._is_as_before(step.back_to[one]))
        strayed = tuple(one for one in moved if self._is_elsewhere(step.back_to[one]))
        if not step.waves:  # in its own place nothing is noted of what was bound there from the first
            gone = (one for one, now in step.back_to.items() if one.place not in self.origins and _id(now) is not None)
            strayed += tuple(gone)
        return replace(step, bad=tuple(shortfalls), returned=returned, strayed=strayed)

    def _adrift(self, step: Plan) -> Iterator[Binding]:
        """What had moved and is bound to nothing by now, or has not the flag it had: it goes back like the others."""
        settled = {*step.returned, *step.strayed}
        moved = frozenset[Place]() if self.bad is None else self.bad.moved
        yield from (one for one in step.back_to if one.place in moved and one not in settled)

    def _is_as_before(self, now: Bound) -> bool:
        """What nobody has noted is taken to be so."""
        origin = self.origins.get(now.binding.place)
        is_there = origin is None or origin.certificate_id in (_id(now), *now.others)
        return is_there and (origin is None or {origin.flag, now.client_verification} != {True, False})

    def _is_where_it_was(self, now: Bound) -> bool:
        origin = self.origins.get(now.binding.place)
        return origin is not None and origin.certificate_id in {_id(now), *now.others} - {None}

    def _is_elsewhere(self, now: Bound) -> bool:
        origin = self.origins.get(now.binding.place)
        return origin is not None and _id(now) is not None and origin.certificate_id not in (_id(now), *now.others)

    def _origin(self, binding: Binding, step: Plan) -> Bound:
        origin, known = self.origins[binding.place], {one.certificate_id: one for one in _stored_in(step)}
        return Bound(binding, _stored(origin.certificate_id, known), origin.flag)


def is_at_risk(snapshot: Snapshot, deployment: Deployment, todo: Plan, *, is_kept: bool = False) -> bool:
    """Whether the plan changes something of which nothing but the snapshot tells how it was.

    That is where bindings have moved from; what is to come back in its own place, where `is_kept`; a client CA; and
    flags.
    """
    replacement = todo.replacement
    if todo.waves:
        return True
    if todo.is_nothing or isinstance(replacement, Keep):
        return False
    if snapshot.has_client_ca:
        return True
    if is_kept and isinstance(replacement, Modify):
        return True
    is_moving = any(snapshot.flags.values()) or (bool(snapshot.flags) and bool(deployment.trusted_root_ca))
    return is_moving and not _is_pinned(deployment)


def is_with_client_ca(deployment: Deployment, todo: Plan) -> bool:
    """Whether what the plan stores has a client CA, if its gateway does as it is told."""
    match todo.replacement:
        case Modify(stored):
            return bool(stored.has_trusted_root_ca)
        case Create():
            return deployment.trusted_root_ca is not None
        case _:
            return False


def _is_pinned(deployment: Deployment) -> bool:
    """Whether the settings say of every flag what it shall be."""
    bindings = deployment.bindings
    return bindings is not None and all(one.client_verification is not None for one in bindings)


def _as_noted(places: Collection[Place]) -> Callable[[Place], Place]:
    """Under which of these each place is noted, if it is: where it was bound to nothing, or is now, by its name."""
    by_name = {(name, sni): (name, at, sni) for name, at, sni in places}

    def noted(place: Place) -> Place:
        name, instance_id, sni = place
        if place in places:
            return place
        return by_name.get((name, sni), place) if instance_id is None else (name, None, sni)

    return noted


def _shortfall(verdict: Verdict, binding: Binding | None) -> Shortfall:
    return Shortfall(Failure(verdict.reason, verdict.message or _UNTOLD, transient=True), binding, "")


def _verdict(shortfall: Shortfall, *, is_told: bool) -> Verdict:
    place = None if shortfall.binding is None else shortfall.binding.place
    return Verdict(place, shortfall.failure.reason, shortfall.failure.message if is_told else "")


def _written_at(todo: Plan) -> datetime | None:
    return todo.replacement.stored.issued_before if isinstance(todo.replacement, Modify) else None


def _flags_in(todo: Plan) -> Flags:
    """The flags that the plan means its bindings to have."""
    bindings = (*todo.attach, *todo.unchanged)
    return {one.place[:2]: one.client_verification for one in bindings if one.client_verification is not None}


def _id(bound: Bound) -> str | None:
    return None if bound.stored is None else bound.stored.certificate_id


def _stored_in(todo: Plan) -> Iterator[Stored]:
    yield from todo.retire
    yield from (bound.stored for bound in todo.back_to.values() if bound.stored is not None)


def _stored(certificate_id: str | None, known: Mapping[str, Stored]) -> Stored | None:
    """Where nothing is bound to it any more, its id may be all that is known of it."""
    return None if certificate_id is None else known.get(certificate_id, Stored(certificate_id, ""))
