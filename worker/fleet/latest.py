"""What is kept of each certificate for its own page: the latest, in so much room for all of them together."""

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from worker.fleet.standing import Ended
from worker.fleet.values import BindingStanding

_EACH: Final = 10
_IN_ALL: Final = 60_000
"""Outcomes, of all certificates."""
_NAMES: Final = 200_000
"""Bindings by name, of all certificates."""


@dataclass(frozen=True, slots=True)
class Bindings:
    """Of one deployment, by name."""

    listed: Sequence[BindingStanding]
    is_complete: bool


@dataclass(slots=True)
class Histories:
    """Of every certificate its latest outcomes. Where there are too many, the longest quiet one forgets its own."""

    each: int = _EACH
    in_all: int = _IN_ALL
    _kept: OrderedDict[str, deque[Ended]] = field(default_factory=OrderedDict)
    _count: int = 0

    def of(self, certificate: str) -> Sequence[Ended]:
        """Newest first."""
        return tuple(reversed(self._kept.get(certificate, ())))

    def forget(self, certificate: str) -> None:
        self._count -= len(self._kept.pop(certificate, ()))

    def add(self, certificate: str, ended: Ended) -> None:
        known = self._kept.setdefault(certificate, deque(maxlen=self.each))
        self._kept.move_to_end(certificate)
        self._count += len(known) < self.each
        known.append(ended)
        while self._count > self.in_all:
            self._count -= len(self._kept.popitem(last=False)[1])


@dataclass(slots=True)
class Listings:
    """Of every certificate, by deployment, the bindings by name. Where there are too many, the oldest go."""

    in_all: int = _NAMES
    _kept: OrderedDict[str, Mapping[str, Bindings]] = field(default_factory=OrderedDict)
    _count: int = 0

    def of(self, certificate: str) -> Mapping[str, Bindings]:
        """By the deployment's key."""
        return self._kept.get(certificate, {})

    def put(self, certificate: str, listings: Mapping[str, Bindings]) -> None:
        self._count += _size(listings) - _size(self._kept.pop(certificate, {}))
        self._kept[certificate] = listings
        while self._count > self.in_all and len(self._kept) > 1:
            self._count -= _size(self._kept.popitem(last=False)[1])


def _size(listings: Mapping[str, Bindings]) -> int:
    return sum(len(one.listed) for one in listings.values())
