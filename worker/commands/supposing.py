"""What is stored and bound now, and what a renewed certificate would cause there; by reading only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from worker.core.bundle import Leaf
from worker.core.deployment import Certificate, Deployment
from worker.core.errors import RotationError
from worker.core.events import rfc3339
from worker.core.further import Further
from worker.core.planning import Observed, Stored
from worker.core.retirement import Claims
from worker.core.schedule import Schedule
from worker.core.strategies import plan
from worker.core.uploads import fingerprint_in
from worker.core.urgency import ORDINARY
from worker.core.waiting import Step
from worker.expiry_lookup import with_expiry
from worker.gateways.base import Gateway
from worker.gateways.together import together

_LIFETIME: Final = timedelta(days=90)
_NO_FINGERPRINT: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Supposed:
    """One deployment as it is, where it could be read, and what would be done there."""

    observed: Observed | None
    step: Step


async def supposed(
    gateways: Mapping[str, Gateway], certificate: Certificate, now: datetime, claimed: Claims
) -> Sequence[Supposed]:
    """Of each deployment, if a certificate arrived that was issued now and covers all that is bound or listed."""
    deployments = certificate.deployments
    seen = await together([_observed(gateways[one.gateway], one) for one in deployments])
    leaf = _renewed(deployments, [one for one in seen if isinstance(one, Observed)], now)
    found = [_supposed(deployment, one, leaf, claimed) for deployment, one in zip(deployments, seen, strict=True)]
    at = [(gateways[one.gateway], one) for one in deployments]
    return await together([_dated(*place, one, certificate.schedule) for place, one in zip(at, found, strict=True)])


async def _dated(gateway: Gateway, deployment: Deployment, one: Supposed, schedule: Schedule) -> Supposed:
    if one.observed is None or isinstance(one.step, RotationError):
        return one
    seen = one.step.seen or one.observed
    return replace(one, step=await with_expiry(gateway, deployment, one.step, seen, schedule))


async def _observed(gateway: Gateway, deployment: Deployment) -> Observed | RotationError:
    try:
        return await gateway.observe(deployment, None)
    except RotationError as error:
        return error


def _supposed(deployment: Deployment, seen: Observed | RotationError, leaf: Leaf, claimed: Claims) -> Supposed:
    if isinstance(seen, RotationError):
        return Supposed(None, seen)
    ours = Further(deployment, leaf, ORDINARY, claimed).left_out(seen)
    try:
        return Supposed(seen, plan(deployment, ours, leaf, claimed=claimed))
    except RotationError as error:
        return Supposed(seen, error)


def _renewed(deployments: Sequence[Deployment], seen: Sequence[Observed], now: datetime) -> Leaf:
    """Newer than all that is stored, and like none of it."""
    listed = [binding for one in deployments for binding in one.bindings or ()]
    bindings = [*listed, *(bound.binding for one in seen for bound in one.bound)]
    ends = max([now, *(stored.not_after for stored in _stored(seen) if stored.not_after is not None)])
    names = dict.fromkeys(one.name for one in bindings if one.kind == "domain")
    return Leaf(0, _NO_FINGERPRINT, now.replace(microsecond=0), ends + _LIFETIME, tuple(names))


def _stored(seen: Sequence[Observed]) -> Iterator[Stored]:
    for one in seen:
        found: Sequence[Stored | None] = [one.stored, *(bound.stored for bound in one.bound)]
        yield from (stored for stored in found if stored is not None)


def is_supposed(name: str) -> bool:
    """Whether an upload would be called so after a certificate that is only supposed."""
    told = fingerprint_in(name) or fingerprint_in(name, "_")
    return told is not None and _NO_FINGERPRINT.startswith(told)


def described_stored(stored: Stored | None) -> dict[str, object] | None:
    """What its gateway tells of it."""
    if stored is None:
        return None
    return {
        "certificate_id": stored.certificate_id,
        "name": stored.name,
        "serial_number": None if stored.serial_number is None else str(stored.serial_number),
        "not_after": None if stored.not_after is None else rfc3339(stored.not_after),
    }
