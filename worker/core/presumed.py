"""What a rotation is taken to do while nothing is read yet: the least that the settings allow where it is no repeat."""

from collections.abc import Sequence
from typing import assert_never

from worker.core.deployment import Binding, Deployment
from worker.core.moving import waves
from worker.core.planning import Create, Keep, Modify, Plan, Replacement, Stored, UploadEach


def presumed(deployment: Deployment, attached: int = 1) -> Plan:
    """To count its calls, and for nothing else. `attached`: how many bindings there are, where none are listed."""
    listed = deployment.bindings
    attach = (Binding("domain", ""),) * attached if listed is None else listed
    return Plan(_replacement(deployment), attach, (), waves=_waves(deployment, attached) if deployment.moves else ())


def _replacement(deployment: Deployment) -> Replacement:
    stored = Stored(deployment.certificate_id or "", deployment.name or "")
    match deployment.strategy:
        case "in_place":
            return Modify(stored)
        case "rebind":
            return Keep(stored)
        case "per_domain":
            return UploadEach()
        case "blue_green" | "replace":
            return Create(stored.name)
        case _:
            assert_never(deployment.strategy)


def _waves(deployment: Deployment, attached: int) -> Sequence[int]:
    listed = deployment.bindings
    names = [str(number) for number in range(attached)] if listed is None else [one.name for one in listed]
    return tuple(waves(deployment.waves, names, len(names)))
