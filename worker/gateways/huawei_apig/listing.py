"""Which certificates of an account may serve a name, by the list of all: calls are few, and rotations many."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.wire import Certificate
from worker.in_parts import in_parts

_LASTS: Final = 600.0
"""Seconds. What is stored under another name changes seldom, and a sweep asks for one certificate after another."""
_ANY: Final = ""
"""Instead of the names of a certificate that tells none."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A certificate that may serve a name that is looked for."""

    id: str
    names: frozenset[str]
    """Those that it may serve, of all that are looked for; none where it may be any."""

    def may_serve(self, names: Collection[str]) -> bool:
        return not self.names or not self.names.isdisjoint(names)


@dataclass(slots=True)
class Listing:
    """Of one account. Rotations that ask at one time read it each: none waits for another of less urgency."""

    client: ApigClient
    _ids: Mapping[str, Sequence[str]] | None = field(default=None, repr=False)
    """By name, for as long as they are of late."""
    _end: asyncio.TimerHandle | None = field(default=None, repr=False)
    """Of that."""

    async def now(self, names: Collection[str]) -> Sequence[Candidate]:
        self._forget()  # a later attempt shall find what this one has

        def found(part: Sequence[Certificate]) -> Sequence[Candidate]:
            told = [(one.id, frozenset(name.lower() for name in one.san)) for one in part]
            return [Candidate(one, of.intersection(names)) for one, of in told if not of or not of.isdisjoint(names)]

        return await in_parts(await self.client.listed(), found)

    async def of_late(self, names: Collection[str]) -> Sequence[Candidate]:
        """As it was at most ten minutes ago."""
        ids = self._ids or await self._read()
        found = {one: set[str]() for one in ids.get(_ANY, ())}
        for name in names:
            for one in ids.get(name, ()):
                found.setdefault(one, set()).add(name)
        return [Candidate(one, frozenset(of)) for one, of in found.items()]

    async def _read(self) -> Mapping[str, Sequence[str]]:
        ids = defaultdict[str, list[str]](list)

        def put(part: Sequence[Certificate]) -> Sequence[None]:
            for one in part:
                for name in one.san or (_ANY,):
                    ids[name.lower()].append(one.id)
            return ()

        await in_parts(await self.client.listed(), put)
        self._forget()
        self._ids, self._end = ids, asyncio.get_running_loop().call_later(_LASTS, self._forget)
        return ids

    def _forget(self) -> None:
        self._ids = None
        if self._end is not None:
            self._end.cancel()  # what it would forget is gone
