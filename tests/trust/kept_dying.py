"""What `test_kept_folder` runs: a writer that is killed at each line of its module, one after the other.

Prints, for each of its deaths, what lay there then, and how a writer that came after fared.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from worker.trust.kept import folder as module
from worker.trust.kept.folder import InFolder

NAME = "shop"
LONGEST = 1000


def die_at(line: int) -> None:
    """At the so-manieth line of the module that is come to."""
    lines = count(1)

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != module.__file__:
            return None
        if event == "line" and next(lines) == line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def is_killed(place: InFolder, line: int) -> bool:
    child = os.fork()
    if child == 0:
        die_at(line)
        place.write(NAME, "new")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def deaths(below: Path, before: str | None) -> Iterator[list[str | None]]:
    for line in count(1):
        place = InFolder(below / f"{line}" / "previous")
        if before is not None:
            place.write(NAME, before)
        was_killed = is_killed(place, line)
        found = place.read(NAME, LONGEST)
        place.write(NAME, "newer")
        if not was_killed:
            return
        yield [found, place.read(NAME, LONGEST)]


if __name__ == "__main__":
    first, later = Path(sys.argv[1]) / "first", Path(sys.argv[1]) / "later"
    print(json.dumps([list(deaths(first, None)), list(deaths(later, "old"))]))  # noqa: T201 - what it is run for
