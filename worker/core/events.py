"""The outcome event: what the world is told of a rotation. No key, token or PEM is in it."""

import re
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from worker.core.bundle import Leaf
from worker.core.errors import Failure
from worker.core.outcome import BindingResult, BindingState, DeploymentReport, Outcome, Report, Timing

SCHEMA: Final = "urn:cert-rotation-worker:outcome:1"
MOST_FAILURES: Final = 1000
_FEWER_FAILURES: Final = (100, 10, 0)
_IN_SHORT: Final = "told in short: the broker takes no event of this size"
LONGEST_MESSAGE: Final = 200
_IDS: Final = uuid.UUID("6f1d2c5e-9b6a-5d0e-8a54-3f1c7be0a9d2")
_PEM: Final = re.compile(r"-----BEGIN.*", re.DOTALL)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LeafFacts(_Model):
    serial_number: str
    fingerprint_sha256: str
    not_before: str
    not_after: str
    names: list[str]
    public_key_sha256: str | None = Field(default=None, exclude_if=lambda told: told is None)
    """Of the public key in DER: it tells whether the next certificate has another one."""


class PreviousFacts(_Model):
    serial_number: str | None
    not_after: str | None


class BindingCounts(_Model):
    total: int
    attached: int
    unchanged: int
    failed: int
    rolled_back: int


class FailureFacts(_Model):
    kind: Literal["domain", "listener", "deployment"]
    name: str
    instance_id: str | None = None
    reason: str
    status: int | None = None
    code: str | None = None
    message: str
    attempts: int


class DeploymentFacts(_Model):
    gateway: str
    certificate_id: str | None
    strategy: str
    outcome: Outcome
    reason: str
    replaced: bool
    previous: PreviousFacts | None
    not_after: str | None = Field(default=None, exclude_if=lambda told: told is None)
    """When what is stored now expires, where the gateway tells. Of what the platform renews nothing else does."""
    bindings: BindingCounts
    failures: list[FailureFacts]
    truncated: bool = False


class OutcomeData(_Model):
    certificate: str | None
    renewal_id: str | None
    message_sha256: str | None = Field(default=None, exclude_if=lambda told: told is None)
    """Of the message's body: it tells which message this is of, where a producer uses an id again."""
    outcome: Outcome
    reason: str
    message: str | None = None
    """Why, in words, where the rotation ended before or after its deployments."""
    leaf: LeafFacts | None
    attempt: int
    renewed_at: str | None = Field(default=None, exclude_if=lambda told: told is None)
    """When the renewal was made, as its message tells: from then on until it was served it took so long."""
    started_at: str
    finished_at: str
    duration_seconds: float
    gateway_calls: int
    warnings: list[str] = Field(default=[], exclude_if=lambda told: not told)
    """Reasons of the certificate's rules that only warn; only where there are any."""
    exposed_keys: list[str] = Field(default=[], exclude_if=lambda told: not told)
    """SHA-256 of the public keys (DER) that were replaced because of a compromise: no renewal may bring them again."""
    deployments: list[DeploymentFacts]


