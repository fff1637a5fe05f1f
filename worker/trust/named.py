"""Chain and key that a person or an ACME client names: anywhere, but regular files only, and no more than is sound."""

from pathlib import Path

from worker.core.errors import RefusedError
from worker.trust.files import ABSENT, check_regular, read_pem


def check_named(path: Path, place: str) -> None:
    """That it is a regular file. Raises RefusedError: `file_not_found`, `file_not_regular`, `file_permissions`."""
    try:
        check_regular(path.stat(), place)
    except OSError as error:
        raise _refused(place, error) from None


def read_named(path: Path, place: str, longest: int) -> str:
    """Raises RefusedError, also `too_large` and `pem_garbage`."""
    try:
        return read_pem(path, place, longest, lambda status: check_regular(status, place))
    except OSError as error:
        raise _refused(place, error) from None


def _refused(place: str, error: OSError) -> RefusedError:
    if error.errno in ABSENT:
        return RefusedError("file_not_found", f"{place}: no such file")
    reason = "file_permissions" if isinstance(error, PermissionError) else "file_unreadable"
    return RefusedError(reason, f"{place}: {error.strerror}")
