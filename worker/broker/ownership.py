"""Who may write the embedded broker's files: whoever may can speak for any producer, and lose what waits."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from worker.broker.base import TopologyError

_COMPANIONS: Final = ("-wal", "-shm", "-journal", ".lock", ".opening")
_ROOT: Final = 0


def check_ownership(path: Path) -> None:
    """Raises TopologyError where somebody else may write the file, what SQLite keeps beside it, or its folder."""
    problem = next(_problems(path), None)
    if problem is not None:
        raise TopologyError(f"broker.url: {problem}")


def _problems(path: Path) -> Iterator[str]:
    # SQLite keeps its companions beside the file that a link leads to.
    for one in dict.fromkeys((path, Path(os.path.realpath(path)))):
        yield from _of_folder(one.parent)
        yield from _of_file(one, is_link_followed=True)
        for companion in _COMPANIONS:
            yield from _of_file(Path(f"{one}{companion}"), is_link_followed=False)


def _of_folder(folder: Path) -> Iterator[str]:
    mode = folder.stat().st_mode if folder.is_dir() else 0
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        yield f"the folder {folder.name}: everybody can put another file in place of this one"


def _owners(folder: Path) -> Iterator[int]:
    """Whose a file may be. Hooks run as root, and may use what lies in the worker's own folder."""
    yield os.geteuid()
    if os.geteuid() == _ROOT:
        yield folder.stat().st_uid


def _of_file(file: Path, *, is_link_followed: bool) -> Iterator[str]:
    try:
        status = file.stat(follow_symlinks=is_link_followed)
    except OSError:
        return  # opening it tells
    if not stat.S_ISREG(status.st_mode):
        yield f"{file.name}: not a regular file"
    elif status.st_uid not in _owners(file.parent):
        yield f"{file.name}: is another user's"
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield f"{file.name}: others can write it"
    elif status.st_mode & stat.S_IROTH:
        yield f"{file.name}: everybody can read it"
