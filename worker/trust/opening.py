"""Who says so, and may they? From a message to a renewal that is to be believed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from worker.broker.base import Message
from worker.core.errors import RefusedError
from worker.core.message import RenewalEvent, parse, renewal_from
from worker.core.places import is_below
from worker.core.renewal import OWN_PRODUCER, Held, InFiles, InVault, Plain, Renewal
from worker.trust.keys import Signers
from worker.trust.signing import CONTENT_TYPE, REPLAY_WINDOW, open_signed

PLAIN_ENCODINGS: Final = (None, "", "identity", "utf-8")
JSON_TYPES: Final = frozenset({"application/cloudevents+json", "application/cloudevents+json; charset=utf-8"})


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """Who may renew what, and how keys may travel."""

    producers: Mapping[str, frozenset[str]]
    """By certificate name."""
    allow_plain_keys: bool = False
    require_signature: bool = False
    holds: frozenset[str] = field(default_factory=frozenset)
    """Certificates whose deployments all rebind: the platform holds them."""
    signers: Signers = field(default_factory=Signers)
    audience: str = "rotation-worker"
    """What a signed message must be meant for."""
    replay_window: float = REPLAY_WINDOW
    """Seconds: how long ago it may have been signed."""
    lineages: Mapping[str, InFiles] = field(default_factory=dict)
    """By certificate, what the worker's own renewals bring."""
    files_below: Mapping[str, str] = field(default_factory=dict)
    """By certificate, the only folder in which files may be named; none: all roots."""
    vault_below: Mapping[str, str] = field(default_factory=dict)


def open_message(message: Message, policy: TrustPolicy, now: datetime) -> Renewal:
    """The renewal, its producer known to be allowed; RefusedError otherwise."""
    event, signer, signed_at = _opened(message, policy, now)
    producer = signer if signer is not None else message.user_id
    allowed = policy.producers.get(event.data.certificate)
    if allowed is None:
        raise RefusedError("unknown_certificate", "data.certificate: the settings have no certificate of that name")
    if producer != OWN_PRODUCER and (producer is None or producer not in allowed):
        raise RefusedError("unauthorized_producer", "the producer may not renew this certificate")
    renewal = replace(renewal_from(event, producer, message.traceparent), signed_at=signed_at)
    if producer == OWN_PRODUCER and not _is_of_the_sweep(renewal, policy):
        raise RefusedError("unauthorized_producer", "the worker itself makes no such renewal")
    _check_material(renewal, policy)
    _check_place(renewal, policy)
    return renewal


def _is_of_the_sweep(renewal: Renewal, policy: TrustPolicy) -> bool:
    """Whoever can write in the worker's name can name no more than what lies there for that certificate anyway."""
    is_ordinary = renewal.reason == "renewal" and not renewal.allow_shorter_validity
    lineage = policy.lineages.get(renewal.certificate)
    return is_ordinary and lineage is not None and renewal.material == lineage


def _opened(message: Message, policy: TrustPolicy, now: datetime) -> tuple[RenewalEvent, str | None, datetime | None]:
    """The event, who signed it, and when."""
    if message.content_encoding not in PLAIN_ENCODINGS:
        raise RefusedError("malformed", "content_encoding: nothing is inflated")
    kind = kind_of(message)
    if kind == CONTENT_TYPE:
        at = message.opened_at or now
        return open_signed(message.body, policy.signers, policy.audience, at, window=policy.replay_window)
    if kind not in JSON_TYPES:
        raise RefusedError("malformed", "content_type: not application/cloudevents+json")
    if policy.require_signature and message.user_id != OWN_PRODUCER:
        raise RefusedError("unauthorized_producer", "the settings ask for a signature, and there is none")
    return parse(message.body), None, None


def kind_of(message: Message) -> str:
    return message.content_type.strip().lower()


def _check_material(renewal: Renewal, policy: TrustPolicy) -> None:
    is_held = renewal.certificate in policy.holds
    if isinstance(renewal.material, Plain) and not policy.allow_plain_keys:
        raise RefusedError("plain_key_refused", "the key came in the open: treat it as exposed, and issue a new one")
    if isinstance(renewal.material, Held) and not is_held:
        raise RefusedError("held_not_possible", "data.material: a deployment of this certificate needs chain and key")


def _check_place(renewal: Renewal, policy: TrustPolicy) -> None:
    """Before anything is read: what other certificates' producers keep there is none of this one's business."""
    match renewal.material:
        case InFiles(chain, private_key):
            folder = policy.files_below.get(renewal.certificate)
            if folder is not None and not (is_below(chain, folder) and is_below(private_key, folder)):
                raise RefusedError("file_outside_roots", "data.material: not below the certificate's files_below")
        case InVault(path):
            folder = policy.vault_below.get(renewal.certificate)
            if folder is not None and not is_below(path, folder):
                raise RefusedError("vault_forbidden", "data.material: not below the certificate's vault_below")
        case _:
            return
