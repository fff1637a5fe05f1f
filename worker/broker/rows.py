"""What a row of the embedded engine's table of messages says."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from worker.broker.base import (
    About,
    Dead,
    Message,
    sound_content_encoding,
    sound_content_type,
    sound_traceparent,
    withheld,
)
from worker.core.message import identify


def message_of(row: Mapping[str, Any]) -> Message:
    return Message(
        body=row["body"],
        content_type=sound_content_type(row["content_type"]),
        user_id=row["user_id"],
        priority=row["priority"],
        content_encoding=sound_content_encoding(row["content_encoding"]),
        traceparent=sound_traceparent(row["traceparent"]),
        attempt=row["attempt"],
        is_copy=row["attempt"] > 1 or row["since"] is not None or row["told_at"] is not None,
        opened_at=None if row["opened_at"] is None else datetime.fromtimestamp(row["opened_at"], UTC),
        given_up_at=row["told_at"],
    )


Kept = tuple[bytes, str, str | None]
"""Of a message: body, content type and content encoding."""


def kept_of(message: Message) -> Kept:
    return message.body, message.content_type, message.content_encoding


def note_of(reason: str, about: About) -> Kept:
    """What stands in place of a message that must not be kept."""
    return withheld(reason, is_exposed=about.get("is_exposed", False)), "application/json", None


def dead_letter_of(row: Mapping[str, Any]) -> Dead:
    certificate, renewal_id = identify(row["body"])
    return Dead(
        id=row["id"],
        message=message_of(row),
        reason=row["reason"],
        certificate=row["certificate"] or certificate,
        renewal_id=row["renewal_id"] or renewal_id,
        since=datetime.fromtimestamp(row["since"], UTC),
    )
