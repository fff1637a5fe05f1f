"""A folder of the worker's own, a small file for each certificate: a crash leaves the one before, or the new one.

All is done below the folder that was looked at, however its name may lead elsewhere meanwhile.
"""

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worker.core.errors import PermanentError, RotationError, TransientError
from worker.settings.files import read_bounded
from worker.settings.model import CERTIFICATE_NAME

_PLACE: Final = "trust.previous.folder"
_SUFFIX: Final = ".jwe"
# No certificate's name begins with a dot.
_UNFINISHED: Final = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")
_ABANDONED_AFTER: Final = 3600.0
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
# Links in the place of a folder or a file, sockets, and what may not be read or written.
_LASTING: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG, errno.EISDIR}
)


@dataclass(frozen=True, slots=True)
class InFolder:
    """Reasons: `previous_permissions`, `previous_broken`; a transient one: `previous_unavailable`."""

    folder: Path

    def write(self, certificate: str, text: str) -> None:
        """On disk when it returns, with its name."""
        name = _name(certificate)
        with _told():
            self._make()
            with self._opened() as folder:
                _clear(folder)
                unfinished = f".{certificate}.{secrets.token_hex(8)}.tmp"
                try:
                    _write(unfinished, text.encode("ascii"), folder)
                    os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
                except OSError:
                    with suppress(OSError):
                        os.unlink(unfinished, dir_fd=folder)
                    raise
                os.fsync(folder)

    def read(self, certificate: str, longest: int) -> str | None:
        """At most one byte more than `longest`; None where there is no such file or folder."""
        name = _name(certificate)
        with _told(), suppress(FileNotFoundError), self._opened() as folder:
            return _text(read_bounded(Path(name), longest, _regular, os.O_NOFOLLOW, below=folder))
        return None

    def check(self) -> None:
        """Raises RotationError where nothing could be kept; a check makes no folder."""
        with _told():
            try:
                with self._opened():
                    lowest = self.folder
            except FileNotFoundError:
                lowest = next(one for one in self.folder.absolute().parents if one.exists())
            if not os.access(lowest, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "the worker may write nothing there")

    def _make(self) -> None:
        """Its name is durable only when the folder above is."""
        try:
            self.folder.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            return
        above = os.open(self.folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(above)
        finally:
            os.close(above)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """Its descriptor."""
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            status = os.fstat(folder)
            _check(status)
            if status.st_mode & _OTHERS:
                os.fchmod(folder, 0o700)
            yield folder
        finally:
            os.close(folder)


def _name(certificate: str) -> str:
    """Whatever the settings let through: it stays in the folder."""
    if CERTIFICATE_NAME.fullmatch(certificate) is None:
        raise PermanentError("previous_permissions", f"{_PLACE}: no file has the name of that certificate")
    return f"{certificate}{_SUFFIX}"


def _check(status: os.stat_result) -> None:
    """That it is the worker's own, and nobody else can have written it."""
    if status.st_uid != os.geteuid():
        raise PermanentError("previous_permissions", f"{_PLACE}: it, or a file in it, is another user's")
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise PermanentError("previous_permissions", f"{_PLACE}: it, or a file in it, can be written by others")


def _write(name: str, content: bytes, folder: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _clear(folder: int) -> None:
    """What killed writers left. A younger one may still be written."""
    for name in os.listdir(folder):
        if _UNFINISHED.fullmatch(name):
            with suppress(OSError):
                if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < time.time() - _ABANDONED_AFTER:
                    os.unlink(name, dir_fd=folder)


def _regular(status: os.stat_result) -> None:
    _check(status)
    if not stat.S_ISREG(status.st_mode):
        raise PermanentError("previous_permissions", f"{_PLACE}: no regular file lies there")


def _text(content: bytes) -> str:
    if not content.isascii():
        raise PermanentError("previous_broken", f"{_PLACE}: no text lies there")
    return content.decode("ascii")


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failure(error) from None


def _failure(error: OSError) -> RotationError:
    told = f"{_PLACE}: {error.strerror or 'cannot be used'}"
    if error.errno in _LASTING:
        return PermanentError("previous_permissions", told)
    return TransientError("previous_unavailable", told)
