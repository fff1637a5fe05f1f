"""What to do about an error, in one line: by what it says itself, else by its reason, else by its kind."""

import errno
from collections.abc import Mapping, Sequence
from typing import Final

from worker.broker.base import BrokerError, TopologyError
from worker.core.errors import RotationError
from worker.reasons import meanings
from worker.settings import SettingsError
from worker.spool import SpoolError

_MODE: Final = "give the file to the user who runs this, with chmod 600, and run it again"
_GATEWAY: Final = "read what the gateway says; `rotation-worker plan CERT` shows what is stored and bound there"
_BUG: Final = "report it with the output of the same command with -v"
OWN: Final[Mapping[str, str]] = {
    "not_told": "start `rotation-worker run` where none is at work; `rotation-worker history CERT` will tell",
}
"""Of what only a command can say; of all other reasons docs/reasons.md tells."""
_EXHAUSTED: Final = "make room on this machine (disk, memory, open files), and run it again"
_SETTINGS: Final = "correct what is named; `rotation-worker check` then tries the settings without changing anything"
_TOPOLOGY: Final = "look at the broker's objects and at the user's rights; `rotation-worker check` tries each"
_SPOOL: Final = "make publish.spool a folder of the user who runs this, with room on its disk"
_NO_ROOM: Final = "make room on the disk that it writes to, and run it again"
_NO_RIGHT: Final = "run it as a user who may read and write there"
_APPLY: Final = "declare what is missing with `rotation-worker topology apply`, as a user who may configure"
_DIFFERENT: Final = "name another one in [broker], or empty and delete it, then `rotation-worker topology apply`"
_RIGHTS: Final = "give the user the rights that `rotation-worker topology export` prints, or use its own user"
_BY_TEXT: Final[Sequence[tuple[str, str]]] = (
    ("Address already in use", "stop what listens there, or set http.listen to another port"),
    ("cannot listen there", "set http.listen to an address of this machine, such as 127.0.0.1:8080"),
    ("somebody else is reading the dead letters", "try it again in a minute"),
    ("No space left on device", _NO_ROOM),
    ("disk is full", _NO_ROOM),
    ("Permission denied", _NO_RIGHT),
    ("readonly database", _NO_RIGHT),
    ("can be read by everybody", _MODE),
    ("everybody can read it", _MODE),
    ("can be written by everybody", _MODE),
    ("can write it", _MODE),
    ("is another user's", "run it as that user, or give the file to the user who runs this"),
    ("refuses these credentials", "look at user and password in broker.url, or in the file that broker.url_file names"),
    ("has no file yet", "make it with `rotation-worker topology apply`, or start `rotation-worker run`"),
    ("exists with other arguments", _DIFFERENT),
    ("inequivalent arg", _DIFFERENT),
    ("not allowed", _RIGHTS),
    ("refused for user", _RIGHTS),
    ("no queue", _APPLY),
    ("no exchange", _APPLY),
)
"""By what an error says in our words, the system's or the broker's. The first that fits counts."""
_BY_KIND: Final[Sequence[tuple[type[Exception], str]]] = (
    (SettingsError, _SETTINGS),
    (TopologyError, _TOPOLOGY),
    (SpoolError, _SPOOL),
)
_MISSING: Final = ": is missing"
_BY_NUMBER: Final[Mapping[int, str]] = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _NO_ROOM),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _NO_RIGHT),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM), _EXHAUSTED),
    errno.EIO: "look at the disk that it writes to, and run it again",
}


def next_step(error: Exception) -> str:
    """Never empty."""
    if isinstance(error, SettingsError) and error.next_step:
        return error.next_step
    if isinstance(error, RotationError):
        return next_step_after(error.reason)
    return by_text(str(error), _by_kind(error))


def _by_kind(error: Exception) -> str:
    if isinstance(error, TopologyError) and _MISSING in str(error):
        return _APPLY
    otherwise = next_step_after("broker_unavailable") if isinstance(error, BrokerError) else _BUG
    return next((step for kind, step in _BY_KIND if isinstance(error, kind)), otherwise)


def by_text(text: str, otherwise: str) -> str:
    return next((step for words, step in _BY_TEXT if words in text), otherwise)


def next_step_after(reason: str) -> str:
    """By the public word of an outcome."""
    known = meanings().get(reason)
    return OWN.get(reason, _GATEWAY) if known is None else known.step


def next_step_of_the_system(error: OSError) -> str | None:
    """None where that is nobody's to mend but ours."""
    return _BY_NUMBER.get(error.errno or 0)
