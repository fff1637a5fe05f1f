"""The calls of a plan, as data: counted at once, made one by one only where somebody looks."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
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
class Parcels(Sequence[PlannedCall]):
    """A call for every `size` bindings, in their order."""

    bindings: Sequence[Binding]
    size: int
    made: Callable[[Sequence[Binding]], PlannedCall]

    def __len__(self) -> int:
        return ceil(len(self.bindings) / self.size)

    @overload
    def __getitem__(self, at: int) -> PlannedCall: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[PlannedCall]: ...
    def __getitem__(self, at: int | slice) -> PlannedCall | Sequence[PlannedCall]:
        if isinstance(at, slice):
            return [self[one] for one in range(len(self))[at]]
        start = range(len(self))[at] * self.size
        return self.made(self.bindings[start : start + self.size])


@dataclass(frozen=True, slots=True)
class Calls(Sequence[PlannedCall]):
    """Parts that follow one another."""

    parts: Sequence[Sequence[PlannedCall]]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[PlannedCall]:
        return chain.from_iterable(self.parts)

    @overload
    def __getitem__(self, at: int) -> PlannedCall: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[PlannedCall]: ...
    def __getitem__(self, at: int | slice) -> PlannedCall | Sequence[PlannedCall]:
        if isinstance(at, slice):
            return [self[one] for one in range(len(self))[at]]
        number = range(len(self))[at]
        ends = list(accumulate(map(len, self.parts)))
        part = bisect_right(ends, number)
        return self.parts[part][number - (ends[part - 1] if part else 0)]


def pages(rows: int, length: int) -> int:
    """How many calls a list of so many rows takes."""
    return max(ceil(rows / length), 1)
