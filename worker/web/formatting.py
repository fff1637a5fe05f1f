"""Numbers, times and names as people read them."""

from datetime import UTC, datetime
from typing import Final

_SPANS: Final = ((86400.0, "day", "days"), (3600.0, "h", "h"), (60.0, "min", "min"))
_NOW: Final = 2.0
"""Seconds that nobody counts."""
_LONGEST_SERIAL: Final = 12
"""Hexadecimal digits that are shown whole."""
_SERIAL_DIGITS: Final = 64


def duration(seconds: float) -> str:
    """A duration, as exact as anybody wants it: 4.2 s, 42 s, 3 min, 5 h, 12 days."""
    for size, one, many in _SPANS:
        if seconds >= 2 * size:
            number = int(seconds // size)
            return f"{number:,} {one if number == 1 else many}"
    return f"{seconds:.1f} s" if 0 < seconds < 10 and seconds % 1 else f"{max(seconds, 0):.0f} s"  # noqa: PLR2004


def ago(at: datetime, now: datetime) -> str:
    """How long ago; or in how long, for what is to come."""
    seconds = (now - at).total_seconds()
    if abs(seconds) < _NOW:
        return "now"
    return f"{duration(int(seconds))} ago" if seconds > 0 else f"in {duration(int(-seconds))}"


def remaining(days: float) -> str:
    """Until a certificate expires; since when it has."""
    span = duration(abs(days) * 86400)
    return f"{span} left" if days > 0 else f"expired {span} ago"


def moment(at: datetime) -> str:
    """To the second, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def machine_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def hexadecimal(serial: str) -> str:
    """A serial number as `openssl x509 -serial` prints it; what is no number, as it is."""
    if not serial.isascii() or not serial.isdigit() or len(serial) > _SERIAL_DIGITS:
        return serial
    digits = f"{int(serial):X}"
    return digits if len(digits) % 2 == 0 else f"0{digits}"


def short_serial(serial: str) -> str:
    """Its beginning and its end, which is enough to compare."""
    digits = hexadecimal(serial)
    return digits if len(digits) <= _LONGEST_SERIAL else f"{digits[:6]}…{digits[-6:]}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 certificate`, `2,000 certificates`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def spaced(word: str) -> str:
    """A word of events, such as `binding_failed`, for people."""
    return word.replace("_", " ")
