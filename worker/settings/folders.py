"""Who may write in a file, or in the folders that lead to it: there another file can be put in its place."""

import grp
import os
import pwd
import stat
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_ROOT: Final = 0
_MOST_LINKS: Final = 40
_LIST: Final = "system.posix_acl_access"
# Of Linux: a version, then tag, rights and id of each entry.
_VERSION: Final = 4
_ENTRY: Final = struct.Struct("<HHI")
_USER: Final = 0x02
_GROUP: Final = 0x08
_MASK: Final = 0x10
_WRITE: Final = 0x02


Owners = frozenset[int]


def problem_of_folders(path: Path) -> str | None:
    """What is wrong with the first of them, as with a user's keys for ssh; None where opening the file tells.

    They are root's, our own, or the file's owner's, and nobody else may write there; with the sticky bit, as in /tmp,
    whoever may write there takes nothing away from others.
    """
    return Folders().problem_of(path)


@dataclass(slots=True)
class Folders:
    """Each looked at once, for files that lie together: every question to the system is a turn given away."""

    _problems: dict[tuple[Path, Owners], str | None] = field(default_factory=dict)
    _resolved: dict[Path, Path] = field(default_factory=dict)

    def problem_of(self, path: Path) -> str | None:
        """As `problem_of_folders`."""
        try:
            file = path.stat()
            owners = frozenset({_ROOT, os.geteuid(), file.st_uid})
            if _is_others_to_write(path, file, owners):
                return "the file can be written by other users, of its group or of its access list"
            found = ((folder, self._problem(folder, owners)) for folder in self._of(path))
            return next((f"the folder {folder}: {problem}" for folder, problem in found if problem is not None), None)
        except OSError:
            return None

    def resolved(self, folder: Path) -> Path:
        """What it is without links."""
        if folder not in self._resolved:
            self._resolved[folder] = folder.resolve()
        return self._resolved[folder]

    def _of(self, path: Path) -> Iterator[Path]:
        """Also those of the links on the way, such as Kubernetes makes."""
        seen = dict[Path, None]()
        for _ in range(_MOST_LINKS):
            seen |= dict.fromkeys(path.absolute().parents)
            if not path.is_symlink():
                break
            path = path.parent / path.readlink()
        folder = self.resolved(path.parent)
        yield from dict.fromkeys((*seen, folder, *folder.parents))

    def _problem(self, folder: Path, owners: Owners) -> str | None:
        if (folder, owners) not in self._problems:
            self._problems[folder, owners] = _problem(folder, folder.stat(), owners)
        return self._problems[folder, owners]


def _problem(path: Path, folder: os.stat_result, owners: Collection[int]) -> str | None:
    if folder.st_uid not in owners:
        return "is another user's, who can put another file in place of this one"
    if folder.st_mode & stat.S_ISVTX:
        return None
    if folder.st_mode & stat.S_IWOTH:
        return "everybody can put another file in place of this one"
    if folder.st_mode & stat.S_IWGRP and _has_others(folder.st_gid, owners):
        return "a group can put another file in place of this one"
    if _lists_others(path, owners):
        return "other users of its access list can put another file in place of this one"
    return None


def _is_others_to_write(path: Path, file: os.stat_result, owners: Collection[int]) -> bool:
    return bool(file.st_mode & stat.S_IWGRP) and (_has_others(file.st_gid, owners) or _lists_others(path, owners))


def _lists_others(path: Path, owners: Collection[int]) -> bool:
    """Whether an access list lets anybody else write there."""
    content = b""
    with suppress(OSError):  # there is none, or there are none on this file system
        content = os.getxattr(path, _LIST)[_VERSION:]
    entries = list(_ENTRY.iter_unpack(content[: len(content) // _ENTRY.size * _ENTRY.size]))
    mask = next((rights for tag, rights, _ in entries if tag == _MASK), _WRITE)
    return any(
        (tag == _USER and one not in owners) or (tag == _GROUP and _has_others(one, owners))
        for tag, rights, one in entries
        if rights & mask & _WRITE
    )


def _has_others(gid: int, owners: Collection[int]) -> bool:
    """Many users have a group of their own. One without a name is only for whom it is given, as `fsGroup`."""
    try:
        members = frozenset(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return False
    users = [one for one in pwd.getpwall() if one.pw_gid == gid or one.pw_name in members]
    return any(one.pw_uid not in owners for one in users) or not members <= {one.pw_name for one in users}
