"""How a certificate stands, as far as outcomes told it. Times are aware UTC datetimes, durations seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

Outcome = Literal["succeeded", "failed", "superseded"]
Level = Literal["unknown", "good", "soon", "urgent", "expired"]
"""How near a certificate is to its end: "soon" when a renewal should have come, "urgent" when there is little left."""
State = Literal["unknown", "served", "failed", "rotating", "parked", "dead"]
"""Of a certificate, what an operator wants to know first. What was given up is "dead" while it can be replayed."""
LEFT_FAILED: Final[Sequence[State]] = ("dead", "failed")
"""Nothing of it waits or runs that may mend what failed."""

_SOON: Final = 0.25
_URGENT: Final = 0.1
"""Shares of a certificate's time: most clients renew when a third is left."""
_USUAL_LIFETIME: Final = 90 * 86400.0
_DAY: Final = 86400.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Bindings, by what became of them last."""

    total: int = 0
    attached: int = 0
    unchanged: int = 0
    failed: int = 0
    rolled_back: int = 0

    @property
    def served(self) -> int:
        """Those that have what they shall have."""
        return self.attached + self.unchanged

    def plus(self, other: "Counts") -> "Counts":
        return Counts(
            self.total + other.total,
            self.attached + other.attached,
            self.unchanged + other.unchanged,
            self.failed + other.failed,
            self.rolled_back + other.rolled_back,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """One outcome, as its event tells it."""

    certificate: str | None
    """None where the message did not even say."""
    renewal_id: str | None
    outcome: Outcome
    reason: str
    at: datetime
    attempt: int = 1
    duration: float = 0.0
    """Seconds from delivery to outcome, of the last attempt."""
    served_after: float | None = None
    """Seconds from the renewal to where it is served; None unless it succeeded."""
    serial_number: str | None = None
    not_after: datetime | None = None
    gateway_calls: int = 0
    bindings: Counts = Counts()
    message: str | None = None
    """Why, in words, where the rotation ended before or after its deployments."""
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class DeploymentStanding:
    """One stored certificate at one gateway account, as far as outcomes told it."""

    key: str
    """Unique among all deployments: GATEWAY/ID or GATEWAY/NAME."""
    gateway: str
    strategy: str
    certificate_id: str | None = None
    serial_number: str | None = None
    """Of what is served there; None while nobody told."""
    not_before: datetime | None = None
    not_after: datetime | None = None
    outcome: Outcome | None = None
    """Of the last rotation; None while there was none."""
    reason: str | None = None
    bindings: Counts = Counts()
    at: datetime | None = None
    """Of that outcome."""
    stored_as: str | None = None
    """The id that outcomes told last: where bindings move, another one than the settings'. None while nobody told."""

    @property
    def stored_id(self) -> str | None:
        """As far as it is known: until somebody has told, the settings'."""
        return self.stored_as or self.certificate_id


@dataclass(frozen=True, slots=True)
class CertificateStanding:
    """One certificate of the settings."""

    name: str
    deployments: Sequence[DeploymentStanding] = ()
    last: Ended | None = None
    state: State = "unknown"

    @property
    def serial_numbers(self) -> Sequence[str]:
        """Of what is served: one, where all deployments serve the same."""
        return tuple(dict.fromkeys(one.serial_number for one in self.deployments if one.serial_number is not None))

    @property
    def serials_unknown(self) -> int:
        """Of so many deployments nobody knows what they serve."""
        return sum(one.serial_number is None for one in self.deployments)

    @property
    def not_before(self) -> datetime | None:
        """Of the deployment that expires first."""
        first = self._first_to_expire
        return None if first is None else first.not_before

    @property
    def not_after(self) -> datetime | None:
        """Of the deployment that expires first."""
        first = self._first_to_expire
        return None if first is None else first.not_after

    @property
    def bindings(self) -> Counts:
        """Of all its deployments."""
        counts = Counts()
        for one in self.deployments:
            counts = counts.plus(one.bindings)
        return counts

    @property
    def _first_to_expire(self) -> DeploymentStanding | None:
        return min((one for one in self.deployments if one.not_after is not None), key=_end_of, default=None)

    def days_left(self, now: datetime) -> float | None:
        """Negative once it has expired; None while nobody told when that is."""
        ends = self.not_after
        return None if ends is None else (ends - now).total_seconds() / _DAY

    def share_left(self, now: datetime) -> float | None:
        """Of its time, from 0 to 1; of the usual 90 days where nobody told when it began."""
        ends, begins = self.not_after, self.not_before
        if ends is None:
            return None
        lifetime = _USUAL_LIFETIME if begins is None else (ends - begins).total_seconds()
        return min(max((ends - now).total_seconds() / max(lifetime, 1.0), 0.0), 1.0)

    def level(self, now: datetime) -> Level:
        """How near it is to its end."""
        days, share = self.days_left(now), self.share_left(now)
        if days is None or share is None:
            return "unknown"
        if days <= 0:
            return "expired"
        return "urgent" if share < _URGENT else "soon" if share < _SOON else "good"


def _end_of(deployment: DeploymentStanding) -> datetime:
    if deployment.not_after is None:
        raise TypeError
    return deployment.not_after
