"""Secrets of accounts elsewhere, from files: read when they are used, so that a changed file needs no restart."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worker.core.errors import TransientError, unchained
from worker.core.secret import Secret
from worker.settings.files import problem_of_kind, problem_of_secret, read_bounded

MODE_IS_OTHERS: Final = frozenset({"jwt_file"})
"""Kubernetes chooses its mode, and nobody else is in the pod."""
_LONGEST: Final = 65_536
_AT_REST: Final = 1.0
"""Seconds since a file was changed: what is written twice within a tick of the system's clock looks the same."""


def read_secret(path: Path, place: str, *, may_be_open: bool = False) -> Secret:
    """For a header: the file's one line, printable ASCII, without white space around it.

    TransientError(`auth_failed`) names the setting whose file cannot be read, is open to everybody, or holds no such
    line: it may be in the middle of being replaced, and nobody sends a message when it is put right.
    """
    return _one_line(_text(path, place, "ascii", may_be_open=may_be_open).strip(), place)


@dataclass(slots=True)
class SecretFile:
    """A secret for the header of many calls: its file is looked at for each, and read again once it has changed."""

    path: Path
    place: str
    clock: Callable[[], float] = time.time
    _known: tuple[tuple[int, ...], Secret] | None = None

    def secret(self) -> Secret:
        """Errors as `read_secret`."""
        seen = self._look()
        if self._known is not None and self._known[0] == seen:
            return self._known[1]
        self._known = None
        secret = read_secret(self.path, self.place)
        if seen is not None:
            self._known = seen, secret
        return secret

    def forget(self) -> None:
        """It is refused: whatever the file looks like, it is read again."""
        self._known = None

    def _look(self) -> tuple[int, ...] | None:
        """None where that does not tell whether it is the same."""
        with suppress(OSError):
            it = self.path.stat()
            if it.st_ctime < self.clock() - _AT_REST:
                return it.st_dev, it.st_ino, it.st_size, it.st_mtime_ns, it.st_ctime_ns
        return None


def read_id(text: str | None, path: Path | None, place: str) -> str:
    """What goes with a secret, from the settings or from its file. Errors as `read_secret`."""
    if path is not None:
        return read_secret(path, place).reveal()
    if text is None:
        raise TransientError("auth_failed", f"{place}: is missing")
    return text


def read_password(path: Path, place: str) -> Secret:
    """For a JSON body: the file's one line in UTF-8, as it stands; spaces may belong to it. Errors as `read_secret`."""
    return _one_line(_text(path, place, "utf-8-sig").removesuffix("\n").removesuffix("\r"), place)


@unchained
def _text(path: Path, place: str, encoding: str, *, may_be_open: bool = False) -> str:
    def look(status: os.stat_result) -> None:
        problem = problem_of_kind(status) if may_be_open else problem_of_secret(status)
        if problem is not None:
            raise TransientError("auth_failed", f"{place}: {problem}")

    try:
        content = read_bounded(path, _LONGEST, look)
        if len(content) <= _LONGEST:
            return content.decode(encoding)
    except (OSError, UnicodeDecodeError):
        raise TransientError("auth_failed", f"{place}: cannot be read") from None
    raise TransientError("auth_failed", f"{place}: over {_LONGEST} bytes")


def _one_line(text: str, place: str) -> Secret:
    if not text or not text.isprintable():
        raise TransientError("auth_failed", f"{place}: is not one line of text")
    return Secret(text)
