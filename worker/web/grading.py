"""Which certificates want attention first, and which of them somebody asked for."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from math import ceil
from typing import Final, assert_never

from worker.fleet.standing import CertificateStanding, Counts, Level
from worker.web.asked import GROUPS, Asked, Group
from worker.web.words import hexadecimal

PAGE: Final = 50
_NEVER: Final = 36500.0
_MOST_SERIALS: Final = 3


@dataclass(frozen=True)
class Graded:
    """A certificate, with what is worked out about it once. No slots: a search leaves here what it looked into."""

    standing: CertificateStanding
    group: Group
    level: Level
    days: float | None

    @cached_property
    def sought(self) -> str:
        """What a search looks into, in lower case."""
        return _sought(self.standing)

    @property
    def bindings(self) -> Counts:
        """Of the few that are shown alone."""
        return self.standing.bindings

    @property
    def rank(self) -> tuple[int, float, str]:
        """Worst first; what has the same group by what is left of it."""
        return GROUPS.index(self.group), _NEVER if self.days is None else self.days, self.standing.name


@dataclass(frozen=True, slots=True)
class Found:
    """One page of those that were asked for."""

    shown: Sequence[Graded]
    number: int
    """Of all that were asked for."""
    page: int
    pages: int


@dataclass(slots=True)
class Grading:
    """The fleet in order. What has not changed is not worked out anew within a minute."""

    _known: dict[str, tuple[CertificateStanding, int, Graded]] = field(default_factory=dict)
    _order: tuple[Sequence[CertificateStanding], int, Sequence[Graded]] | None = None

    def ranked(self, standings: Sequence[CertificateStanding], now: datetime) -> Sequence[Graded]:
        """Worst first."""
        minute = int(now.timestamp() // 60)
        if self._order is not None and self._order[0] is standings and self._order[1] == minute:
            return self._order[2]
        known = {one.name: self._graded(one, minute, now) for one in standings}
        self._known = known
        ranked = sorted((graded for _, _, graded in known.values()), key=_rank)
        self._order = standings, minute, ranked
        return ranked

    def _graded(
        self, standing: CertificateStanding, minute: int, now: datetime
    ) -> tuple[CertificateStanding, int, Graded]:
        before = self._known.get(standing.name)
        is_same = before is not None and before[0] is standing and before[1] == minute
        return before if before is not None and is_same else (standing, minute, graded(standing, now))


def _rank(one: Graded) -> tuple[int, float, str]:
    return one.rank


def graded(standing: CertificateStanding, now: datetime) -> Graded:
    level = standing.level(now)
    return Graded(
        standing,
        group_of(standing, level),
        level,
        standing.days_left(now),
    )


def group_of(standing: CertificateStanding, level: Level) -> Group:
    """What failed stays so until it is rotated; what nearly expires is worse than waiting, and better when it runs."""
    match standing.state:
        case "dead" | "failed" | "rotating" as state:
            return state
        case "parked":
            return "expiring" if level in ("urgent", "expired") else "parked"
        case "unknown" | "served" as state:
            is_near = level in ("soon", "urgent", "expired")
            return "expiring" if is_near else "well" if state == "served" else "unknown"
        case _:
            assert_never(standing.state)


def _sought(standing: CertificateStanding) -> str:
    serials = standing.serial_numbers[:_MOST_SERIALS]
    places = (word for one in standing.deployments for word in (one.gateway, one.key, one.certificate_id or ""))
    return "\n".join((standing.name, *serials, *map(hexadecimal, serials), *dict.fromkeys(places))).casefold()


def sizes(ranked: Iterable[Graded]) -> Mapping[Group, int]:
    """How many are in each group."""
    counted = Counter(one.group for one in ranked)
    return {group: counted[group] for group in GROUPS}


def find(ranked: Sequence[Graded], asked: Asked) -> Found:
    """Those of the group whose name, gateway, id or serial number has the text; the page that was asked for."""
    found = [one for one in ranked if _is_meant(one, asked)]
    pages = max(ceil(len(found) / PAGE), 1)
    page = min(asked.page, pages)
    return Found(found[(page - 1) * PAGE : page * PAGE], len(found), page, pages)


def _is_meant(one: Graded, asked: Asked) -> bool:
    return (asked.group is None or one.group == asked.group) and asked.text.casefold() in one.sought
