"""What the overview shows, worked out from the fleet as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from worker.fleet.grouping import GROUPS, Group
from worker.fleet.values import Fleet, GatewayStanding, Running
from worker.web.formatting import counted
from worker.web.plots import SPAN_NAMES, Box, Plot, chosen, outcome_plot, served_plot
from worker.web.query import SPANS, PageQuery
from worker.web.ranking import Found, Ranked

MOST_RUNNING: Final = 8
MOST_LISTED: Final = 6
TROUBLE: Final[Sequence[Group]] = ("dead", "failed", "expiring")
"""Somebody has to look: the rest goes its way."""
_THINNEST: Final = 0.8
"""Percent of the whole bar: what is there at all is seen."""
_BETWEEN: Final = 0.25
"""Percent, left free."""
BEST_FIRST: Final = tuple(reversed(GROUPS))


@dataclass(frozen=True, slots=True)
class Kind:
    """How a group is shown."""

    word: str
    icon: str
    tone: str
    said: str
    """In a sentence, behind a number."""


KINDS: Final[Mapping[Group, Kind]] = {
    "dead": Kind("Given up", "stop", "bad", "given up"),
    "failed": Kind("Failed", "cross", "bad", "failed"),
    "expiring": Kind("Near expiry", "clock", "warn", "near expiry"),
    "rotating": Kind("Rotating", "turn", "run", "rotating"),
    "parked": Kind("Parked", "pause", "warn", "parked"),
    "unknown": Kind("Unknown", "dots", "still", "unknown"),
    "well": Kind("Well", "tick", "good", "well"),
}


@dataclass(frozen=True, slots=True)
class Tile:
    """A group's number, and the way to its certificates."""

    word: str
    icon: str
    tone: str
    number: int
    query: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class PlotRange:
    """A choice of how far back the plots go."""

    word: str
    query: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole page. Its parts are templates, which read this."""

    fleet: Fleet
    asked: PageQuery
    sizes: Mapping[Group, int]
    found: Found
    outcomes: Plot
    served: Plot
    spans: Sequence[PlotRange]
    names: frozenset[str]
    """That have a page of their own."""

    @property
    def now(self) -> datetime:
        return self.fleet.at

    @property
    def number(self) -> int:
        return len(self.fleet.certificates)

    @property
    def is_long(self) -> bool:
        """Whether the plots show days."""
        return any(one.is_current and one.word == SPAN_NAMES["months"] for one in self.spans)

    @property
    def headline(self) -> str:
        wrong = sum(self.sizes[group] for group in TROUBLE)
        told = []
        if wrong:
            told = [f"{wrong:,} of {counted(self.number, 'certificate')} {'needs' if wrong == 1 else 'need'} attention"]
        if strange := self._strangers:
            told.append(f"{counted(strange, 'renewal')} given up for what the settings do not have")
        if told:
            return ", ".join(told)
        return "No certificate needs attention" if self.number else "No certificate is set up"

    @property
    def _strangers(self) -> int:
        """Renewals that were given up, and are of no certificate here: a hook with a wrong name, for one."""
        return sum(one.certificate not in self.names for one in self.fleet.dead)

    @property
    def said(self) -> str:
        """The whole in one sentence, for those who hear the page."""
        wrong = [
            f"{number:,} {KINDS[group].said}" for group, number in self.sizes.items() if number and group != "well"
        ]
        return f"{self.headline}{': ' if wrong else ''}{', '.join(wrong)}."

    @property
    def tiles(self) -> Sequence[Tile]:
        """All, then each group, the best first: it is the largest."""
        everything = self.asked.in_group(None)
        tiles = [Tile("All", "all", "still", self.number, everything.query, self.asked.group is None)]
        for group in BEST_FIRST:
            kind, query = KINDS[group], self.asked.in_group(group).query
            is_current = self.asked.group == group
            tiles.append(Tile(kind.word, kind.icon, kind.tone, self.sizes[group], query, is_current))
        return tiles

    @property
    def stack(self) -> Sequence[Box]:
        """The groups' shares of a bar that is 100 wide and 1 high."""
        widths = {group: self._width(group) for group in BEST_FIRST if self.sizes[group]}
        whole, x, boxes = sum(widths.values()), 0.0, []
        for group, width in widths.items():
            share = (100 + _BETWEEN) * width / whole
            boxes.append(Box(round(x, 2), 0, round(share - _BETWEEN, 2), 1, f"fill-{KINDS[group].tone}"))
            x += share
        return boxes

    def _width(self, group: Group) -> float:
        return max(100 * self.sizes[group] / self.number, _THINNEST)

    @property
    def running(self) -> Sequence[Running]:
        """Those that have their turn first."""
        return sorted(self.fleet.running, key=lambda one: one.phase == "queueing")[:MOST_RUNNING]

    @property
    def gateways(self) -> Sequence[GatewayStanding]:
        """Those with trouble first."""
        return sorted(self.fleet.gateways, key=lambda one: (one.is_up, one.held_for <= 0, one.name))


def overview(fleet: Fleet, ranked: Ranked, found: Found, asked: PageQuery) -> Overview:
    """`ranked`: the fleet's certificates; `found`: those of them that were asked for."""
    series = chosen(fleet.series, asked.span)
    spans = [PlotRange(SPAN_NAMES[name], asked.over(name).query, name == series.name) for name in SPANS]
    plots = outcome_plot(series), served_plot(series)
    return Overview(fleet, asked, ranked.sizes, found, *plots, spans, ranked.names)
