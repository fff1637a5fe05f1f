"""Which certificates want attention first, and which of them somebody asked for."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from math import ceil
from typing import Final

from worker.fleet.grouping import GROUPS, Group, group_of
from worker.fleet.standing import CertificateStanding, Counts, Level
from worker.web.formatting import hexadecimal
from worker.web.query import PageQuery

PAGE: Final = 50
_NEVER: Final = float("inf")
_MOST_SERIALS: Final = 3
_AT_ONCE: Final = 250
"""Certificates looked at in one go: a millisecond's work or two."""


@dataclass(frozen=True)
class Graded:
    """A certificate, with what is worked out about it once. No slots: a search leaves here what it looked into."""

    standing: CertificateStanding
    group: Group
    level: Level
    rank: tuple[int, float, str]
    """Worst first; what has the same group by its end."""

    @cached_property
    def sought(self) -> str:
        """What a search looks into, in lower case."""
        return _sought(self.standing)

    @property
    def bindings(self) -> Counts:
        """Of the few that are shown alone."""
        return self.standing.bindings

    def is_like(self, other: "Graded | None") -> bool:
        """Whether that one may stay in its place."""
        return other is not None and other.standing is self.standing and other.level == self.level


@dataclass(frozen=True, slots=True)
class Ranked:
    """The fleet worst first, and what every page tells of it: counted once for all readers."""

    order: Sequence[Graded]
    sizes: Mapping[Group, int]
    names: frozenset[str]

    @classmethod
    def of(cls, order: Sequence[Graded]) -> "Ranked":
        return cls(order, sizes(order), frozenset(one.standing.name for one in order))

    def in_group(self, group: Group | None) -> Sequence[Graded]:
        """They stand together."""
        if group is None:
            return self.order
        begins = sum(self.sizes[one] for one in GROUPS[: GROUPS.index(group)])
        return self.order[begins : begins + self.sizes[group]]


@dataclass(frozen=True, slots=True)
class Found:
    """One page of those that were asked for."""

    shown: Sequence[Graded]
    number: int
    """Of all that were asked for."""
    page: int
    pages: int


@dataclass(slots=True)
class Ranking:
    """The fleet in order, for all readers. What has not changed is not worked out anew within a minute."""

    _standings: Sequence[CertificateStanding] | None = None
    _minute: int = 0
    _known: dict[str, Graded] = field(default_factory=dict)
    _ranked: Ranked = field(default_factory=lambda: Ranked.of(()))
    _at_work: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ranked(self, standings: Sequence[CertificateStanding], now: datetime) -> Ranked:
        """Others have their turns in between."""
        minute = int(now.timestamp() // 60)
        async with self._at_work:
            if self._standings is not standings or self._minute != minute:
                is_same_minute = self._minute == minute
                self._standings = None  # until it is whole: whoever asks may go away
                await self._rank(standings, now, is_same_minute=is_same_minute)
                self._standings, self._minute = standings, minute
            return self._ranked

    async def _rank(self, standings: Sequence[CertificateStanding], now: datetime, *, is_same_minute: bool) -> None:
        open_ones = [one for one in standings if not self._is_known(one)] if is_same_minute else standings
        changed = await self._changed(open_ones, now)
        self._known |= {one.standing.name: one for one in changed}
        if len(self._known) > len(standings):
            self._known = {one.name: self._known[one.name] for one in standings}
        kept = [one for one in self._ranked.order if self._known.get(one.standing.name) is one]
        if changed or len(kept) < len(self._ranked.order):
            # Nearly in order, which takes next to no time.
            self._ranked = Ranked.of(sorted([*kept, *changed], key=_rank))

    def _is_known(self, standing: CertificateStanding) -> bool:
        known = self._known.get(standing.name)
        return known is not None and known.standing is standing

    async def _changed(self, standings: Sequence[CertificateStanding], now: datetime) -> Sequence[Graded]:
        changed: list[Graded] = []
        for start in range(0, len(standings), _AT_ONCE):
            found = (graded(one, now) for one in standings[start : start + _AT_ONCE])
            changed += [one for one in found if not one.is_like(self._known.get(one.standing.name))]
            await asyncio.sleep(0)
        return changed


def _rank(one: Graded) -> tuple[int, float, str]:
    return one.rank


def graded(standing: CertificateStanding, now: datetime) -> Graded:
    level, ends = standing.level(now), standing.not_after
    group = group_of(standing, level)
    return Graded(
        standing, group, level, (GROUPS.index(group), _NEVER if ends is None else ends.timestamp(), standing.name)
    )


def _sought(standing: CertificateStanding) -> str:
    serials = standing.serial_numbers[:_MOST_SERIALS]
    named = ((one.gateway, one.key, one.certificate_id, one.stored_as) for one in standing.deployments)
    places = (word for words in named for word in words if word is not None)
    return "\n".join((standing.name, *serials, *map(hexadecimal, serials), *dict.fromkeys(places))).casefold()


def sizes(ranked: Iterable[Graded]) -> Mapping[Group, int]:
    """How many are in each group."""
    counted = Counter(one.group for one in ranked)
    return {group: counted[group] for group in GROUPS}


async def find(ranked: Ranked, asked: PageQuery) -> Found:
    """Those of the group whose name, gateway, id or serial number has the text; the page that was asked for."""
    found = await _with_text(ranked.in_group(asked.group), asked.text.casefold())
    pages = max(ceil(len(found) / PAGE), 1)
    page = min(asked.page, pages)
    return Found(found[(page - 1) * PAGE : page * PAGE], len(found), page, pages)


async def _with_text(those: Sequence[Graded], text: str) -> Sequence[Graded]:
    """Others have their turns in between."""
    if not text:
        return those
    found: list[Graded] = []
    for start in range(0, len(those), _AT_ONCE):
        found += [one for one in those[start : start + _AT_ONCE] if text in one.sought]
        await asyncio.sleep(0)
    return found
