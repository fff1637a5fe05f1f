"""Where a path leads by its words alone: links are followed elsewhere, by whoever may read there."""

from pathlib import PurePosixPath


def is_below(path: str, folder: str) -> bool:
    """Whether a relative path without `..` lies in that folder."""
    named = PurePosixPath(path)
    return not named.is_absolute() and ".." not in named.parts and named.is_relative_to(folder)
