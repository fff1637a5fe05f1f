"""What a benchmark found: rows for a table and for JSON."""

import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `goal` says in words what it shall be, `met` whether it is; both None where it is only told."""

    group: str
    name: str
    value: float
    unit: str
    goal: str | None = None
    met: bool | None = None
    note: str = ""


def at_most(group: str, name: str, value: float, unit: str, limit: float, note: str = "") -> Row:
    return Row(group, name, value, unit, f"≤ {limit:g}", value <= limit, note)


def at_least(group: str, name: str, value: float, unit: str, limit: float, note: str = "") -> Row:
    return Row(group, name, value, unit, f"≥ {limit:g}", value >= limit, note)


def show(rows: Sequence[Row]) -> None:
    table = Table("group", "what", "value", "goal", "", "note")
    for row in rows:
        mark = "" if row.met is None else "ok" if row.met else "MISSED"
        table.add_row(row.group, row.name, f"{row.value:,.4g} {row.unit}", row.goal or "", mark, row.note)
    Console().print(table)


def write(rows: Iterable[Row], path: Path) -> None:
    found = {"python": platform.python_version(), "machine": platform.machine(), "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
