"""Whose a file is."""

import os
from pathlib import Path


def given_away(file: Path) -> None:
    """To whom it belongs already, which nobody has to be root for: the kernel marks the change all the same."""
    before = file.stat()
    while file.stat().st_ctime_ns == before.st_ctime_ns:  # its clock is coarse
        os.chown(file, before.st_uid, before.st_gid)
