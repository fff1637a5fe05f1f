"""Planning by strategy: one function each."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import assert_never

from worker.core.bundle import Leaf
from worker.core.deployment import Deployment
from worker.core.errors import RefusedError
from worker.core.moving import plan_blue_green, plan_replace
from worker.core.past import Placed
from worker.core.planning import Keep, Modify, Observed, Plan, Superseded, plan_in_place, plan_per_domain, plan_rebind
from worker.core.retirement import Claims, is_claimed
from worker.core.snapshot import Place
from worker.core.urgency import ORDINARY, Urgency


def plan(
    deployment: Deployment,
    observed: Observed,
    leaf: Leaf | None,
    *,
    urgency: Urgency = ORDINARY,
    claimed: Claims = (),
    is_short: bool = False,
    past: Sequence[Placed] = (),
    condemned: Collection[Place] = (),
) -> Plan | Superseded:
    """What is to be done at one deployment; `leaf` is None only for `rebind`.

    A newer certificate supersedes the leaf, unless `urgency` says otherwise. None of `claimed` is retired. `is_short`:
    the leaf was there already, and clients were not served its whole chain. `past`: what was put there before, oldest
    first. `condemned`: what had moved when it was found bad.

    Raises RefusedError when the certificate cannot be put there, PermanentError when the deployment cannot be found.
    """
    step = _step(deployment, observed, leaf, urgency, past, condemned)
    if isinstance(step, Superseded):
        return replace(step, seen=observed)
    step = with_client_ca(deployment, step) if _moves_from_client_ca(deployment, observed) else step
    if is_short:
        step = _written_again(deployment, step)
    if not step.retire:
        return step
    retire = tuple(one for one in step.retire if not is_claimed(one, deployment, claimed, moves=deployment.moves))
    return replace(step, retire=retire)


def _written_again(deployment: Deployment, step: Plan) -> Plan:
    """The same leaf may have been stored with another chain, which no gateway tells: it is replaced."""
    kept = step.replacement
    if deployment.strategy != "in_place" or not isinstance(kept, Keep):
        return step
    if kept.stored.has_trusted_root_ca and deployment.trusted_root_ca is None:
        return step  # which would be dropped
    return replace(step, replacement=Modify(kept.stored), attach=(*step.unchanged, *step.attach), unchanged=())


def with_client_ca(deployment: Deployment, step: Plan) -> Plan:
    """What is stored already shall have a client CA: where it is shown without, it is written again, with it.

    Else the next attempt would take for done what the write before has lost. What is to go back is written in any case:
    also where the old material is back, but without its client CA.
    """
    kept = step.replacement
    if deployment.trusted_root_ca is None or not isinstance(kept, Keep | Modify):
        return step
    if kept.stored.has_trusted_root_ca is not False:
        return step
    stored = replace(kept.stored, has_trusted_root_ca=True)
    if step.bad:
        return replace(step, replacement=Keep(stored))
    if deployment.moves or isinstance(kept, Modify):
        return replace(step, replacement=Modify(stored))
    return _written_again(deployment, replace(step, replacement=Keep(stored)))


def _moves_from_client_ca(deployment: Deployment, observed: Observed) -> bool:
    """Whether any of what the bindings move from, or have moved from, is shown with a client CA."""
    serving = (one.stored for one in observed.bound if one.stored is not None)
    return deployment.strategy == "blue_green" and any(
        one.has_trusted_root_ca for one in (*serving, *observed.leftovers)
    )


def _step(
    deployment: Deployment,
    observed: Observed,
    leaf: Leaf | None,
    urgency: Urgency,
    past: Sequence[Placed],
    condemned: Collection[Place],
) -> Plan | Superseded:
    match deployment.strategy:
        case "rebind":
            return plan_rebind(observed)
        case "in_place":
            return plan_in_place(deployment, observed, _known(leaf), urgency)
        case "per_domain":
            return plan_per_domain(deployment, observed, _known(leaf), urgency)
        case "replace":
            return plan_replace(deployment, observed, _known(leaf), urgency, condemned)
        case "blue_green":
            return plan_blue_green(deployment, observed, _known(leaf), urgency, past, condemned)
        case _:
            assert_never(deployment.strategy)


def _known(leaf: Leaf | None) -> Leaf:
    if leaf is None:
        raise RefusedError("material_missing", "the renewal brings no certificate, and the deployment needs one")
    return leaf
