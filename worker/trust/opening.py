"""Who says so, and may they? From a message to a renewal that is to be believed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from worker.broker.base import Message
from worker.core.errors import RefusedError
from worker.core.message import RenewalEvent, parse, renewal_from
from worker.core.renewal import Held, Plain, Renewal

_JSON: Final = frozenset({"application/cloudevents+json", "application/cloudevents+json; charset=utf-8"})
_SIGNED: Final = "application/jose"


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """Who may renew what, and how keys may travel."""

    producers: Mapping[str, frozenset[str]]
    """By certificate name."""
    allow_plain_keys: bool = False
    require_signature: bool = False
    holds: frozenset[str] = field(default_factory=frozenset)
    """Certificates whose deployments all rebind: the platform holds them."""


def open_message(message: Message, policy: TrustPolicy, now: datetime) -> Renewal:
    """The renewal, its producer known to be allowed; RefusedError otherwise."""
    event, signer = _opened(message, policy, now)
    producer = signer if signer is not None else message.user_id
    allowed = policy.producers.get(event.data.certificate)
    if allowed is None:
        raise RefusedError("unknown_certificate", "data.certificate: the settings have no certificate of that name")
    if producer is None or producer not in allowed:
        raise RefusedError("unauthorized_producer", "the producer may not renew this certificate")
    renewal = renewal_from(event, producer, message.traceparent)
    _check_material(renewal, policy)
    return renewal


def _opened(message: Message, policy: TrustPolicy, now: datetime) -> tuple[RenewalEvent, str | None]:
    """The event, and who signed it."""
    if message.content_encoding not in (None, "", "identity", "utf-8"):
        raise RefusedError("malformed", "content_encoding: nothing is inflated")
    kind = message.content_type.strip().lower()
    if kind == _SIGNED:
        return open_signed(message.body, now)
    if kind not in _JSON:
        raise RefusedError("malformed", "content_type: not application/cloudevents+json")
    if policy.require_signature:
        raise RefusedError("unauthorized_producer", "the settings ask for a signature, and there is none")
    return parse(message.body), None


def open_signed(_body: bytes, _now: datetime) -> tuple[RenewalEvent, str]:
    """Where signed renewals will be opened."""
    raise RefusedError("unsupported_content_type", "signed renewals are not available in this version")


def _check_material(renewal: Renewal, policy: TrustPolicy) -> None:
    is_held = renewal.certificate in policy.holds
    if isinstance(renewal.material, Plain) and not policy.allow_plain_keys:
        raise RefusedError("plain_key_refused", "the key came in the open: treat it as exposed, and issue a new one")
    if isinstance(renewal.material, Held) and not is_held:
        raise RefusedError("held_not_possible", "data.material: a deployment of this certificate needs chain and key")


def may_keep_body(message: Message, policy: TrustPolicy) -> bool:
    """Whether a message that was given up may be kept as it is: never with a key in the open that was not allowed."""
    return policy.allow_plain_keys or b"PRIVATE KEY" not in message.body
