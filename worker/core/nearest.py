"""What somebody meant who mistyped a name."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_AS_ALIKE_AS: Final = 0.6


def nearest(typed: str, known: Iterable[str]) -> str | None:
    """The one that is most like it, upper and lower case being the same; None where none is."""
    by_lower = {one.lower(): one for one in known}
    found = get_close_matches(typed.lower(), list(by_lower), n=1, cutoff=_AS_ALIKE_AS)
    return by_lower[found[0]] if found else None
