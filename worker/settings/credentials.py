"""Secrets of accounts elsewhere, from files: looked at when they are used, so that a changed file needs no restart."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worker.core.errors import TransientError, unchained
from worker.core.secret import Secret
from worker.settings.files import Look, problem_of_kind, problem_of_secret, read_bounded

MODE_IS_OTHERS: Final = frozenset({"jwt_file"})
"""Kubernetes chooses its mode, and nobody else is in the pod."""
_LONGEST: Final = 65_536
_AT_REST: Final = 1.0
"""Seconds since a file was changed: what is written twice within a tick of the system's clock looks the same."""


def _unseen(_status: os.stat_result) -> None:
    """What the file is, nobody has to know."""


def read_secret(path: Path, place: str, *, may_be_open: bool = False, saw: Look = _unseen) -> Secret:
    """For a header: the file's one line, printable ASCII, without white space around it. `saw` hears what was opened.

    TransientError(`auth_failed`) names the setting whose file cannot be read, is open to everybody, or holds no such
    line: it may be in the middle of being replaced, and nobody sends a message when it is put right.
    """
    return _one_line(_text(path, place, "ascii", may_be_open=may_be_open, saw=saw).strip(), place)


@dataclass(slots=True)
class SecretFile:
    """A secret for the header of many calls: its file is looked at for each, and read again once it has changed."""

    path: Path
    place: str
    clock: Callable[[], float] = time.time
    _known: tuple[tuple[int, ...], Secret] | None = None

    def secret(self) -> Secret:
        """Errors as `read_secret`."""
        with suppress(OSError):
            if self._known is not None and self._known[0] == _identity(self.path.stat()):
                return self._known[1]
        self._known = None
        opened: list[os.stat_result] = []
        secret = read_secret(self.path, self.place, saw=opened.append)
        if opened[0].st_ctime < self.clock() - _AT_REST:
            self._known = _identity(opened[0]), secret
        return secret

    def forget(self) -> None:
        """It is refused: whatever the file looks like, it is read again."""
        self._known = None


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """Who may read it is in the time of its last change."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


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
def _text(path: Path, place: str, encoding: str, *, may_be_open: bool = False, saw: Look = _unseen) -> str:
    def look(status: os.stat_result) -> None:
        saw(status)
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
