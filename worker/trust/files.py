"""Material in files: only below the configured roots, only regular files, only keys that nobody else can read."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from worker.core.errors import PermanentError, RefusedError
from worker.core.pem import LONGEST_CHAIN, LONGEST_KEY
from worker.core.renewal import InFiles
from worker.core.secret import Secret

_READABLE_BY_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_material(material: InFiles, roots: Sequence[Path]) -> tuple[str, Secret]:
    """Chain and key. Paths are relative to a root; symlinks are followed first and must end inside a root.

    Reasons: `file_outside_roots`, `file_not_found`, `file_not_regular`, `file_permissions`, `too_large`, `pem_garbage`.
    """
    chain = _read(material.chain, roots, "material.chain", LONGEST_CHAIN, is_key=False)
    return chain, Secret(_read(material.private_key, roots, "material.private_key", LONGEST_KEY, is_key=True))


def _read(relative: str, roots: Sequence[Path], place: str, longest: int, *, is_key: bool) -> str:
    path = _resolved(relative, roots, place)
    try:
        # Neither waits for a FIFO's writer nor follows a link that came after it was resolved.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise PermanentError("file_not_found", f"{place}: cannot be opened") from None
    with os.fdopen(descriptor, "rb") as file:
        _check(os.fstat(descriptor), place, is_key=is_key)
        content = file.read(longest + 1)
    if len(content) > longest:
        raise RefusedError("too_large", f"{place}: over {longest} bytes")
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise RefusedError("pem_garbage", f"{place}: not a PEM file") from None


def _resolved(relative: str, roots: Sequence[Path], place: str) -> Path:
    allowed = [root.resolve() for root in roots]
    if Path(relative).is_absolute() or ".." in Path(relative).parts or "\0" in relative:
        raise RefusedError("file_outside_roots", f"{place}: not a path below a root")
    for root in allowed:
        try:
            path = (root / relative).resolve(strict=True)
        except (OSError, RuntimeError):
            continue
        if not any(path.is_relative_to(one) for one in allowed):
            raise RefusedError("file_outside_roots", f"{place}: leads out of the roots")
        return path
    raise PermanentError("file_not_found", f"{place}: below no root")


def _check(status: os.stat_result, place: str, *, is_key: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError("file_not_regular", f"{place}: not a regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise RefusedError("file_permissions", f"{place}: owned by another user")
    if is_key and status.st_mode & _READABLE_BY_OTHERS:
        raise RefusedError("file_permissions", f"{place}: open to its group or to others")
