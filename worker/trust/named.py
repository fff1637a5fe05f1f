"""Chain and key that a person or an ACME client names: anywhere, but regular files only, and no more than is sound."""

import errno
import os
import stat
from pathlib import Path
from typing import Final

from worker.core.errors import RefusedError
from worker.trust.files import pem_text

_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


def check_named(path: Path, place: str) -> None:
    """That it is a regular file. Raises RefusedError: `file_not_found`, `file_not_regular`, `file_permissions`."""
    try:
        _check(path.stat(), place)
    except OSError as error:
        raise _refused(place, error) from None


def read_named(path: Path, place: str, longest: int) -> str:
    """Raises RefusedError, also `too_large` and `pem_garbage`."""
    try:
        # Does not wait for a FIFO's writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _check(os.fstat(descriptor), place)
            content = file.read(longest + 1)
    except OSError as error:
        raise _refused(place, error) from None
    if len(content) > longest:
        raise RefusedError("too_large", f"{place}: over {longest} bytes")
    return pem_text(content, place)


def _check(status: os.stat_result, place: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError("file_not_regular", f"{place}: not a regular file")


def _refused(place: str, error: OSError) -> RefusedError:
    if error.errno in _ABSENT:
        return RefusedError("file_not_found", f"{place}: no such file")
    reason = "file_permissions" if isinstance(error, PermissionError) else "file_unreadable"
    return RefusedError(reason, f"{place}: {error.strerror}")
