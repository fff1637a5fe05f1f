"""Secrets of accounts elsewhere, from files: read when they are used, so that a changed file needs no restart."""

from pathlib import Path

from worker.core.errors import PermanentError, unchained
from worker.core.secret import Secret


def read_secret(path: Path, place: str) -> Secret:
    """For a header: the file's one line, printable ASCII, without white space around it.

    PermanentError(`auth_failed`) names the setting that cannot be read.
    """
    return _one_line(_text(path, place, "ascii").strip(), place)


def read_id(text: str | None, path: Path | None, place: str) -> str:
    """What goes with a secret, from the settings or from its file. Errors as `read_secret`."""
    if path is not None:
        return read_secret(path, place).reveal()
    if text is None:
        raise PermanentError("auth_failed", f"{place}: is missing")
    return text


def read_password(path: Path, place: str) -> Secret:
    """For a JSON body: the file's one line in UTF-8, as it stands; spaces may belong to it. Errors as `read_secret`."""
    return _one_line(_text(path, place, "utf-8-sig").removesuffix("\n").removesuffix("\r"), place)


@unchained
def _text(path: Path, place: str, encoding: str) -> str:
    try:
        return path.read_bytes().decode(encoding)
    except (OSError, UnicodeDecodeError):
        raise PermanentError("auth_failed", f"{place}: cannot be read") from None


def _one_line(text: str, place: str) -> Secret:
    if not text or not text.isprintable():
        raise PermanentError("auth_failed", f"{place}: is not one line of text")
    return Secret(text)
