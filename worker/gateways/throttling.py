"""How long a refusal asks us to wait: from its headers and its text. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_HOLD: Final = 3600.0
_WINDOW: Final = re.compile(r"limit:\s*(\d{1,9}),\s*time:\s*(\d{1,6})\s*(second|minute|hour|day)")
_UNIT: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


def asked_hold(headers: Mapping[str, str], text: str, now: datetime) -> float | None:
    """Seconds to hold the gateway, clamped to [0, 3600]; None when the refusal does not tell.

    `Retry-After` (seconds or an HTTP date) wins, then `X-RateLimit-Reset` (Unix time), then the window that the text
    names (`limit:200,time:5 minute`). Garbage is ignored. `headers` by lower-case name; `now` is aware.
    """
    for asked in (_retry_after(headers, now), _reset(headers, now), _window(text)):
        if asked is not None:
            return min(max(asked, 0.0), LONGEST_HOLD)
    return None


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,6})?", value):
        return float(value)
    try:
        return (parsedate_to_datetime(value) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None


def _reset(headers: Mapping[str, str], now: datetime) -> float | None:
    value = headers.get("x-ratelimit-reset", "").strip()
    return float(value) - now.timestamp() if re.fullmatch(r"[0-9]{9,11}", value) else None


def _window(text: str) -> float | None:
    found = _WINDOW.search(text)
    return None if found is None else float(int(found[2]) * _UNIT[found[3]])
