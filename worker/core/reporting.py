"""The report of a deployment, by how far it came."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final

from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure
from worker.core.outcome import ALREADY_CURRENT, BindingResult, DeploymentReport, Outcome
from worker.core.planning import Create, Modify, Plan, Stored, UploadEach
from worker.core.proof import Shortfall
from worker.core.readback import FLAG_MOVED

ROLLED_BACK: Final = "rolled_back"
STANDSTILL: Final = Failure("gateway_unavailable", "nothing more was reached in a whole time slice", transient=True)
NOTHING_BACK: Final = "; nothing could be put back"
OLD_EXPIRED: Final = f"{NOTHING_BACK}: the certificate before has expired"
UNKNOWN: Final = f"{NOTHING_BACK}: nobody knows what was there before"
SERVED_AGAIN: Final = "; the certificate before is served again"
NOT_PROVEN: Final = "; it went back, which is not proven"
STRAYED: Final = Failure(
    "binding_failed", "went forth, and is bound to another certificate by now: it is left there", transient=False
)
KEY_EXPOSED: Final = "; nothing goes back: strangers may have the key of the certificate before"


def not_planned(deployment: Deployment, failure: Failure, before: DeploymentReport | None = None) -> DeploymentReport:
    """Each listed binding has failed; where the gateway should have told them, the deployment as a whole.

    `before`: of an earlier attempt, that replaced something.
    """
    results = tuple(BindingResult(binding, "failed", failure) for binding in deployment.bindings or ())
    whole, reason = None if results else failure, failure.reason
    told = DeploymentReport(deployment, "failed", reason, deployment.certificate_id, bindings=results, failure=whole)
    if before is None:
        return told
    place = before.certificate_id
    return replace(told, certificate_id=place, replaced=True, previous=before.previous, not_after=before.not_after)


def left_off(deployment: Deployment, failure: Failure, before: DeploymentReport | None) -> DeploymentReport:
    """Of one that does not come to its end. `before`: what was there when it was last known."""
    if before is None:
        return not_planned(deployment, failure)
    return replace(before, outcome="failed", reason=failure.reason, failure=failure)


def not_replaced(
    deployment: Deployment, todo: Plan, unchanged: tuple[BindingResult, ...], failure: Failure
) -> DeploymentReport:
    results = unchanged + tuple(BindingResult(binding, "failed", failure) for binding in todo.attach)
    whole = None if todo.attach else failure
    return DeploymentReport(
        deployment, "failed", failure.reason, _served(todo), previous=todo.previous, bindings=results, failure=whole
    )


def _served(todo: Plan) -> str | None:
    """The id of what is served while nothing is changed."""
    places = [place.stored for place in todo.back_to.values()]
    stored = [todo.replacement.stored] if isinstance(todo.replacement, Modify) else places
    return next((one.certificate_id for one in stored if one is not None), None)


def unconfirmed(results: Sequence[BindingResult], failure: Failure) -> tuple[BindingResult, ...]:
    return tuple(
        result if result.state == "failed" else BindingResult(result.binding, "failed", failure) for result in results
    )


def reported(
    deployment: Deployment, todo: Plan, stored: Stored | None, results: Sequence[BindingResult]
) -> DeploymentReport:
    is_replaced = todo.was_replaced or _has_replaced(todo, results)
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


def _has_replaced(todo: Plan, results: Sequence[BindingResult]) -> bool:
    """In this attempt: what is stored already has replaced another where it is bound in its place."""
    if isinstance(todo.replacement, Modify | Create):
        return True
    is_moved = any(result.state == "attached" for result in results)
    return is_moved and (isinstance(todo.replacement, UploadEach) or todo.previous is not None)


def _ended(todo: Plan, results: Sequence[BindingResult], *, is_replaced: bool) -> tuple[Outcome, str]:
    """Outcome and reason of a deployment that was carried out."""
    reasons = {result.failure.reason for result in results if result.failure is not None}
    if reasons:
        return "failed", FLAG_MOVED if reasons == {FLAG_MOVED} else "binding_failed"
    if todo.superseded_by is not None:
        return "superseded", "downgrade"
    return "succeeded", "rotated" if is_replaced or todo.attach else ALREADY_CURRENT


def unproven(report: DeploymentReport, shortfalls: Sequence[Shortfall], *, why: str) -> DeploymentReport:
    """Attached, but not served as it shall be, and nothing was there that could be put back: `why` says so.

    What belongs to no binding is the whole certificate's, and told there.
    """
    told = {one.binding: one.failure for one in shortfalls if one.binding is not None}
    if why:
        told = {one: replace(it, message=it.message + why) for one, it in told.items()}
    results = tuple(
        BindingResult(one.binding, "failed", told[one.binding]) if one.binding in told else one
        for one in report.bindings
    )
    first = next((one.failure for one in results if one.binding in told), None)
    if first is None:
        return report
    return replace(report, outcome="failed", reason=first.reason, bindings=results)


def rolled_back(
    report: DeploymentReport,
    shortfalls: Sequence[Shortfall],
    returned: Collection[BindingResult],
    old: Stored | None,
    *,
    failure: Failure | None,
) -> DeploymentReport:
    """What was `returned`, to `old`: why is told with the bindings that were bad.

    That is final once all are back: another attempt would bring what is bad once more. `failure`: why the place itself
    has not its material back; bindings alone do not tell, for there may be none.
    """
    stuck, refused = _stuck(report, shortfalls, returned), set(_refused(returned))
    why = {one.binding: _stayed(one.failure) if one.binding in stuck else one.failure for one in shortfalls}
    is_whole = failure is None and not stuck and all(one.state == ROLLED_BACK for one in returned)
    results = tuple(
        _judged(one, why.get(one.binding), is_final=is_whole, is_refused=one.binding in refused)
        for one in report.bindings
    )
    told = replace(report, outcome="failed", reason=ROLLED_BACK if is_whole else "binding_failed", bindings=results)
    if failure is not None and not returned:
        return replace(told, reason=failure.reason, failure=failure)
    if not is_whole:
        return told
    place, ends = (None, None) if old is None else (old.certificate_id, old.not_after)
    return replace(told, replaced=False, certificate_id=place, not_after=ends)


def _refused(returned: Collection[BindingResult]) -> Iterator[Binding]:
    """What did not go back although it should: not what somebody has given another certificate."""
    return (one.binding for one in returned if one.state == "failed" and one.failure != STRAYED)


def looked_back(report: DeploymentReport, *, is_served: bool | None) -> DeploymentReport:
    """What handshakes have shown after everything went back; None where there was no endpoint to ask."""
    if is_served is None:
        return report
    seen = SERVED_AGAIN if is_served else NOT_PROVEN
    results = tuple(
        replace(one, failure=replace(one.failure, message=one.failure.message + seen))
        if one.state == ROLLED_BACK and one.failure is not None
        else one
        for one in report.bindings
    )
    return replace(report, bindings=results)


def _stuck(
    report: DeploymentReport, shortfalls: Sequence[Shortfall], returned: Collection[BindingResult]
) -> Collection[Binding]:
    """What is bad, and nobody tried to put back: nothing says where it was before."""
    tried = {one.binding for one in returned}
    bad = {one.binding for one in shortfalls}
    return {
        one.binding
        for one in report.bindings
        if one.binding in bad and one.binding not in tried and one.state != ROLLED_BACK and one.failure != STRAYED
    }


def _stayed(failure: Failure) -> Failure:
    return replace(failure, message=failure.message + UNKNOWN)


def _judged(result: BindingResult, verdict: Failure | None, *, is_final: bool, is_refused: bool) -> BindingResult:
    """What is bad and stays where it is has failed; what could not go back says why it could not, and why it should."""
    is_back = result.state == ROLLED_BACK
    failure = verdict or result.failure if is_back else result.failure or verdict
    if failure is None:
        return result
    if is_refused and verdict is not None:
        why = failure.message or failure.reason
        failure = replace(failure, message=f"{verdict.reason}; it could not go back: {why}")
    told = replace(failure, transient=False) if is_final or is_back else failure
    return BindingResult(result.binding, result.state if is_back else "failed", told)
