"""Nothing in the worker stands there for nobody: no name of a module's own, and no macro of a page's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import ROOT

_IMPORT = re.compile(r"{%-?\s*from\s+\S+\s+import\s+(.+?)\s*-?%}")


def defined(module: ast.Module) -> Iterator[str]:
    """At the top of a module."""
    for node in module.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.AnnAssign(target=ast.Name() as one):
                yield one.id
            case ast.Assign(targets=targets):
                yield from (one.id for one in targets if isinstance(one, ast.Name))
            case _:
                pass


def unused(file: Path) -> set[str]:
    """Private names that nothing in their own module reads."""
    module = ast.parse(file.read_text("utf-8"))
    read = {node.id for node in ast.walk(module) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return {name for name in defined(module) if name.startswith("_") and not name.startswith("__")} - read


def unused_macros(text: str) -> set[str]:
    named = [name.strip() for line in _IMPORT.findall(text) for name in line.split(",")]
    rest = _IMPORT.sub("", text)
    return {name for name in named if not re.search(rf"\b{name}\b", rest)}


def test_every_name_that_a_module_has_for_itself_is_used_there() -> None:
    found = {file.relative_to(ROOT).as_posix(): unused(file) for file in (ROOT / "worker").rglob("*.py")}
    assert len(found) > 200
    assert {file: names for file, names in found.items() if names} == {}


def test_every_macro_that_a_template_imports_is_used_there() -> None:
    templates = list((ROOT / "worker" / "web" / "templates").rglob("*.html"))
    assert sum(len(_IMPORT.findall(file.read_text("utf-8"))) for file in templates) > 5
    assert {file.name: names for file in templates if (names := unused_macros(file.read_text("utf-8")))} == {}
