"""The clock on the wall."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)
