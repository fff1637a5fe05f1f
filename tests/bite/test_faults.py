"""The table of faults is alive: each can still be made, and names a test that there is. `make bite` makes them."""

import ast
from collections import Counter
from functools import cache

import pytest

from tests.bite.fault import ROOT, Fault
from tests.bite.faults import FAULTS


@cache
def functions_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(one.name for one in functions)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_made_and_its_test_is_there(fault: Fault) -> None:
    compile(fault.applied(fault.source().read_text(encoding="utf-8")), fault.file, "exec")
    file, _, name = fault.test.partition("::")
    assert name.partition("[")[0] in functions_in(file)


def test_every_fault_has_a_name_of_its_own() -> None:
    assert [name for name, times in Counter(one.name for one in FAULTS).items() if times > 1] == []
