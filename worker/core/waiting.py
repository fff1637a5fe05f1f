"""Whether what a rotation would do has to wait for a better time."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from worker.core.deployment import Binding, Deployment
from worker.core.errors import RotationError, TransientError
from worker.core.further import shown_in
from worker.core.planning import Keep, Observed, Plan, Superseded
from worker.core.schedule import Schedule, Wait

Step = Plan | Superseded | RotationError
Gate = Callable[[Sequence[Step]], None]
"""Hears what is about to be done, before anything is. Raises PostponedError where that has to wait."""


def is_superseded(step: Step) -> bool:
    """Also where that is so of a part of it."""
    return isinstance(step, Superseded) or (isinstance(step, Plan) and step.superseded_by is not None)


def names_at(deployment: Deployment, step: Step | None, but: Sequence[Binding] = ()) -> frozenset[str]:
    """Names of all that a deployment serves, or shall serve, as far as its step has seen it; none of these places."""
    if isinstance(step, Plan | Superseded) and step.seen is not None:
        shown = shown_in(step.seen)
    else:
        shown = [] if isinstance(step, Plan) else list(deployment.bindings or ())
    planned = (*step.attach, *step.unchanged) if isinstance(step, Plan) else ()
    there = {one.place for one in but}
    return frozenset(one.name for one in (*planned, *shown) if one.place not in there)


def at_once(_steps: Sequence[Step]) -> None:
    """The gate of who wants it now."""


def dated(step: Plan | Superseded, observed: Observed, elsewhere: datetime | None = None) -> Plan | Superseded:
    """The step, with when the first of what is served there expires, as far as its gateway tells.

    `elsewhere`: the same of what `undated` names.
    """
    if isinstance(step, Superseded):
        return step
    told = [observed.stored, *(bound.stored for bound in observed.bound)]
    ends = [elsewhere, *(one.not_after for one in told if one is not None)]
    return replace(step, expires=min((end for end in ends if end is not None), default=None))


def undated(step: Plan | Superseded, observed: Observed) -> Sequence[Binding]:
    """What is about to be bound, and is bound to something that was not read, if to anything."""
    if isinstance(step, Superseded) or not step.attach:
        return ()
    return [bound.binding for bound in observed.bound if bound.stored is None]


def held_back(wait: Wait | None, steps: Sequence[Step], schedule: Schedule, now: datetime) -> Wait | None:
    """Whether these steps have to wait, and how long; None where they may be carried out.

    They may where nothing is to be changed, where what is served expires soon, and where this very renewal was begun:
    half of it is worse than all of it at a bad time. What cannot be read now may be anything.
    """
    changes = [step for step in steps if isinstance(step, Plan) and not step.is_nothing]
    is_known = not any(isinstance(step, TransientError) for step in steps)
    if wait is None or (is_known and not changes) or any(_is_begun(step) for step in steps):
        return None
    ends = [step.expires for step in changes if step.expires is not None]
    until = min([wait.until, *(end - schedule.near_expiry for end in ends)])
    return None if until <= now else Wait(until, wait.why, is_known)


def _is_begun(step: Step) -> bool:
    """An earlier attempt of the same renewal has put it there, at least in part, or has begun to take it back."""
    if not isinstance(step, Plan):
        return False
    is_there = isinstance(step.replacement, Keep) or bool(step.unchanged)
    return bool(step.bad) or (step.was_replaced and is_there)
