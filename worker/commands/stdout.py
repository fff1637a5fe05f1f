"""A stdout whose reader may go away, as `head` does: what nobody reads any more costs no result. Quick to import."""

import io
import os
import sys
from pathlib import Path


class _Forgiving(io.TextIOWrapper):
    """Only a reader that is gone is forgiven: a full disk is an error, once."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._failed(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        """What is still kept back would be tried again at the end: it goes nowhere."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            raise error


def make_stdout_forgiving() -> None:
    """For the rest of the process. A stdout that somebody has put in the place of the process's own is left alone."""
    if sys.stdout is None:  # it was closed at the start; what is opened later must not take its number
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process
    elif sys.stdout is sys.__stdout__ and sys.stdout is not None:
        own = io.BufferedWriter(io.FileIO(sys.stdout.fileno(), "w", closefd=False))
        # What the terminal's letters do not have is no reason to end without a result.
        errors = "backslashreplace" if sys.stdout.errors == "strict" else sys.stdout.errors
        sys.stdout = _Forgiving(own, sys.stdout.encoding, errors, line_buffering=True)
