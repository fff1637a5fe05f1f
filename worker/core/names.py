"""Which domain names a certificate covers: exact and wildcard comparison, in ASCII only.

Nothing is mapped or converted: IDNA's mapping would turn a name with an invisible character into another, valid one.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN: Final = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})+")
_LONGEST: Final = 253


def is_domain(name: str) -> bool:
    """Whether `name` is a lower-case ASCII domain name of two labels or more, perhaps with a wildcard on the left."""
    return len(name) <= _LONGEST and _DOMAIN.fullmatch(name) is not None


def uncovered(names: Iterable[str], san: Sequence[str]) -> tuple[str, ...]:
    """Those of `names` that no entry of `san` covers, each once, in order."""
    entries = {entry for entry in map(str.lower, san) if is_domain(entry) or is_address(entry)}
    return tuple(dict.fromkeys(name for name in names if not _is_covered(name.lower(), entries)))


def _is_covered(name: str, entries: set[str]) -> bool:
    """A wildcard stands for exactly one label, at the left, with two labels or more behind it: others are no domains.

    A wildcard *name* needs that very entry, and so does an address.
    """
    wildcard = f"*.{name.partition('.')[2]}"
    return name in entries or (wildcard in entries and is_domain(name) and not is_address(name))


def is_address(name: str) -> bool:
    """One in dotted decimals ends with a digit, and one with colons is no domain: the rest need not be tried."""
    if not name[-1:].isdigit() and ":" not in name:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
