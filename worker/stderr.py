"""A stderr that never fails: a full disk or a closed pipe behind it costs lines, not the work. Quick to import."""

import io
import os
import sys
from contextlib import suppress
from pathlib import Path


class _Unfailing(io.TextIOWrapper):
    """Keeps nothing back, so that nothing is left at the end that could not be written."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def make_stderr_unfailing() -> None:
    """For the rest of the process. A stderr that somebody has put in the place of the process's own is left alone."""
    if sys.stderr is None:  # it was closed at the start; what is opened later must not take its number
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process
    elif sys.stderr is sys.__stderr__ and sys.stderr is not None:
        own = io.FileIO(sys.stderr.fileno(), "w", closefd=False)
        sys.stderr = _Unfailing(own, sys.stderr.encoding, "backslashreplace", line_buffering=True, write_through=True)
