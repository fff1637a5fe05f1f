"""A bug is told by its type and place: its text may quote the input. Quick to import."""

import traceback
from collections.abc import Iterator
from pathlib import Path


def where(bug: BaseException) -> str:
    """On one line: the type, and the innermost place."""
    frames = traceback.extract_tb(bug.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(bug).__name__}{place}"


def frames(bug: BaseException, depth: int = 1) -> Iterator[str]:
    """Every frame on a line; of a group, also those of each exception in it."""
    for at in traceback.extract_tb(bug.__traceback__):
        yield f"{'  ' * depth}{at.filename}:{at.lineno} {at.name}"
    if isinstance(bug, BaseExceptionGroup):
        for one in bug.exceptions:
            yield f"{'  ' * depth}{where(one)}"
            yield from frames(one, depth + 1)
