"""The table of the certificate's rules is that of the code, and each row names a test that asks about its reason."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from worker.core.rules import RULES
from worker.settings.model import CertificateRules

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "certificate-rules.md").read_text(encoding="utf-8")
ROWS = [
    tuple(cell.strip() for cell in row.split("|"))
    for row in re.findall(r"^\|(?! rule |---)(.+)\|$", TEXT, re.MULTILINE)
]
"""Rule, reason, what breaks it, setting, test."""
ELSEWHERE = ("core/pem.py", "core/reading.py", "core/private_key.py")
"""What is refused before and behind the list."""


def refused_in(file: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / "worker" / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "RefusedError":
            assert isinstance(node.args[0], ast.Constant)
            yield str(node.args[0].value)


def written() -> Iterator[tuple[str, str]]:
    """The name and the text, with its cases, of every test."""
    for file in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield node.name, ast.unparse(node)


def test_every_reason_has_its_row_and_every_row_its_own() -> None:
    told = [reason.strip("`") for _, reason, *_ in ROWS if reason]
    asked = {rule.reason for rule in RULES}.union(*(refused_in(file) for file in ELSEWHERE))
    assert sorted(told) == sorted({*asked, "name_not_covered", "downgrade"})


def test_the_rules_stand_in_the_order_in_which_they_are_asked() -> None:
    listed = [rule.reason for rule in RULES]
    assert [reason.strip("`") for _, reason, *_ in ROWS if reason.strip("`") in listed] == listed


def test_every_row_names_a_test_that_asks_about_its_reason() -> None:
    tests = dict(written())
    for rule, reason, _, _, test in ROWS:
        assert reason.strip("`") in tests[test.strip("`")], rule


def test_what_is_switched_is_told_as_it_is() -> None:
    words = {None: "refused", "refuse": "refused", "warn": "warned of"}
    by_reason = {reason.strip("`"): (how, setting) for _, reason, how, setting, _ in ROWS}
    for rule in RULES:
        how, setting = by_reason[rule.reason]
        assert how.partition(";")[0] == words[rule.switched], rule.reason
        assert (f"`{rule.reason}`" in setting) == (rule.switched is not None), rule.reason


def test_every_setting_is_told_with_what_it_switches() -> None:
    settings = " ".join(setting for _, _, _, setting, _ in ROWS)
    assert [name for name in CertificateRules.model_fields if f"`{name}`" not in settings] == []
