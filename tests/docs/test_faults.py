"""Every fault names a test that there is, and what is expected to fail is said to."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\|(?! fault |---)(.+)\|$", (ROOT / "docs" / "faults.md").read_text(encoding="utf-8"), re.MULTILINE)


def written() -> Iterator[tuple[str, bool]]:
    """Name, and whether any of it is expected to fail."""
    for file in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield node.name, any("xfail" in ast.unparse(one) for one in node.decorator_list)


def named(row: str) -> set[str]:
    return set(re.findall(r"`(test_[a-z0-9_]+)`", row))


def test_every_fault_names_tests_that_there_are() -> None:
    known = {name for name, _ in written()}
    assert [row for row in ROWS if not named(row) or named(row) - known] == []


def test_what_is_expected_to_fail_is_said_to() -> None:
    failing = {name for name, is_expected in written() if is_expected}
    told = {name for row in ROWS if "expected failure" in row.lower() for name in named(row)}
    assert told == {name for row in ROWS for name in named(row)} & failing
