"""What is served at a deployment after a rotation ended there: one rule for the page and for the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from worker.core.bundle import Leaf
from worker.core.outcome import DeploymentReport
from worker.core.past import moment
from worker.core.reporting import ROLLED_BACK

STILL_OLD: Final = "still_old"
_UNPROVEN: Final = frozenset({STILL_OLD, "other_certificate", "chain_incomplete", "not_reachable"})
"""Reasons that say that clients are not known to be served the new one as it shall be."""
Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Serving:
    """A certificate that is served. What nobody knows is None."""

    serial_number: str | None
    not_before: datetime | None
    not_after: datetime | None
    """Where it may be one of several: when the first of them ends."""

    @classmethod
    def of(cls, leaf: Leaf | None) -> Self | None:
        return None if leaf is None else cls(str(leaf.serial_number), leaf.not_before, leaf.not_after)

    @classmethod
    def told(cls, facts: object) -> Self | None:
        """Of what an event says of a leaf, or of what was there before it."""
        if not isinstance(facts, dict) or not facts:
            return None
        serial = facts.get("serial_number")
        begins, ends = moment(facts.get("not_before")), moment(facts.get("not_after"))
        return cls(serial if isinstance(serial, str) else None, begins, ends)


@dataclass(frozen=True, slots=True)
class Put:
    """How a deployment ended, as far as it tells what is served there."""

    strategy: str
    outcome: str
    reason: str
    reasons: frozenset[str]
    """Also those of its failures."""
    replaced: bool
    attached: int
    failed: int
    previous: Serving | None
    not_after: datetime | None
    """As the gateway tells it."""

    @classmethod
    def of(cls, one: DeploymentReport) -> Self:
        reasons = frozenset({one.reason, *(failure.reason for failure in one.failures)})
        before = one.previous
        states = [binding.state for binding in one.bindings]
        return cls(
            one.deployment.strategy,
            one.outcome,
            one.reason,
            reasons,
            one.replaced,
            states.count("attached"),
            states.count("failed"),
            None if before is None else Serving(before.serial_number, None, before.not_after),
            one.not_after,
        )

    @classmethod
    def told(cls, facts: Facts) -> Self:
        failures, counts = facts.get("failures"), facts.get("bindings")
        listed = failures if isinstance(failures, list) else ()
        reasons = {str(one.get("reason")) for one in listed if isinstance(one, dict)}
        number = counts if isinstance(counts, dict) else {}
        return cls(
            str(facts.get("strategy")),
            str(facts.get("outcome")),
            str(facts.get("reason")),
            frozenset({str(facts.get("reason")), *reasons}),
            bool(facts.get("replaced")),
            _number(number.get("attached")),
            _number(number.get("failed")),
            Serving.told(facts.get("previous")),
            moment(facts.get("not_after")),
        )


def serving_after(ended: Put, leaf: Serving | None, whole: str | None) -> Serving | None:
    """None where nothing was learned of it: what was known stays known.

    `whole`: why the rotation failed, where that was no single deployment's.
    """
    if ended.strategy == "rebind":
        return None if ended.not_after is None else Serving(None, None, ended.not_after)
    if leaf is None or not _is_put(ended):
        return _before(ended)
    if ended.reasons & _UNPROVEN or whole in _UNPROVEN:
        return _unproven(ended, leaf, is_old=STILL_OLD in ended.reasons or whole == STILL_OLD)
    if ended.outcome == "failed" and ended.failed and ended.strategy != "in_place":
        return _either(ended, leaf)  # a binding that failed serves still what it did before
    return leaf


def whole_reason(outcome: object, reason: object, message: object) -> str | None:
    """Why a rotation failed that failed as a whole: then it says so in words of its own."""
    return str(reason) if outcome == "failed" and message is not None else None


def _is_put(ended: Put) -> bool:
    """Whether the new one was put there and has stayed, be it not everywhere."""
    if ended.outcome == "succeeded":
        return True
    is_there = ended.attached > 0 or ended.strategy == "in_place" or bool(ended.reasons & _UNPROVEN)
    return ended.reason != ROLLED_BACK and ended.replaced and is_there


def _before(ended: Put) -> Serving | None:
    known = ended.previous
    return known if known is not None and known.not_after is not None else None


def _unproven(ended: Put, leaf: Serving, *, is_old: bool) -> Serving:
    known = _before(ended)
    return known if is_old and known is not None else _either(ended, leaf)


def _either(ended: Put, leaf: Serving) -> Serving:
    """Which of both, nobody knows; nor when it ends, unless it is told what was there before."""
    known = _before(ended)
    ends = [one.not_after for one in (known, leaf) if one is not None and one.not_after is not None]
    return Serving(None, None, None if known is None else min(ends))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
