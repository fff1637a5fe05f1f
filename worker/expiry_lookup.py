"""When what a rotation would replace ends, also where only a further look tells: what ends soon waits for no window."""

from typing import Final

import structlog

from worker.core.deployment import Deployment
from worker.core.errors import RotationError
from worker.core.planning import Observed, Plan, Superseded
from worker.core.schedule import Schedule
from worker.core.waiting import dated, undated
from worker.gateways.base import Gateway

_OBSERVED_ALONE: Final = ("in_place", "rebind", "replace")
"""Strategies for which what is bound to another certificate is not read, or not all of it."""
_log = structlog.get_logger()


async def with_expiry(
    gateway: Gateway, deployment: Deployment, step: Plan | Superseded, observed: Observed, schedule: Schedule
) -> Plan | Superseded:
    """The step, with when the first of what is served there expires, as far as its gateway tells.

    What is bound elsewhere is looked for where a schedule may hold the step back, and only then: it costs calls.
    """
    may_be_elsewhere = schedule.may_hold_back and deployment.strategy in _OBSERVED_ALONE
    unknown = undated(step, observed) if may_be_elsewhere else ()
    if not unknown:
        return dated(step, observed)
    try:
        elsewhere = await gateway.served_until(unknown)
    except RotationError as error:
        _log.warning("expiry.unknown", gateway=deployment.gateway, bindings=len(unknown), reason=error.reason)
        elsewhere = None
    return dated(step, observed, elsewhere)
