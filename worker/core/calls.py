"""The calls of a plan, as data: counted at once, made one by one only where somebody looks."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil
from typing import Final, Literal, overload

from worker.core.deployment import Binding

CallStep = Literal["replace", "attach", "read_back", "retire"]
NEW: Final = "{new certificate}"
"""Stands in a path for the id that nobody knows before the certificate is stored."""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One call to a gateway, as it is made where all goes well."""

    operation: str
    """As in the metrics."""
    method: str
    path: str
    """With ids; `NEW` for one that is not known yet."""
    step: CallStep
    wave: int | None = None
    """From 1; None where all bindings go together, and for what belongs to no wave."""
    bindings: Sequence[Binding] = ()
    """Those that it is about."""


@dataclass(frozen=True, slots=True)
class Calls(Sequence[PlannedCall]):
    """So many calls, each made when it is looked at."""

    number: int
    made: Callable[[int], PlannedCall]
    """Of its place, from 0."""

    def __len__(self) -> int:
        return self.number

    @overload
    def __getitem__(self, at: int) -> PlannedCall: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[PlannedCall]: ...
    def __getitem__(self, at: int | slice) -> PlannedCall | Sequence[PlannedCall]:
        places = range(self.number)
        return [self.made(one) for one in places[at]] if isinstance(at, slice) else self.made(places[at])


def parcels(bindings: Sequence[Binding], size: int, made: Callable[[Sequence[Binding]], PlannedCall]) -> Calls:
    """A call for every `size` bindings, in their order."""
    return Calls(ceil(len(bindings) / size), lambda at: made(bindings[at * size : (at + 1) * size]))


def one_after_another(parts: Sequence[Sequence[PlannedCall]]) -> Calls:
    """Parts that follow one another."""
    ends = list(accumulate(map(len, parts), initial=0))

    def made(at: int) -> PlannedCall:
        part = bisect_right(ends, at) - 1
        return parts[part][at - ends[part]]

    return Calls(ends[-1], made)


def pages(rows: int, length: int) -> int:
    """How many calls a list of so many rows takes."""
    return max(ceil(rows / length), 1)
