"""What the history knows against a renewal: that it comes again, or late, and what was put there since shall stay."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from worker.broker.base import Broker, BrokerError
from worker.core.bundle import Leaf
from worker.core.errors import TransientError
from worker.core.outcome import Report
from worker.core.past import Placed, is_overtaken, is_replayed
from worker.core.renewal import OWN_PRODUCER, Renewal
from worker.core.withdrawal import was_taken_back
from worker.effort import current_effort

_log = structlog.get_logger()
WITHDRAWN: Final = "withdrawn"
REPLAYED: Final = "replayed"
DOWNGRADE: Final = "downgrade"


@dataclass(frozen=True, slots=True)
class Hindsight:
    """Why renewals are superseded, before any gateway is asked."""

    broker: Broker
    begun: dict[str, Placed] = field(default_factory=dict)
    """By certificate, what this process has put at some places last, and may not have told yet: it may be parked."""

    async def objection(self, renewal: Renewal, leaf: Leaf, *, tells_beginnings: bool) -> str | None:
        """The reason; None where there is none. TransientError where nobody can say.

        `tells_beginnings`: every gateway of the certificate says how old that is which it has.
        """
        if await self._is_withdrawn(renewal, leaf):
            return WITHDRAWN
        may_go_back = renewal.undo_until is not None or not tells_beginnings
        past = await self._past(renewal.certificate, is_needed=may_go_back)
        if is_replayed(past, renewal.id, leaf):
            return REPLAYED
        if not tells_beginnings and is_overtaken(past, leaf, renewal.undo_until):
            return DOWNGRADE
        return None

    async def _past(self, certificate: str, *, is_needed: bool) -> Sequence[Placed]:
        """What gateways tell by themselves is compared anyway: there the history is one more look, and no condition."""
        try:
            told = await self.broker.past(certificate)
        except BrokerError as error:
            if is_needed:
                raise _unread(error) from None
            _log.warning("history.unread", error=str(error))
            told = ()
        begun = self.begun.get(certificate)
        is_known = begun is None or any(
            (begun.renewal_id, begun.fingerprint_sha256) == (one.renewal_id, one.fingerprint_sha256) for one in told
        )
        return told if begun is None or is_known else (*told, begun)

    async def _is_withdrawn(self, renewal: Renewal, leaf: Leaf) -> bool:
        """The sweep may have looked before an urgent renewal took back what lies on disk."""
        if renewal.producer != OWN_PRODUCER:
            return False
        events: Sequence[Mapping[str, Any]]
        try:
            events = await self.broker.history(renewal.certificate)
        except BrokerError as error:
            raise _unread(error) from None
        return was_taken_back(leaf, events)

    async def of(self, renewal: Renewal, leaf: Leaf, rotation: Awaitable[Report]) -> Report:
        """The rotation's report. What it has put anywhere is remembered until its outcome is told."""
        try:
            report = await rotation
        finally:
            if current_effort().changes:
                self.begun[renewal.certificate] = Placed(
                    renewal.id, leaf.fingerprint_sha256, leaf.not_before, leaf.not_after, is_told=False
                )
        begun = self.begun.get(renewal.certificate)
        if begun is not None and begun.is_of(renewal.id, leaf) and not any(one.transient for one in report.failures):
            del self.begun[renewal.certificate]
        return report


def _unread(error: BrokerError) -> TransientError:
    return TransientError("broker_unavailable", f"the history cannot be read ({error})")
