"""Files as they are read: up to a bound, without waiting, and once it was seen what they are."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

Look = Callable[[os.stat_result], None]
_PART: Final = 65_536


def read_bounded(path: Path, longest: int, look: Look, flags: int = 0, *, below: int | None = None) -> bytes:
    """At most one byte more than `longest`, after `look`, which may raise. OSError where it cannot be read.

    `below`: descriptor of the folder from which a relative path is meant.
    """
    # Does not wait for a FIFO's writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags, dir_fd=below)
    try:
        look(os.fstat(descriptor))
        return _read(descriptor, longest + 1)
    finally:
        os.close(descriptor)


def _read(descriptor: int, most: int) -> bytes:
    """Not by a file object, which asks the system three times more: each question is a turn given to another thread."""
    content = bytearray()
    while len(content) < most and (part := os.read(descriptor, _PART)):
        content += part
    return bytes(content[:most])


def problem_of_kind(status: os.stat_result) -> str | None:
    """What is wrong with a file that the settings name, whatever is in it."""
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return "the file can be written by everybody" if status.st_mode & stat.S_IWOTH else None


def problem_of_secret(status: os.stat_result) -> str | None:
    """What is wrong with a file that holds a secret."""
    if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IROTH:
        return "the file can be read by everybody"
    return problem_of_kind(status)
