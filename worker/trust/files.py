"""Material in files: only below the configured roots, only regular files, only keys that nobody else can read.

Chain and key are two files, and renewing them is several steps: what is read while they are being replaced may be of
two renewals. So both are looked at before and after, and a pair that does not fit can be given time.
"""

import errno
import os
import stat
from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worker.core.errors import PermanentError, RefusedError, RotationError, TransientError, unchained
from worker.core.pem import LONGEST_CHAIN, LONGEST_KEY
from worker.core.renewal import InFiles
from worker.core.secret import Secret
from worker.settings.files import problem_of_kind, read_bounded
from worker.settings.folders import Folders

_OPEN_TO_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_ROOT: Final = 0
_LOOKS: Final = 3
ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


@dataclass(frozen=True, slots=True)
class _Sight:
    """Where a name leads, and what tells that the file there is still the same."""

    name: Path
    path: Path
    identity: tuple[int, ...]

    @property
    def is_still_so(self) -> bool:
        """Where it leads first: a folder on the way may have been a link out of the roots since it was resolved."""
        with suppress(OSError, RuntimeError):
            return self.name.resolve(strict=True) == self.path and _identity(self.name) == self.identity
        return False


class _MovedError(Exception):
    """What was opened is not what was looked at."""


@unchained
def read_material(material: InFiles, roots: Sequence[Path]) -> tuple[str, Secret]:
    """Chain and key. Paths are relative to a root; symlinks are followed first and must end inside a root.

    Reasons: `file_outside_roots`, `file_not_found`, `file_not_regular`, `file_permissions`, `too_large`, `pem_garbage`;
    transient ones: `file_unreadable`, which is the system's fault, and `key_mismatch`, while the files are replaced.
    """
    for _ in range(_LOOKS):
        folders = Folders()
        chain_at = _seen(material.chain, roots, folders, "material.chain")
        key_at = _seen(material.private_key, roots, folders, "material.private_key")
        try:
            chain = _read(chain_at, "material.chain", LONGEST_CHAIN, is_key=False)
            key = _read(key_at, "material.private_key", LONGEST_KEY, is_key=True)
        except _MovedError:
            continue
        if chain_at.is_still_so and key_at.is_still_so:
            return chain, Secret(key)
    raise TransientError("key_mismatch", "material: chain and key change while they are being read")


def _read(sight: _Sight, place: str, longest: int, *, is_key: bool) -> str:
    def check(status: os.stat_result) -> None:
        # A folder on the way may have become a link that leads out of the roots.
        if (status.st_dev, status.st_ino) != sight.identity[:2]:
            raise _MovedError
        _check(status, place, is_key=is_key)

    try:
        # Follows no link that came after it was resolved.
        return read_pem(sight.path, place, longest, check, os.O_NOFOLLOW)
    except OSError as error:
        raise _unreadable(place, error) from None


@unchained
def read_pem(path: Path, place: str, longest: int, check: Callable[[os.stat_result], None], flags: int = 0) -> str:
    """The text of a file, once `check` has seen what it is. OSError where it cannot be read.

    What editors of other systems put in front of a text is let pass, as it is in messages.

    Raises RefusedError: `too_large`, `pem_garbage`, and what `check` raises.
    """
    content = read_bounded(path, longest, check, flags)
    if len(content) > longest:
        raise RefusedError("too_large", f"{place}: over {longest} bytes")
    try:
        return content.removeprefix(BOM_UTF8).decode("ascii")
    except UnicodeDecodeError:
        raise RefusedError("pem_garbage", f"{place}: not a PEM file") from None


def _seen(relative: str, roots: Sequence[Path], folders: Folders, place: str) -> _Sight:
    allowed = [folders.resolved(root) for root in roots]
    if Path(relative).is_absolute() or ".." in Path(relative).parts or "\0" in relative:
        raise RefusedError(
            "file_outside_roots", f"{place}: not a path below a root: write it relative to one of trust.roots.files"
        )
    problem: OSError | None = None
    for root in allowed:
        try:
            sight = _sight(root / relative)
        except RuntimeError:
            continue  # links in a circle
        except OSError as error:
            problem = problem if error.errno in ABSENT else error
            continue
        if not any(sight.path.is_relative_to(one) for one in allowed):
            raise RefusedError("file_outside_roots", f"{place}: leads out of the roots")
        if (replaceable := folders.problem_of(sight.name)) is not None:
            raise RefusedError("file_permissions", f"{place}: {replaceable}")
        return sight
    raise _unreadable(place, problem)


def _sight(name: Path) -> _Sight:
    return _Sight(name, name.resolve(strict=True), _identity(name))


def _identity(name: Path) -> tuple[int, ...]:
    link, file = name.lstat(), name.stat()
    return file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns, link.st_ctime_ns


def _unreadable(place: str, error: OSError | None) -> RotationError:
    if isinstance(error, PermissionError):
        return PermanentError("file_permissions", f"{place}: the worker may not read it")
    if error is None or error.errno in ABSENT:
        return PermanentError("file_not_found", f"{place}: is not there")
    return TransientError("file_unreadable", f"{place}: cannot be read: {error.strerror}")


def problem_of_key(status: os.stat_result, user: int, groups: Collection[int]) -> str | None:
    """What is wrong with a key's file, for a worker that is this user in these groups.

    What root has given to a group of the worker's, for reading alone, is as it should be: so Kubernetes hands a
    Secret to a pod that is not root's. The worker's own file has no need of a group.
    """
    if status.st_nlink > 1:
        # Roots say where files lie by their names, and this one has others: perhaps below no root.
        return "has other names too (hard links)"
    is_given = status.st_uid == _ROOT != user and status.st_gid in groups
    if stat.S_IMODE(status.st_mode) & _OPEN_TO_OTHERS & ~(stat.S_IRGRP if is_given else 0):
        return "open to its group or to others"
    return None


def check_regular(status: os.stat_result, place: str) -> None:
    """Raises RefusedError(`file_not_regular`)."""
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError("file_not_regular", f"{place}: not a regular file")


def _check(status: os.stat_result, place: str, *, is_key: bool) -> None:
    check_regular(status, place)
    if status.st_uid not in (0, os.geteuid()):
        raise RefusedError("file_permissions", f"{place}: owned by another user")
    groups = {os.getegid(), *os.getgroups()}
    problem = problem_of_key(status, os.geteuid(), groups) if is_key else problem_of_kind(status)
    if problem is not None:
        raise RefusedError("file_permissions", f"{place}: {problem}")
