"""The report of a deployment, by how far it came."""

from collections.abc import Sequence

from worker.core.deployment import Deployment
from worker.core.errors import Failure
from worker.core.outcome import BindingResult, DeploymentReport, Outcome
from worker.core.planning import Keep, Modify, Plan, Stored, UploadEach
from worker.core.readback import FLAG_MOVED


def not_planned(deployment: Deployment, failure: Failure) -> DeploymentReport:
    """Each listed binding has failed; where the gateway should have told them, the deployment as a whole."""
    results = tuple(BindingResult(binding, "failed", failure) for binding in deployment.bindings or ())
    whole = None if results else failure
    return DeploymentReport(
        deployment, "failed", failure.reason, deployment.certificate_id, bindings=results, failure=whole
    )


def not_replaced(
    deployment: Deployment, todo: Plan, unchanged: tuple[BindingResult, ...], failure: Failure
) -> DeploymentReport:
    results = unchanged + tuple(BindingResult(binding, "failed", failure) for binding in todo.attach)
    whole = None if todo.attach else failure
    certificate_id = todo.replacement.stored.certificate_id if isinstance(todo.replacement, Modify) else None
    return DeploymentReport(
        deployment, "failed", failure.reason, certificate_id, previous=todo.previous, bindings=results, failure=whole
    )


def unconfirmed(results: Sequence[BindingResult], failure: Failure) -> tuple[BindingResult, ...]:
    return tuple(
        result if result.state == "failed" else BindingResult(result.binding, "failed", failure) for result in results
    )


def reported(
    deployment: Deployment, todo: Plan, stored: Stored | None, results: Sequence[BindingResult]
) -> DeploymentReport:
    is_replaced = (todo.was_replaced or not isinstance(todo.replacement, Keep | UploadEach)) or (
        isinstance(todo.replacement, UploadEach) and any(result.state == "attached" for result in results)
    )
    outcome, reason = _ended(todo, results, is_replaced=is_replaced)
    return DeploymentReport(
        deployment,
        outcome,
        reason,
        None if stored is None else stored.certificate_id,
        replaced=is_replaced,
        previous=todo.previous,
        not_after=None if stored is None else stored.not_after,
        bindings=results,
    )


def _ended(todo: Plan, results: Sequence[BindingResult], *, is_replaced: bool) -> tuple[Outcome, str]:
    """Outcome and reason of a deployment that was carried out."""
    reasons = {result.failure.reason for result in results if result.failure is not None}
    if reasons:
        return "failed", FLAG_MOVED if reasons == {FLAG_MOVED} else "binding_failed"
    if todo.superseded_by is not None:
        return "superseded", "downgrade"
    return "succeeded", "rotated" if is_replaced or todo.attach else "already_current"
