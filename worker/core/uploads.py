"""Names of stored certificates that tell which leaf they hold, so that a repeat finds its own again."""

from typing import Final, Literal

from worker.core.bundle import Leaf

Joint = Literal["-", "_"]
"""Between a deployment's name and the fingerprint: APIG's names know no hyphen."""
_PREFIX_LENGTH: Final = 12
_HEX: Final = frozenset("0123456789abcdef")
LONGEST_BASE: Final = 50 - 1 - _PREFIX_LENGTH
"""At APIG, whose names have 50 characters at most."""


def uploaded_name(base: str, leaf: Leaf, joint: Joint = "-") -> str:
    """The name of an upload of the leaf."""
    return f"{base}{joint}{leaf.fingerprint_sha256[:_PREFIX_LENGTH]}"


def base_name(name: str, joint: Joint = "-") -> str:
    """The name without the fingerprint that `uploaded_name` put behind it."""
    return name if fingerprint_in(name, joint) is None else name[: -_PREFIX_LENGTH - 1]


def fingerprint_in(name: str, joint: Joint = "-") -> str | None:
    """The beginning of the fingerprint in a name that `uploaded_name` made, else None."""
    base, found, tail = name.rpartition(joint)
    is_ours = bool(base and found) and len(tail) == _PREFIX_LENGTH and set(tail) <= _HEX
    return tail if is_ours else None
