"""How far a long command has got, on stderr: bars on a terminal, plain lines elsewhere.

Counts and an estimate go with both, and the result has stdout to itself. Nothing that steers a terminal is written
where there is none.
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from worker.beside import beside
from worker.commands.output import remaining, shown

_BETWEEN_LOOKS: Final = 1.0
_BETWEEN_LINES: Final = 5.0

Below = Callable[[], RenderableType]
"""What stands below the bars, as it is now."""
Estimate = Callable[["Part"], float | None]
"""Seconds that are left; None where nobody knows."""


@dataclass(slots=True, eq=False)
class Part:
    """So many things of one kind. `counts`: how many of them ended how."""

    name: str
    total: int
    estimate: Estimate
    show: Callable[["Part"], None]
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def done(self) -> int:
        return self.counts.total()

    def ended(self, how: str) -> None:
        """One more."""
        self.counts[how] += 1
        self.show(self)

    def is_now(self, hows: Iterable[str]) -> None:
        """All that have ended so far."""
        self.counts = Counter(hows)
        self.show(self)

    @property
    def told_counts(self) -> str:
        return ", ".join(f"{number} {how}" for how, number in sorted(self.counts.items()) if number > 0)

    @property
    def told_left(self) -> str:
        """Empty where nothing is left, or nobody knows."""
        left = None if self.done >= self.total else self.estimate(self)
        return "" if left is None else remaining(left)

    @property
    def line(self) -> str:
        facts = (f"{self.done}/{self.total}", self.told_counts, self.told_left)
        return shown(f"{self.name}: {', '.join(filter(None, facts))}")


class Display(Protocol):
    """Where a part is shown, again and again."""

    def show(self, part: Part) -> None: ...


@dataclass(slots=True, eq=False)
class Shown:
    """All parts of one command."""

    display: Display
    parts: list[Part] = field(default_factory=list)

    def part(self, name: str, total: int, estimate: Estimate | None = None) -> Part:
        """One more. Without an estimate of its own, what is left takes as long as what is done has taken."""
        part = Part(name, total, estimate or _Pace(asyncio.get_running_loop().time).left, self.display.show)
        self.parts.append(part)
        part.show(part)
        return part

    async def keep_showing(self) -> None:
        """For ever: time passes while nothing ends, too. A task: limits are known to their loop's thread alone."""
        while True:
            await asyncio.sleep(_BETWEEN_LOOKS)
            for part in self.parts:
                self.display.show(part)


class _Pace:
    """An estimate by what came before."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()

    def left(self, part: Part) -> float | None:
        """None before anything has ended."""
        passed = self._clock() - self._began
        return passed / part.done * (part.total - part.done) if part.done > 0 else None


@dataclass(slots=True)
class Lines:
    """A line when a part begins and when it is done, and every few seconds between where something has changed."""

    clock: Callable[[], float]
    said: dict[Part, tuple[str, float]] = field(default_factory=dict)
    """What was said last of each, and when."""

    def show(self, part: Part) -> None:
        line, (before, at) = part.line, self.said.get(part, ("", float("-inf")))
        is_time = part.done >= part.total or self.clock() - at >= _BETWEEN_LINES
        if line != before and is_time:
            self.said[part] = line, self.clock()
            sys.stderr.write(f"{line}\n")

    def say_last(self) -> None:
        """Of what has not been done to the end."""
        for part, (before, _) in list(self.said.items()):
            if part.line != before and part.done < part.total:
                sys.stderr.write(f"{part.line}\n")


class _Table(Progress):
    """Rich's, with something else below, of which a small terminal shows only the beginning."""

    below: Below | None = None

    def get_renderables(self) -> Iterator[RenderableType]:
        """For rich, in its own thread."""
        yield self.make_tasks_table(self.tasks)
        if self.below is not None:
            yield self.below()


@dataclass(slots=True)
class Bars:
    """A bar for each part."""

    table: Progress
    tasks: dict[Part, TaskID] = field(default_factory=dict)

    def show(self, part: Part) -> None:
        if part not in self.tasks:
            self.tasks[part] = self.table.add_task(shown(part.name), total=part.total, counts="", left="")
        task, counts, left = self.tasks[part], part.told_counts, part.told_left
        self.table.update(task, completed=part.done, counts=counts, left=left)


def is_animated() -> bool:
    """Whether stderr is a terminal that can move its cursor, whatever the environment would like it to be."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb").lower() not in ("dumb", "unknown", "")


@contextmanager
def _bars(below: Below | None) -> Iterator[Bars]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}", markup=False),
        TextColumn("{task.fields[left]}", markup=False),
    )
    console = Console(stderr=True, force_terminal=True)
    # What somebody prints meanwhile on stdout is for stdout.
    table = _Table(*columns, console=console, redirect_stdout=False, transient=below is not None)
    table.below = below
    with table:
        yield Bars(table)


@contextmanager
def _lines() -> Iterator[Lines]:
    lines = Lines(asyncio.get_running_loop().time)
    try:
        yield lines
    finally:
        lines.say_last()


@asynccontextmanager
async def progress(below: Below | None = None) -> AsyncIterator[Shown]:
    """Inside the block it is shown. What stands below bars is shown on a terminal only, and taken away at the end."""
    display: AbstractContextManager[Display] = _bars(below) if is_animated() else _lines()
    with display as where:
        parts = Shown(where)
        async with beside(parts.keep_showing()):
            yield parts
