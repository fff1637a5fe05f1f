"""Secrets of gateway accounts, from files: read when they are used, so that a changed file needs no restart."""

from pathlib import Path

from worker.core.errors import PermanentError
from worker.core.secret import Secret


def read_secret(path: Path, place: str) -> Secret:
    """The file's text without the line's end. PermanentError(`auth_failed`) names the setting that cannot be read."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise PermanentError("auth_failed", f"{place}: cannot be read") from None
    if not text or not text.isprintable():
        raise PermanentError("auth_failed", f"{place}: is not one line of text")
    return Secret(text)
