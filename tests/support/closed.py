"""A window that is closed, whenever a test runs."""

from datetime import UTC, datetime, timedelta


def closed_window() -> tuple[str, str]:
    """A whole day in three days' time, and its beginning as the worker tells it."""
    day = datetime.now(UTC) + timedelta(days=3)
    return f"{day:%a} 00:00-24:00 UTC", f"{day:%Y-%m-%d}T00:00:00Z"
