"""What answers tell of a cloud's limits, in their headers and their text. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from worker.limits import Window

LONGEST_HOLD: Final = 3600.0
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_WINDOW: Final = re.compile(
    r"limit\s*:\s*([0-9]{1,9})\s*,\s*time\s*:\s*([0-9]{1,6})\s*(second|minute|hour|day)", re.IGNORECASE | re.ASCII
)
_UNIT: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


def asked_hold(headers: Mapping[str, str], text: str, now: datetime) -> float | None:
    """Seconds to hold the gateway, at most 3600; None when the refusal does not tell.

    `Retry-After` (seconds or an HTTP date), `X-RateLimit-Reset` (Unix time), and the window that the text names
    (`limit:200,time:5 minute`): of several the longest. Garbage is ignored, and so is what is over already. `headers`
    by lower-case name; `now` is aware, and asked only where the answer has no date of its own: our clock may be wrong,
    and differences of theirs are not.
    """
    there = _date(headers.get("date", "")) or now
    told = (_retry_after(headers, there), _reset(headers, there), _span(text))
    longest = max((asked for asked in told if asked is not None), default=0.0)
    return min(longest, LONGEST_HOLD) if longest > 0 else None


def told_window(text: str) -> Window | None:
    """The window that a refusal names. One longer than an hour is no window to keep: it is held as long as we may."""
    found, span = _WINDOW.search(text), _span(text)
    if found is None or span is None or not (int(found[1]) and 0 < span <= LONGEST_HOLD):
        return None
    return Window(int(found[1]), span)


def told_left(headers: Mapping[str, str], now: datetime) -> tuple[int, float] | None:
    """`X-RateLimit-Remaining`: calls left, and seconds for which that holds; None when the answer does not tell."""
    left = headers.get("x-ratelimit-remaining", "").strip()
    seconds = _reset(headers, _date(headers.get("date", "")) or now)
    if not _WHOLE.fullmatch(left) or seconds is None or seconds <= 0:
        return None
    return int(left), min(seconds, LONGEST_HOLD)


def told_whole(headers: Mapping[str, str]) -> int | None:
    """`X-RateLimit-Limit`: calls that the whole window has; None when the answer does not tell."""
    whole = headers.get("x-ratelimit-limit", "").strip()
    return int(whole) if _WHOLE.fullmatch(whole) else None


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"-?[0-9]{1,99}(\.[0-9]{1,99})?", value):
        return float(value)
    at = _date(value)
    return None if at is None else (at - now).total_seconds()


def _date(text: str) -> datetime | None:
    """An HTTP date."""
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _reset(headers: Mapping[str, str], now: datetime) -> float | None:
    value = headers.get("x-ratelimit-reset", "").strip()
    return float(value) - now.timestamp() if re.fullmatch(r"[0-9]{9,11}", value) else None


def _span(text: str) -> float | None:
    found = _WINDOW.search(text)
    return None if found is None else float(int(found[2]) * _UNIT[found[3].lower()])
