"""How commands print: JSON for machines, tables and lines for people."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_MOST_NAMES: Final = 10
_WIDE: Final = 200
_GAP: Final = 2
_FRACTION: Final = re.compile(r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+")


def print_json(result: object) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(result, indent=2, default=str) + "\n")


def shown(text: str) -> str:
    """What others have named, on one line and without what would steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def remaining(seconds: float) -> str:
    """An estimate for people: seconds, minutes or hours."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"about {seconds / size:.0f} {unit}"
    return f"about {seconds:.0f} s" if seconds >= 1 else "a moment"


def print_table(columns: Sequence[str], rows: Iterable[Iterable[object]], *, empty: str) -> None:
    """A table on stdout, or `empty` where there is no row; on a terminal that it is too wide for, a block for each row.

    Nothing is cut: ids and commands are there to be copied.
    """
    cells = [tuple(map(_cell, row)) for row in rows]
    if not cells:
        print(empty)
        return
    told = console(sys.stdout)
    wide = sum(max(map(cell_len, column)) + _GAP for column in zip(columns, *cells, strict=True))
    if wide <= told.width or not told.is_terminal:
        told.width = max(wide, told.width)
        told.print(_table(columns, cells))
    else:
        print("\n".join(line for row in cells for line in _block(columns, row, told.width)))


def _cell(value: object) -> str:
    """Times to the second: what is finer is in the JSON."""
    return "" if value is None else _FRACTION.sub(r"\1", shown(str(value)))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _block(columns: Sequence[str], row: Sequence[str], width: int) -> Iterator[str]:
    """The first cell, and below it the others by name, as many on a line as there is room for."""
    line, *others = (f"{name}: {cell}" for name, cell in zip(columns, row, strict=True) if cell or name == columns[0])
    for one in others:
        if cell_len(f"{line}  {one}") <= width:
            line = f"{line}  {one}"
        else:
            yield line
            line = f"  {one}"
    yield line


def console(stream: TextIO) -> Console:
    """Of what is no terminal: wide, and without anything that steers one, whatever the environment asks for."""
    is_terminal = stream.isatty()
    return Console(file=stream, force_terminal=is_terminal, width=None if is_terminal else _WIDE)


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands before each line of a checklist."""

    good: str = "ok     "
    bad: str = "FAILED "
    unknown: str = "skipped"


def marks_for(stream: TextIO) -> Marks:
    """Ticks for a terminal that can show them, words for all else."""
    is_utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
    return Marks("✓", "✗", "–") if is_utf8 and stream.isatty() else Marks()  # noqa: RUF001 - a dash, no minus


def listed(names: Iterable[str]) -> str:
    """In order, and no more of them than can be read."""
    known = sorted(names)
    more = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    return (", ".join(known[:_MOST_NAMES]) or "none") + more