class OutcomeEvent(_Model):
    """CloudEvents 1.0 in structured JSON."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str = "/rotation-worker"
    type: str
    subject: str | None = None
    time: str
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Literal["urn:cert-rotation-worker:outcome:1"] = "urn:cert-rotation-worker:outcome:1"
    causationid: str | None = None
    traceparent: str | None = None
    data: OutcomeData


def outcome_event(
    report: Report,
    renewal_id: str | None,
    certificate: str | None,
    timing: Timing,
    traceparent: str | None,
    *,
    id_source: str,
    message_sha256: str | None = None,
) -> dict[str, object]:
    """The event. Its id follows from `id_source` and the outcome, so that a repeat is known as one.

    That is the renewal's id once somebody vouched for it: until then `renewal_id` is what anybody may claim.
    """
    event = OutcomeEvent(
        id=event_id(id_source, report.outcome),
        type=f"certificate.rotation.{report.outcome}",
        subject=certificate,
        time=rfc3339(timing.finished_at),
        causationid=renewal_id,
        traceparent=traceparent,
        data=outcome_data(report, renewal_id, certificate, timing, message_sha256),
    )
    return _dumped(event)


def _dumped(event: OutcomeEvent) -> dict[str, object]:
    absent = {name for name in ("subject", "causationid", "traceparent") if getattr(event, name) is None}
    return event.model_dump(mode="json", exclude=absent)


def shorter(event: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """The same event with ever less in it, for a broker that takes none of its size; the outcome is in each."""
    full = OutcomeEvent.model_validate(event)
    for most in _FEWER_FAILURES:
        deployments = [_with_failures(one, most) for one in full.data.deployments]
        yield _dumped(_with(full, deployments=deployments))
    leaf = None if full.data.leaf is None else full.data.leaf.model_copy(update={"names": []})
    yield _dumped(_with(full, deployments=[], leaf=leaf, message=full.data.message or _IN_SHORT))


def _with(event: OutcomeEvent, **fields: object) -> OutcomeEvent:
    return event.model_copy(update={"data": event.data.model_copy(update=fields)})


def _with_failures(deployment: DeploymentFacts, most: int) -> DeploymentFacts:
    is_cut = deployment.truncated or len(deployment.failures) > most
    return deployment.model_copy(update={"failures": deployment.failures[:most], "truncated": is_cut})


def event_id(id_source: str, outcome: Outcome) -> str:
    return str(uuid.uuid5(_IDS, f"{id_source}|{outcome}"))


def event_ids(id_source: str) -> Collection[str]:
    """Of every outcome that it may have."""
    return [event_id(id_source, outcome) for outcome in get_args(Outcome)]


def outcome_data(
    report: Report,
    renewal_id: str | None,
    certificate: str | None,
    timing: Timing,
    message_sha256: str | None = None,
) -> OutcomeData:
    return OutcomeData(
        certificate=certificate,
        renewal_id=renewal_id,
        message_sha256=message_sha256,
        outcome=report.outcome,
        reason=report.reason,
        message=None if report.failure is None else shown(report.failure.message),
        leaf=_leaf(report.leaf),
        attempt=timing.attempt,
        renewed_at=None if timing.renewed_at is None else rfc3339(timing.renewed_at),
        started_at=rfc3339(timing.started_at),
        finished_at=rfc3339(timing.finished_at),
        duration_seconds=round(timing.duration_seconds, 3),
        gateway_calls=report.gateway_calls,
        warnings=list(report.warnings),
        exposed_keys=list(report.exposed_keys),
        deployments=[_deployment(one) for one in report.deployments],
    )


def _leaf(leaf: Leaf | None) -> LeafFacts | None:
    if leaf is None:
        return None
    return LeafFacts(
        serial_number=str(leaf.serial_number),
        fingerprint_sha256=leaf.fingerprint_sha256,
        not_before=rfc3339(leaf.not_before),
        not_after=rfc3339(leaf.not_after),
        names=list(leaf.names),
        public_key_sha256=leaf.public_key_sha256,
    )


def _deployment(report: DeploymentReport) -> DeploymentFacts:
    failures = _failures(report)
    previous = report.previous
    return DeploymentFacts(
        gateway=report.deployment.gateway,
        certificate_id=report.certificate_id or report.deployment.certificate_id,
        strategy=report.deployment.strategy,
        outcome=report.outcome,
        reason=report.reason,
        replaced=report.replaced,
        previous=None
        if previous is None
        else PreviousFacts(
            serial_number=previous.serial_number,
            not_after=None if previous.not_after is None else rfc3339(previous.not_after),
        ),
        not_after=None if report.not_after is None else rfc3339(report.not_after),
        bindings=_counts(report.bindings),
        failures=failures[:MOST_FAILURES],
        truncated=len(failures) > MOST_FAILURES,
    )


def _counts(results: Sequence[BindingResult]) -> BindingCounts:
    def count(state: BindingState) -> int:
        return sum(result.state == state for result in results)

    return BindingCounts(
        total=len(results),
        attached=count("attached"),
        unchanged=count("unchanged"),
        failed=count("failed"),
        rolled_back=count("rolled_back"),
    )


def _failures(report: DeploymentReport) -> list[FailureFacts]:
    deployment = report.deployment
    whole = [] if report.failure is None else [_failure("deployment", deployment.key, None, report.failure)]
    return whole + [
        _failure(result.binding.kind, result.binding.name, result.binding.instance_id, result.failure)
        for result in report.bindings
        if result.failure is not None
    ]


def _failure(
    kind: Literal["domain", "listener", "deployment"], name: str, instance_id: str | None, failure: Failure
) -> FailureFacts:
    return FailureFacts(
        kind=kind,
        name=name,
        instance_id=instance_id,
        reason=failure.reason,
        status=failure.status,
        code=failure.code,
        message=shown(failure.message),
        attempts=failure.attempts,
    )


def shown(text: str) -> str:
    """At most 200 printable characters in one line, without PEM."""
    start = _PEM.sub("[PEM]", text)[: 4 * LONGEST_MESSAGE]
    printable = "".join(one if one.isprintable() else " " for one in start)
    return " ".join(printable.split())[:LONGEST_MESSAGE]


def rfc3339(at: datetime) -> str:
    """In UTC; fractions only where there are any."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds" if at.microsecond else "seconds").replace("+00:00", "Z")
