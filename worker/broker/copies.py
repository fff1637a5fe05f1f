"""What a message says on RabbitMQ: reading one, copying one to parking or to the dead queue, reading a dead one.

Headers are anybody's; the user is the broker's word. So our own headers count only in what our own user published, and
`x-death` not at all, apart from a dead letter's reason, which steers nothing.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from aio_pika.abc import AbstractIncomingMessage

from worker.broker.base import (
    EXPOSED,
    About,
    Dead,
    Message,
    sound_content_encoding,
    sound_content_type,
    sound_message_id,
    sound_traceparent,
    withheld,
)
from worker.broker.publishing import Sending
from worker.core.message import identified

_ATTEMPT: Final = "x-rotation-attempt"
_PRODUCER: Final = "x-rotation-producer"
_REASON: Final = "x-rotation-reason"
_CERTIFICATE: Final = "x-rotation-certificate"
_RENEWAL: Final = "x-rotation-renewal"
_SINCE: Final = "x-rotation-since"
_TOLD_AT: Final = "x-rotation-told-at"
_OPENED_AT: Final = "x-rotation-opened-at"
_WARNING: Final = "x-rotation-warning"
_DELIVERIES: Final = "x-delivery-count"
_OF_THE_BROKER: Final = frozenset({"delivery_limit", "expired", "maxlen", "rejected"})


def opened(incoming: AbstractIncomingMessage, worker: str) -> Message:
    """As it came; of a copy by `worker`, the worker's own user, with its attempt and its original producer."""
    ours = _ours(incoming, worker)
    attempt = ours.get(_ATTEMPT)
    return Message(
        body=incoming.body,
        content_type=sound_content_type(incoming.content_type),
        # A copy without a producer is of a message that nobody vouched for: it must not become the worker's.
        user_id=(_text(ours[_PRODUCER]) or None) if _PRODUCER in ours else incoming.user_id,
        priority=incoming.priority or 0,
        content_encoding=sound_content_encoding(incoming.content_encoding),
        traceparent=sound_traceparent(incoming.headers.get("traceparent")),
        attempt=attempt if isinstance(attempt, int) and attempt > 0 else 1,
        is_copy=_ATTEMPT in ours,
        opened_at=_moment(ours.get(_OPENED_AT)),
        given_up_at=_text(ours.get(_TOLD_AT)),
    )


def redeliveries(incoming: AbstractIncomingMessage) -> int:
    """How often it was delivered before, by the queue's count: at a first delivery the header is a producer's."""
    count = incoming.headers.get(_DELIVERIES) if incoming.redelivered else None
    return count if isinstance(count, int) else 0


def again(message: Message, *, attempt: int = 1) -> Sending:
    """A copy with fresh headers: with the old `x-death` the broker would drop it as a cycle."""
    headers: dict[str, str | int] = {_ATTEMPT: attempt, _PRODUCER: message.user_id or ""}
    if message.given_up_at is not None:
        headers[_TOLD_AT] = message.given_up_at
    if message.opened_at is not None:
        headers[_OPENED_AT] = message.opened_at.isoformat()
    return Sending(
        body=message.body,
        content_type=message.content_type,
        headers=headers | traced(message.traceparent),
        priority=message.priority,
        content_encoding=message.content_encoding,
    )


def given_up(message: Message, reason: str, about: About, *, keep_body: bool, since: datetime | None = None) -> Sending:
    """A copy for the dead queue. The broker keeps bodies on disk: one that may hold a key becomes a note.

    `since`: when it was given up; now, where nobody says.
    """
    is_exposed = about.get("is_exposed", False)
    told: dict[str, str | None] = {
        _REASON: reason,
        _CERTIFICATE: about.get("certificate"),
        _RENEWAL: about.get("renewal_id"),
        _TOLD_AT: about.get("told_at"),
        _PRODUCER: message.user_id or "",
        _SINCE: (since or datetime.now(UTC)).isoformat(timespec="milliseconds"),
        _WARNING: EXPOSED if is_exposed else None,
    }
    headers: dict[str, str | int] = {name: value for name, value in told.items() if value is not None}
    headers |= traced(message.traceparent)
    if keep_body:
        return Sending(message.body, message.content_type, headers, message.priority, message.content_encoding)
    return Sending(withheld(reason, is_exposed=is_exposed), "application/json", headers, message.priority)


def dead_letter(incoming: AbstractIncomingMessage, worker: str) -> Dead:
    """Buried by a worker, or dead-lettered by the broker itself, whose record says why."""
    ours, record = _ours(incoming, worker), _record(incoming.headers)
    certificate, renewal_id, told_id = identified(incoming.body, sound_message_id(incoming.message_id))
    at = record.get("time")
    return Dead(
        id=told_id or _digest(incoming),
        message=opened(incoming, worker),
        reason=_text(ours.get(_REASON)) or _broker_reason(record),
        certificate=_text(ours.get(_CERTIFICATE)) or certificate,
        renewal_id=_text(ours.get(_RENEWAL)) or renewal_id,
        since=_moment(ours.get(_SINCE)) or (at if isinstance(at, datetime) else None),
    )


def is_unseen(incoming: AbstractIncomingMessage, worker: str) -> bool:
    """Given up by the broker itself."""
    return _REASON not in _ours(incoming, worker) and _broker_reason(_record(incoming.headers)) in _OF_THE_BROKER


def note_of_unseen(incoming: AbstractIncomingMessage, worker: str, *, is_exposed: bool) -> Sending:
    """What is put in its place."""
    dead = dead_letter(incoming, worker)
    about = About(certificate=dead.certificate, renewal_id=dead.renewal_id, is_exposed=is_exposed)
    return given_up(dead.message, dead.reason, about, keep_body=False, since=dead.since)


def id_among(incoming: AbstractIncomingMessage, ids: Collection[str]) -> str | None:
    """By which of them `dead_letter` names it; None where by none of them.

    The message id; of one without a sound one, or one that quotes the key that its message brings, made of the body.
    No more is read of what has another name anyway: bodies may be many, and large.
    """
    claimed, digest = sound_message_id(incoming.message_id), _digest(incoming)
    if claimed not in ids and digest not in ids:
        return None
    name = (None if claimed is None else identified(incoming.body, claimed)[2]) or digest
    return name if name in ids else None


def _digest(incoming: AbstractIncomingMessage) -> str:
    return sha256(incoming.body).hexdigest()[:32]


def traced(traceparent: object) -> dict[str, str | int]:
    return {"traceparent": traceparent} if isinstance(traceparent, str) else {}


def _ours(incoming: AbstractIncomingMessage, worker: str) -> Mapping[str, Any]:
    return incoming.headers if incoming.user_id == worker else {}


def _record(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The latest of `x-death`, which may be forged: anything at all."""
    records = headers.get("x-death")
    latest = records[0] if isinstance(records, list) and records else None
    return latest if isinstance(latest, dict) else {}


def _broker_reason(record: Mapping[str, Any]) -> str:
    reason = record.get("reason")
    return reason if isinstance(reason, str) and reason in _OF_THE_BROKER else "unknown"


def _moment(value: object) -> datetime | None:
    with suppress(ValueError):
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
