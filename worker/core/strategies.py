"""Planning by strategy: one function each."""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from worker.core.bundle import Leaf
from worker.core.deployment import Deployment
from worker.core.errors import RefusedError
from worker.core.moving import plan_blue_green, plan_replace
from worker.core.planning import Observed, Plan, Superseded, plan_in_place, plan_per_domain, plan_rebind
from worker.core.retirement import Claims, is_claimed


def plan(
    deployment: Deployment,
    observed: Observed,
    leaf: Leaf | None,
    *,
    undo_until: datetime | None = None,
    stored_after: datetime | None = None,
    claimed: Claims = (),
) -> Plan | Superseded:
    """What is to be done at one deployment; `leaf` is None only for `rebind`.

    A newer certificate supersedes the leaf, unless it was issued before `undo_until`; `stored_after` as in `age_of`.
    None of `claimed` is retired.

    Raises RefusedError when the certificate cannot be put there, PermanentError when the deployment cannot be found.
    """
    step = _step(deployment, observed, leaf, undo_until, stored_after)
    if isinstance(step, Superseded) or not step.retire:
        return step
    retire = tuple(one for one in step.retire if not is_claimed(one, deployment, claimed, moves=deployment.moves))
    return replace(step, retire=retire)


def _step(
    deployment: Deployment,
    observed: Observed,
    leaf: Leaf | None,
    undo_until: datetime | None,
    stored_after: datetime | None,
) -> Plan | Superseded:
    match deployment.strategy:
        case "rebind":
            return plan_rebind(observed)
        case "in_place":
            return plan_in_place(deployment, observed, _known(leaf), undo_until, stored_after)
        case "per_domain":
            return plan_per_domain(deployment, observed, _known(leaf), undo_until)
        case "replace":
            return plan_replace(deployment, observed, _known(leaf), undo_until, stored_after)
        case "blue_green":
            return plan_blue_green(deployment, observed, _known(leaf), undo_until)
        case _:
            assert_never(deployment.strategy)


def _known(leaf: Leaf | None) -> Leaf:
    if leaf is None:
        raise RefusedError("material_missing", "the renewal brings no certificate, and the deployment needs one")
    return leaf
