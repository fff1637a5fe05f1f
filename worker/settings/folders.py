"""The folders that lead to a file: whoever may write in one of them can put another file in its place."""

import grp
import os
import pwd
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = 0
_MOST_LINKS: Final = 40


def problem_of_folders(path: Path) -> str | None:
    """What is wrong with the first of them, as with a user's keys for ssh; None where opening the file tells.

    They are root's, our own, or the file's owner's, and nobody else may write there; with the sticky bit, as in /tmp,
    whoever may write there takes nothing away from others.
    """
    try:
        owners = frozenset({_ROOT, os.geteuid(), path.stat().st_uid})
        found = ((folder, _problem(folder.stat(), owners)) for folder in _folders(path))
        return next((f"the folder {folder}: {problem}" for folder, problem in found if problem is not None), None)
    except OSError:
        return None


def _folders(path: Path) -> Iterator[Path]:
    """Also those of the links on the way, such as Kubernetes makes."""
    seen = dict[Path, None]()
    for _ in range(_MOST_LINKS):
        seen |= dict.fromkeys(path.absolute().parents)
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    yield from dict.fromkeys((*seen, *path.resolve().parents))


def _problem(folder: os.stat_result, owners: Collection[int]) -> str | None:
    mode = folder.st_mode
    if folder.st_uid not in owners:
        return "is another user's, who can put another file in place of this one"
    if mode & stat.S_ISVTX:
        return None
    if mode & stat.S_IWOTH:
        return "everybody can put another file in place of this one"
    if mode & stat.S_IWGRP and _has_others(folder.st_gid, owners):
        return "a group can put another file in place of this one"
    return None


def _has_others(gid: int, owners: Collection[int]) -> bool:
    """Many users have a group of their own. One without a name is only for whom it is given, as `fsGroup`."""
    try:
        members = frozenset(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return False
    users = [one for one in pwd.getpwall() if one.pw_gid == gid or one.pw_name in members]
    return any(one.pw_uid not in owners for one in users) or not members <= {one.pw_name for one in users}
