"""Values that nobody expects, and good JSON with one of them in it, or with something gone."""

import json
from collections.abc import Sequence
from copy import deepcopy
from itertools import product
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st

CASES: Final = 500 if settings.get_current_profile_name() == "ci" else 60
"""How many are tried of each."""
ZONES: Final = ("+08:00", "-14:00", "+23:59", "-23:59", "Z", "")
"""Of the first and the last second that there is: with some of them it is none in UTC."""
TEXTS: Final = (
    st.text(max_size=20)
    | st.sampled_from(["", "\0", "\ud800", "\x1b[31m", "../x", "-1", "1e999", "9" * 5000, "x" * 20_000, "nan", "2026"])
    | st.sampled_from(["2026-13-45T99:99:99Z", "{}", "null"])
    | st.sampled_from(
        [f"{first}{zone}" for first, zone in product(("0001-01-01T00:00:00", "9999-12-31T23:59:59"), ZONES)]
    )
)
SIMPLE: Final = (
    st.none() | st.booleans() | st.integers() | st.sampled_from([2**63, -(2**63), 10**400]) | st.floats() | TEXTS
)
ANYTHING: Final = st.recursive(
    SIMPLE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Sequence[tuple[Any, ...]]:
    """The ways to everything inside, and to the whole."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, one in inner for found in places(one, (*path, key)))]


def changed(good: Any, path: tuple[Any, ...], new: Any, *, how: str) -> Any:
    """`good` with another value there, or without it, or with it twice."""
    if not path:
        return new
    value = deepcopy(good)
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    match how, holder:
        case "gone", _:
            del holder[path[-1]]
        case "twice", list():
            holder.append(holder[path[-1]])
        case _:
            holder[path[-1]] = new
    return value


@st.composite
def mutated(draw: st.DrawFn, good: Any) -> Any:
    """Up to three things in it are otherwise."""
    value = good
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(value)))
        value = changed(value, path, draw(ANYTHING), how=draw(st.sampled_from(["other", "gone", "twice"])))
    return value


def dumped(value: Any) -> bytes:
    """JSON as careless programs write it: NaN, lone surrogates."""
    return json.dumps(value, skipkeys=True).encode()


@st.composite
def spoiled(draw: st.DrawFn, good: bytes) -> bytes:
    """With some bytes replaced, put in or taken out."""
    at = draw(st.integers(0, len(good)))
    gone = draw(st.integers(0, 8))
    return good[:at] + draw(st.binary(max_size=8)) + good[at + gone :]
