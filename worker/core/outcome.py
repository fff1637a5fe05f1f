"""What came of a rotation, and what is to be done with its message."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal, assert_never

from worker.core.backoff import RetryPolicy
from worker.core.bundle import Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure

ALREADY_CURRENT: Final = "already_current"
"""The reason of what succeeded without doing anything."""
_LONGEST: Final = 90 * 86400.0
"""Seconds: who says that it was renewed before that has a wrong clock."""
Outcome = Literal["succeeded", "failed", "superseded"]
BindingState = Literal["attached", "unchanged", "failed", "rolled_back"]


@dataclass(frozen=True, slots=True)
class Previous:
    """What was stored before; gateways that do not tell serial numbers leave it None."""

    serial_number: str | None
    not_after: datetime | None


@dataclass(frozen=True, slots=True)
class BindingResult:
    """How one binding ended; `failure` when `state` is "failed", and of one that was bad and went back."""

    binding: Binding
    state: BindingState
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class DeploymentReport:
    """How one deployment ended."""

    deployment: Deployment
    outcome: Outcome
    reason: str
    certificate_id: str | None = None
    replaced: bool = False
    previous: Previous | None = None
    not_after: datetime | None = None
    """When what is stored now expires, where the gateway tells."""
    bindings: Sequence[BindingResult] = ()
    failure: Failure | None = None
    """What failed for the deployment as a whole, apart from its bindings."""

    @property
    def failures(self) -> tuple[Failure, ...]:
        whole = () if self.failure is None else (self.failure,)
        return whole + tuple(result.failure for result in self.bindings if result.failure is not None)


def attempted(report: DeploymentReport) -> DeploymentReport:
    """The report, each of its failures counted as an attempt."""
    if all(failure.is_attempt for failure in report.failures):
        return report
    whole = None if report.failure is None else replace(report.failure, is_attempt=True)
    results = tuple(
        one if one.failure is None else replace(one, failure=replace(one.failure, is_attempt=True))
        for one in report.bindings
    )
    return replace(report, failure=whole, bindings=results)


@dataclass(frozen=True, slots=True)
class Report:
    """How a rotation ended. `leaf` is None where the material was held by the platform or never read."""

    outcome: Outcome
    reason: str
    leaf: Leaf | None = None
    deployments: Sequence[DeploymentReport] = ()
    failure: Failure | None = None
    """What failed before any deployment was looked at."""
    gateway_calls: int = 0
    warnings: tuple[str, ...] = ()
    """Reasons of the certificate's rules that only warn."""
    exposed_keys: tuple[str, ...] = ()
    """SHA-256 of the public keys that no renewal of the certificate may bring again."""

    @classmethod
    def refused(cls, failure: Failure, leaf: Leaf | None = None) -> "Report":
        """Failed before anything was changed."""
        return cls(outcome="failed", reason=failure.reason, leaf=leaf, failure=failure)

    @property
    def failures(self) -> tuple[Failure, ...]:
        whole = () if self.failure is None else (self.failure,)
        return whole + tuple(failure for report in self.deployments for failure in report.failures)


def conclude(leaf: Leaf | None, deployments: Sequence[DeploymentReport]) -> Report:
    """The rotation's outcome from those of its deployments: failed beats superseded beats succeeded.

    A rotation succeeded only when every deployment did; one that found a newer certificate somewhere is superseded,
    because the renewal is not what is served there.
    """
    outcomes = {report.outcome for report in deployments}
    outcome: Outcome = "failed" if "failed" in outcomes else "superseded" if "superseded" in outcomes else "succeeded"
    reasons = [report.reason for report in deployments if report.outcome == outcome]
    changed = [reason for reason in reasons if reason != ALREADY_CURRENT]
    reason = (changed or reasons or [ALREADY_CURRENT])[0]
    return Report(outcome, reason, leaf, tuple(deployments))


@dataclass(frozen=True, slots=True)
class Done:
    """Finished: publish the outcome, then ack."""


@dataclass(frozen=True, slots=True)
class ParkFor:
    """Try again after `delay` seconds; an attempt that is not `counted` never leads to giving up."""

    delay: float
    counted: bool = True


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Publish the failure, then move the message to the dead queue with this reason."""

    reason: str


Disposition = Done | ParkFor | GiveUp


def dispose(report: Report, *, attempt: int, policy: RetryPolicy) -> Disposition:
    """What becomes of the message after its `attempt`th try (counted from 1)."""
    match report.outcome:
        case "succeeded" | "superseded":
            return Done()
        case "failed":
            transient = [failure for failure in report.failures if failure.transient]
            asked = max((failure.hold for failure in transient), default=0.0)
            if not all(failure.is_attempt for failure in transient):
                return ParkFor(max(policy.delay(1), asked), counted=False)
            if transient and attempt < policy.attempts:
                return ParkFor(max(policy.delay(attempt), asked))
            return GiveUp(report.reason)
        case _:
            assert_never(report.outcome)


@dataclass(frozen=True, slots=True)
class Timing:
    """When a rotation ran: aware UTC datetimes, and its duration by the loop's clock in seconds."""

    started_at: datetime
    finished_at: datetime
    duration_seconds: float
    attempt: int = field(default=1)
    renewed_at: datetime | None = None
    """When the renewal was made, where its message tells."""

    def served_after(self, report: Report) -> float | None:
        """Seconds from the renewal to where it is served; None where it was there already, or did not come there."""
        return served_after(self.renewed_at, self.finished_at, report.outcome, report.reason)


def served_after(renewed_at: datetime | None, at: datetime, outcome: str, reason: str) -> float | None:
    """Only of what was brought there by this renewal; never negative, and never more than 90 days."""
    if renewed_at is None or outcome != "succeeded" or reason == ALREADY_CURRENT:
        return None
    return min(max((at - renewed_at).total_seconds(), 0.0), _LONGEST)
