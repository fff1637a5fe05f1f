"""What the history knows against a renewal: that it comes again, or late, and what was put there since shall stay."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import structlog

from worker.broker.base import Broker, BrokerError, TopologyError
from worker.core.bundle import Leaf
from worker.core.deployment import Certificate
from worker.core.errors import PermanentError, RefusedError, RotationError, TransientError
from worker.core.exposed import exposed_by, exposed_in
from worker.core.outcome import Report
from worker.core.past import Placed, is_overtaken, is_put_since, is_replayed
from worker.core.renewal import OWN_PRODUCER, Renewal
from worker.core.snapshot import Snapshot
from worker.core.withdrawal import is_withdrawn, taken_back
from worker.effort import current_effort
from worker.wall_clock import utc_now

_log = structlog.get_logger()
WITHDRAWN: Final = "withdrawn"
REPLAYED: Final = "replayed"
DOWNGRADE: Final = "downgrade"
UNREAD: Final = "history_unread"
Kept = Callable[[str, str], Awaitable[Mapping[str, Snapshot]]]
"""By deployment, what was noted of a certificate, by its name, and a leaf, by its fingerprint."""


async def noted_client_cas(kept: Kept, certificate: Certificate, leaf: Leaf) -> Mapping[str, Snapshot]:
    """By deployment, where a renewal before may have lost a client CA that shall be there, whatever its leaf.

    Raises what `kept` does.
    """
    if all(one.trusted_root_ca is None for one in certificate.deployments):
        return {}
    notes = await kept(certificate.name, leaf.fingerprint_sha256)
    # No more: what else is known of the leaf belongs to the message that has noted it.
    return {key: Snapshot(has_client_ca=True) for key, one in notes.items() if one.has_client_ca}


@dataclass(frozen=True, slots=True)
class Hindsight:
    """Why renewals are superseded, before any gateway is asked."""

    broker: Broker
    begun: dict[str, Placed] = field(default_factory=dict)
    """By certificate, what this process has put at some places last, and may not have told yet: it may be parked."""
    utc_now: Callable[[], datetime] = utc_now

    async def seen(self, certificate: str) -> "Seen":
        """What was put there, and by this process begun. Where nobody can say, it is not told here."""
        try:
            told = await self.broker.past(certificate)
        except BrokerError as error:
            return Seen(self._with_begun(certificate, ()), error)
        return Seen(self._with_begun(certificate, told))

    async def client_cas(self, seen: "Seen", certificate: Certificate, leaf: Leaf) -> Mapping[str, Snapshot]:
        """As `noted_client_cas`, if all could be `seen`: else that is told. Raises RotationError if nobody can say."""
        if seen.unread is not None:
            return {}
        try:
            return await noted_client_cas(self.broker.kept, certificate, leaf)
        except BrokerError as error:
            raise _unread(error) from None

    def _with_begun(self, certificate: str, told: Sequence[Placed]) -> Sequence[Placed]:
        begun = self.begun.get(certificate)
        if begun is None:
            return told
        is_last = bool(told) and told[-1].fingerprint_sha256 == begun.fingerprint_sha256
        return told if is_last and begun.renewal_id in told[-1].renewals else (*told, begun)

    async def of(
        self, renewal: Renewal, leaf: Leaf, rotation: Awaitable[Report], exposed_keys: tuple[str, ...] = ()
    ) -> Report:
        """The rotation's report. What it has put anywhere is remembered until its outcome is told."""
        effort = current_effort()
        try:
            report = await rotation
        finally:
            if effort.left is not None:  # may be told as it is, where no other time slice follows
                effort.left = replace(effort.left, exposed_keys=exposed_keys)
            if effort.changes:
                self.begun[renewal.certificate] = Placed(
                    renewal.known_as,
                    leaf.fingerprint_sha256,
                    leaf.not_before,
                    leaf.not_after,
                    is_told=False,
                    public_key_sha256=leaf.public_key_sha256,
                    at=self.utc_now(),
                    exposed_keys=exposed_keys,
                )
        begun = self.begun.get(renewal.certificate)
        if (
            begun is not None
            and begun.is_of(renewal.known_as, leaf)
            and not any(one.transient for one in report.failures)
        ):
            del self.begun[renewal.certificate]
        return replace(report, exposed_keys=exposed_keys)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the history says of one certificate."""

    past: Sequence[Placed]
    """Oldest first."""
    unread: BrokerError | None = None
    """Why that may not be all."""

    def objection(
        self,
        renewal: Renewal,
        leaf: Leaf,
        now: datetime,
        *,
        is_again: bool,
        tells_beginnings: bool,
        is_put_back: bool = False,
    ) -> str | None:
        """The reason; None where there is none. Raises RotationError where nobody can say.

        `is_again`: a worker had it in hand before. `tells_beginnings`: every gateway of the certificate says how old
        that is which it has. `is_put_back`: it had been given up, and somebody wants it all the same.
        """
        is_own = renewal.producer == OWN_PRODUCER
        is_urgent = renewal.undo_until is not None or renewal.urgency.is_key_exposed
        self._check_read(is_needed=is_own or is_urgent or not tells_beginnings)
        # The sweep may have looked before an urgent renewal took back what lies on disk.
        if is_own and taken_back(self.past, leaf) is not None:
            return WITHDRAWN
        if is_replayed(self.past, renewal.known_as, leaf, is_again=is_again):
            return REPLAYED
        if is_withdrawn(self.past, renewal, leaf, now, is_again=is_again):
            return WITHDRAWN
        if not tells_beginnings and is_overtaken(self.past, leaf, renewal.undo_until):
            return DOWNGRADE
        is_undoing = renewal.undo_until is not None and not is_put_back
        return DOWNGRADE if is_undoing and is_put_since(self.past, leaf, renewal.signed_at) else None

    def exposed_keys(self, renewal: Renewal, leaf: Leaf) -> tuple[str, ...]:
        """That the rotation's outcome has to tell. Raises RefusedError where the leaf has one of them."""
        if leaf.public_key_sha256 in exposed_in(self.past):
            raise RefusedError("key_reused", "the key was replaced because of a compromise: strangers may have it")
        is_compromise = renewal.urgency.is_key_exposed
        return exposed_by(self.past, renewal.known_as, leaf) if is_compromise else exposed_in(self.past)

    def told_in(self, report: Report) -> Report:
        """The report, with a warning where nobody could say which keys are exposed, or were used before."""
        return report if self.unread is None else replace(report, warnings=(*report.warnings, UNREAD))

    def _check_read(self, *, is_needed: bool) -> None:
        """What gateways tell by themselves is compared anyway: there the history is one more look, and no condition.

        Which key is exposed is told by nobody else.
        """
        if self.unread is not None and is_needed:
            raise _unread(self.unread)
        if self.unread is not None:
            _log.warning("history.unread", error=str(self.unread))


def _unread(error: BrokerError) -> RotationError:
    """What is missing, and could not be made, or must not be read does not come by waiting."""
    told = f"the history cannot be read ({error})"
    is_lasting = isinstance(error, TopologyError)
    return PermanentError("history_unreadable", told) if is_lasting else TransientError("broker_unavailable", told)
