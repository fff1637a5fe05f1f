"""Who this process is, for an engine that asks nobody for a password."""

import getpass
import os
from collections.abc import Callable


def own_name(asked: Callable[[], str] = getpass.getuser) -> str:
    """The user's name; of one that the system has no name for, as in many containers, `uid-NUMBER`."""
    try:
        return asked()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"
