"""The table of faults is alive: each can still be made, and names a test that there is. `make bite` makes them."""

import ast
import builtins
import symtable
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Final

import pytest

from tests.bite.fault import ROOT, Fault
from tests.bite.faults import FAULTS

KNOWN: Final = frozenset({*dir(builtins), "__file__"})
"""Names that are there in every module."""


def tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from tables(child)


def undefined_names(text: str) -> set[str]:
    """Names that are read and nowhere given a value: NameError to whoever comes there."""
    module = symtable.symtable(text, "module", "exec")
    given = {one.get_name() for one in module.get_symbols() if one.is_assigned() or one.is_imported()}
    read = {one.get_name() for table in tables(module) for one in table.get_symbols() if is_read_from_outside(one)}
    return read - given - KNOWN


def is_read_from_outside(symbol: symtable.Symbol) -> bool:
    return symbol.is_referenced() and symbol.is_global()


@cache
def functions_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(one.name for one in functions)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_made_and_its_test_is_there(fault: Fault) -> None:
    text = fault.applied(fault.source().read_text(encoding="utf-8"))
    compile(text, fault.file, "exec")
    # Its test would fail of that alone, and prove nothing.
    assert undefined_names(text) == set()
    file, _, name = fault.test.partition("::")
    assert name.partition("[")[0] in functions_in(file)


def test_a_name_that_is_nowhere_given_a_value_is_seen() -> None:
    text = "import os\ndef leave(turn):\n    now = turn.began\n    return [os, now, one] + [began for one in turn]\n"
    assert undefined_names(text) == {"began", "one"}


def test_every_fault_has_a_name_of_its_own() -> None:
    assert [name for name, times in Counter(one.name for one in FAULTS).items() if times > 1] == []
