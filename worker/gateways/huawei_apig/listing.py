"""Which certificates of an account may serve a name, by the list of all: calls are few, and rotations many."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.wire import Certificate

_LASTS: Final = 600.0
"""Seconds. What is stored under another name changes seldom, and a sweep asks for one certificate after another."""


class Names:
    """Certificates by the names that they are for. Where none are told, one may serve anything."""

    def __init__(self, listed: Iterable[Certificate] = ()) -> None:
        self._of = {one.id: frozenset(name.lower() for name in one.san) for one in listed}
        self._ids: defaultdict[str, list[str]] = defaultdict(list)
        for one, names in self._of.items():
            for name in names or ("",):
                self._ids[name].append(one)

    def serving(self, names: Collection[str]) -> Sequence[str]:
        """Ids of those that may serve one of these."""
        found = (one for name in ("", *sorted(names)) for one in self._ids.get(name, ()))
        return list(dict.fromkeys(found))

    def may_serve(self, certificate_id: str, names: Collection[str]) -> bool:
        of = self._of[certificate_id]
        return not of or not of.isdisjoint(names)


@dataclass(slots=True)
class Listing:
    """Of one account. Rotations that ask at one time read it each: none waits for another of less urgency."""

    client: ApigClient
    _names: Names = field(default_factory=Names)
    _at: float = -inf
    """When it was read, by the loop's clock."""

    async def anew(self) -> Names:
        began, listed = asyncio.get_running_loop().time(), await self.client.listed()
        self._names, self._at = Names(listed), began
        return self._names

    async def of_late(self) -> Names:
        """Not older than ten minutes."""
        is_late = asyncio.get_running_loop().time() < self._at + _LASTS
        return self._names if is_late else await self.anew()
