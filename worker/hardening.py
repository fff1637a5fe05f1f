"""What the process denies everybody: a picture of its memory, which holds other people's keys."""

import ctypes
import resource
import sys
from contextlib import suppress
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def deny_dumps() -> None:
    """No core dump, and no other process of the same user may look inside, by debugger or by `/proc`.

    Children inherit the first, not the second. Where the system refuses, its service manager has to do: see `deploy/`.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
