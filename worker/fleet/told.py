"""What an outcome event says of a certificate. What others may have written there is not believed to be of any form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from sys import intern
from typing import Any, Final, get_args

from worker.core.outcome import served_after
from worker.core.past import moment
from worker.core.reporting import ROLLED_BACK
from worker.core.serving import Put, Serving, serving_after, whole_reason
from worker.fleet.standing import Counts, DeploymentStanding, Ended, Outcome
from worker.fleet.values import BindingStanding, BindingState

_OUTCOMES: Final = {one: one for one in get_args(Outcome)}
_MOVING: Final = ("blue_green", "replace", "per_domain")
WHOLE: Final = "deployment"
"""The kind of what failed before it came to single bindings."""
Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OutcomeEvent:
    """An event, read."""

    key: tuple[str, str]
    ended: Ended
    leaf: Facts
    deployments: Sequence[Facts]


def key_of(event: Facts) -> tuple[str, str]:
    """Tells it from every other; the same event may be published twice."""
    return str(event.get("id")), str(event.get("time"))


def told_in(event: Facts) -> OutcomeEvent | None:
    """None for what is no outcome event."""
    data, at = event.get("data"), moment(event.get("time"))
    outcome = _OUTCOMES.get(str(data.get("outcome"))) if isinstance(data, dict) else None
    if not isinstance(data, dict) or at is None or outcome is None:
        return None
    deployments = [one for one in _list(data.get("deployments")) if isinstance(one, dict)]
    leaf = _mapping(data.get("leaf"))
    ended = Ended(
        certificate=_text(event.get("subject")),
        renewal_id=_text(data.get("renewal_id")),
        outcome=outcome,
        reason=intern(str(data.get("reason"))),
        at=at,
        attempt=_number(data.get("attempt"), 1),
        duration=_seconds(data.get("duration_seconds")),
        served_after=served_after(moment(data.get("renewed_at")), at, outcome, str(data.get("reason"))),
        serial_number=_text(leaf.get("serial_number")),
        not_after=moment(leaf.get("not_after")),
        gateway_calls=_number(data.get("gateway_calls"), 0),
        bindings=_sum([counts_in(one) for one in deployments]),
        message=_text(data.get("message")),
        warnings=tuple(str(one) for one in _list(data.get("warnings"))),
    )
    return OutcomeEvent(key_of(event), ended, leaf, deployments)


def matched(known: Sequence[DeploymentStanding], told: Sequence[Facts]) -> Sequence[Facts | None]:
    """Of each known deployment what is told of it: by its stored certificate, else by gateway and strategy in order.

    Where bindings move, the stored certificate is another one each time.
    """
    left = list(told)
    found = [_taken(left, one, "certificate_id") for one in known]
    return [
        _taken(left, one, "strategy") if it is None and (one.certificate_id is None or one.strategy in _MOVING) else it
        for one, it in zip(known, found, strict=True)
    ]


def _taken(left: list[Facts], known: DeploymentStanding, field: str) -> Facts | None:
    wanted = getattr(known, field)
    for one in left:
        if wanted is not None and one.get("gateway") == known.gateway and one.get(field) == wanted:
            left.remove(one)
            return one
    return None


def stands_after(known: DeploymentStanding, told: OutcomeEvent, facts: Facts | None) -> DeploymentStanding:
    """A deployment after an outcome; `facts` None: nothing was done or learned there."""
    if facts is None:
        return known
    counts = counts_in(facts)
    stands = replace(
        known,
        outcome=_OUTCOMES.get(str(facts.get("outcome")), told.ended.outcome),
        reason=str(facts.get("reason")),
        bindings=counts if counts.total else known.bindings,  # of what was not looked at none are told
        at=told.ended.at,
        stored_as=_stored_as(known, facts),
    )
    return _serving(stands, told, facts)


def _stored_as(known: DeploymentStanding, facts: Facts) -> str | None:
    """Where nothing was looked at, events name the settings' own, whatever is stored by now."""
    told = _text(facts.get("certificate_id"))
    is_seen = facts.get("outcome") != "failed" or facts.get("replaced") or facts.get("previous")
    return told if told and (is_seen or told != known.certificate_id) else known.stored_as


def _serving(known: DeploymentStanding, told: OutcomeEvent, facts: Facts) -> DeploymentStanding:
    """What is served there, as far as it is told. What may be one of several ends with the first of them."""
    leaf = Serving.told(told.leaf)
    if facts.get("outcome") == "superseded" and leaf is not None and not _may_be_newer(known, leaf):
        known = replace(known, serial_number=None, not_before=None)
    now = serving_after(Put.told(facts), leaf, whole_reason(told.ended.outcome, told.ended.reason, told.ended.message))
    if now is None or (now.not_before is None and (now.serial_number, now.not_after) == _shown(known)):
        return known
    ends = known.not_after if now.not_after is None else now.not_after
    return replace(known, serial_number=now.serial_number, not_before=now.not_before, not_after=ends)


def _may_be_newer(known: DeploymentStanding, leaf: Serving) -> bool:
    """Whether it may be that which was found there, and is newer than the leaf."""
    if known.not_before is None or leaf.not_before is None:
        return known.not_after is not None and leaf.not_after is not None and known.not_after > leaf.not_after
    begins, ends = known.not_before, known.not_after or known.not_before
    return (begins, ends) > (leaf.not_before, leaf.not_after or leaf.not_before)


def _shown(known: DeploymentStanding) -> tuple[str | None, datetime | None]:
    return known.serial_number, known.not_after


def failed_in(facts: Facts | None) -> Sequence[BindingStanding]:
    """The bindings that failed or were bad and went back, as far as the event names them."""
    given = facts or {}
    state: BindingState = "rolled_back" if went_back(given) else "failed"
    return [_failed(one, state) for one in _list(given.get("failures")) if isinstance(one, dict)]


def went_back(facts: Facts) -> bool:
    """Whether all that was moved at a deployment went back to where it was."""
    return facts.get("reason") == ROLLED_BACK


def _failed(failure: Facts, state: BindingState) -> BindingStanding:
    status = failure.get("status")
    return BindingStanding(
        kind=str(failure.get("kind")),
        name=str(failure.get("name")),
        instance_id=_text(failure.get("instance_id")),
        state=state,
        reason=str(failure.get("reason")),
        status=status if isinstance(status, int) else None,
        code=_text(failure.get("code")),
        message=_text(failure.get("message")),
        attempts=_number(failure.get("attempts"), 1),
    )


def counts_in(deployment: Facts) -> Counts:
    told = _mapping(deployment.get("bindings"))
    names = ("total", "attached", "unchanged", "failed", "rolled_back")
    return Counts(*(_number(told.get(name), 0) for name in names))


def _sum(counts: Sequence[Counts]) -> Counts:
    total = Counts()
    for one in counts:
        total = total.plus(one)
    return total


def _mapping(value: object) -> Facts:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
