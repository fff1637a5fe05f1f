"""A file says what it means: what was read as a setting of another type than what stands there is a mistake."""

from collections.abc import Iterator, Mapping
from typing import Any

from worker.settings.overrides import Text

_KINDS: Mapping[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def mistyped(given: Any, taken: Any, place: str = "") -> Iterator[str]:
    """`given` is a tree as the file has it, `taken` the same as the settings understood it.

    What comes from the environment is text always.
    """
    match given:
        case dict():
            for key, one in given.items():
                if key in taken:  # else it may stand in two places, and was taken in at the other
                    yield from mistyped(one, taken[key], f"{place}.{key}" if place else str(key))
        case list():
            for number, (one, other) in enumerate(zip(given, taken, strict=True)):
                yield from mistyped(one, other, f"{place}.{number}")
        case Text():
            return
        case _ if _is_another(type(given), type(taken)):
            yield f"{place}: {_KINDS[type(taken)]} belongs here, and {_KINDS[type(given)]} stands there"


def _is_another(given: type, taken: type) -> bool:
    """An int is a float too; a path is written as text."""
    if given not in _KINDS or taken not in _KINDS or given is taken:
        return False
    return (given, taken) != (int, float)
