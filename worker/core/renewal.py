"""The renewal: the news that a certificate has been renewed, as a checked value."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from worker.core.secret import Secret
from worker.core.urgency import Urgency

Reason = Literal["renewal", "manual", "key_compromise", "ca_incident"]
OWN_PRODUCER = "\0sweep"
"""Who makes the renewals that the worker makes itself. No user of a broker can have this name."""
_FOR_EVER = datetime.max.replace(tzinfo=UTC)
URGENT: frozenset[Reason] = frozenset({"key_compromise", "ca_incident"})


@dataclass(frozen=True, slots=True)
class Plain:
    """Chain and key in the open, as the message brought them."""

    chain_pem: str
    private_key_pem: Secret


@dataclass(frozen=True, slots=True)
class Sealed:
    """Chain in the open, key as a JWE to the worker's public key."""

    chain_pem: str
    private_key_jwe: Secret


@dataclass(frozen=True, slots=True)
class InFiles:
    """Paths relative to one of the settings' roots."""

    chain: str
    private_key: str


@dataclass(frozen=True, slots=True)
class InVault:
    """One secret of a HashiCorp Vault KV v2 with `chain_pem` and `private_key_pem`."""

    path: str
    version: int | None


@dataclass(frozen=True, slots=True)
class Held:
    """The platform already holds the renewed certificate."""


Material = Plain | Sealed | InFiles | InVault | Held


def known_as(renewal_id: str | None, message_sha256: str | None) -> str:
    """By what the history tells renewals apart: the id; where nobody is told that, the message.

    No id has a blank in it. Of what tells neither no renewal is known.
    """
    return f"message {message_sha256 or 'unknown'}" if renewal_id is None else renewal_id


@dataclass(frozen=True, slots=True)
class Renewal:
    """One renewal message, its producer verified. `id` is the CloudEvent's id."""

    id: str
    certificate: str
    producer: str
    material: Material = field(repr=False)
    reason: Reason = "renewal"
    allow_shorter_validity: bool = False
    traceparent: str | None = None
    time: datetime | None = None
    """When the message was made, where it tells."""
    signed_at: datetime | None = None
    """When its producer signed it, where one did."""
    message_sha256: str | None = None
    """Of its body in hex, where its id is told to nobody: nor is that in any event."""

    @property
    def known_as(self) -> str:
        """To the history."""
        return known_as(None if self.message_sha256 else self.id, self.message_sha256)

    @property
    def is_urgent(self) -> bool:
        return self.reason in URGENT

    @property
    def undo_until(self) -> datetime | None:
        """Only an urgent renewal that says so may put an older certificate over one that was issued until then.

        Not over a later one: the message may come again long after it was sent. A signature tells when.
        """
        if not self.is_urgent or not self.allow_shorter_validity:
            return None
        return min((at for at in (self.time, self.signed_at) if at is not None), default=_FOR_EVER)

    @property
    def stored_after(self) -> datetime | None:
        """Of an urgent renewal: what was stored until then cannot be its certificate, though it may end when that does.

        A key that strangers have is not left in its place because two dates are equal.
        """
        if not self.is_urgent:
            return None
        return self.signed_at or self.time or _FOR_EVER

    @property
    def urgency(self) -> Urgency:
        return Urgency(self.undo_until, self.stored_after, self.reason == "key_compromise")
