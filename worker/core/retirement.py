"""Whether an old stored certificate may be deleted at all: nobody else claims it, and what replaced it is proven."""

from collections.abc import Collection, Sequence
from datetime import datetime

from worker.core.deployment import Deployment
from worker.core.past import Placed
from worker.core.planning import Stored

Claims = Collection[tuple[str, str]]
"""Gateway, and certificate id or name in lower case, of every deployment of the settings."""


def is_claimed(stored: Stored, deployment: Deployment, claims: Claims, *, moves: bool) -> bool:
    """By another deployment. Where bindings move on, `moves`, what has just this one's name is its own."""
    own = deployment.name if moves else None
    names = {stored.certificate_id.lower(), stored.name.lower()} - {(own or "").lower()}
    return any((deployment.gateway, one) in claims for one in names)


def was_proven(present: Stored, past: Sequence[Placed]) -> bool:
    """Whether it is what succeeded last, by what was put there, oldest first.

    While a rotation is under way, and its worker may have died, something else has succeeded last: then what is served
    may still have to go back.
    """
    latest = next((one for one in reversed(past) if one.is_told), None)
    return latest is not None and _is_of(latest, present)


def succeeded_at(present: Stored, past: Sequence[Placed]) -> datetime | None:
    """When it was told that it had, the last time that it was put there; None where nobody tells. Oldest first."""
    return next((one.at for one in reversed(past) if one.is_told and _is_of(one, present)), None)


def _is_of(placed: Placed, present: Stored) -> bool:
    return present.serial_number is not None and placed.serial_number == str(present.serial_number)
