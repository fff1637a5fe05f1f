"""Exit statuses, by the conventions of sysexits."""

from typing import Final

OK: Final = 0
FAILED: Final = 1
WRONG_USE: Final = 64
BAD_MATERIAL: Final = 65
UNAVAILABLE: Final = 69
INTERNAL: Final = 70
UNWRITABLE: Final = 74
TRY_AGAIN: Final = 75
WRONG_SETTINGS: Final = 78
INTERRUPTED: Final = 130
