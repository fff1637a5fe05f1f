"""Which reasons the worker can tell, read from its code: what errors, failures and reports are given as theirs.

Names are followed to what they were assigned, parameters to what callers pass, calls to what functions return. A reason
that is passed on (`error.reason`) was given somewhere else.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, get_args

from worker.core.outcome import Outcome

_TAKES: Final[Mapping[str, int]] = {
    **dict.fromkeys(("TransientError", "PermanentError", "RefusedError", "AmbiguousError", "NotAskedError"), 0),
    **dict.fromkeys(("RotationError", "Failure", "Rule", "GiveUp", "slow_clock"), 0),
    "Report": 1,
    "DeploymentReport": 2,
}
"""What has a reason, and as which of its arguments."""
_ELSEWHERE: Final = {"sandbox", "fleet", "web"}
_WORD: Final = re.compile(r"[a-z]+(_[a-z0-9]+)*")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Place:
    """An expression, and what it stands in."""

    file: Path
    expression: ast.expr
    function: Function | None

    def __str__(self) -> str:
        return f"{self.file.name}:{self.expression.lineno}: {ast.unparse(self.expression)}"


@dataclass
class Code:
    """All modules of a folder but the sandbox, whose clouds have reasons of their own, and what shows what was told."""

    folder: Path
    unknown: list[str] = field(default_factory=list)
    """Where a reason comes from that cannot be followed."""

    @cached_property
    def modules(self) -> Mapping[Path, ast.Module]:
        files = (file for file in self.folder.rglob("*.py") if not _ELSEWHERE & set(file.parts))
        return {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}

    @cached_property
    def functions(self) -> Mapping[str, Sequence[tuple[Path, Function]]]:
        found: dict[str, list[tuple[Path, Function]]] = {}
        for file, tree in self.modules.items():
            for node in ast.walk(tree):
                if isinstance(node, Function):
                    found.setdefault(node.name, []).append((file, node))
        return found

    @cached_property
    def constants(self) -> Mapping[str, Sequence[tuple[Path, ast.expr]]]:
        """Of modules, by name: a name is imported as it is."""
        found: dict[str, list[tuple[Path, ast.expr]]] = {}
        for file, tree in self.modules.items():
            for name, value in _assigned(tree.body):
                found.setdefault(name, []).append((file, value))
        return found

    @cached_property
    def calls(self) -> Sequence[tuple[Path, ast.Call, Function | None]]:
        return [(file, *found) for file, tree in self.modules.items() for found in _calls(tree, None)]

    def reasons(self) -> set[str]:
        given = [place for name, index in _TAKES.items() for place in self._passed(name, index, "reason")]
        given += [place for name in ("reason", "warnings") for place in self._passed("replace", -1, name)]
        return {word for place in given for word in self._words(place, frozenset())} - set(get_args(Outcome))

    def _passed(self, callee: str, index: int, keyword: str, file: Path | None = None) -> Iterator[Place]:
        """`file`: where the callee is; others of its name are others."""
        for at, call, function in self.calls:
            if _name(call.func) == callee and (file is None or self._is_seen_from(at, callee, file)):
                named = [one.value for one in call.keywords if one.arg == keyword]
                for value in named or (call.args[index : index + 1] if index >= 0 else ()):
                    yield Place(at, value, function)

    def _is_seen_from(self, at: Path, name: str, file: Path) -> bool:
        """Whether it stands in the very file, or is imported from there."""
        imports = (node for node in self.modules[at].body if isinstance(node, ast.ImportFrom))
        origins = {node.module for node in imports for one in node.names if one.name == name}
        module = ".".join(file.relative_to(self.folder.parent).with_suffix("").parts).removesuffix(".__init__")
        return at == file or module in origins or (len(self.functions[name]) == 1 and not origins)

    def _words(self, place: Place, seen: frozenset[str]) -> Iterator[str]:
        if str(place) in seen:
            return
        seen |= {str(place)}
        match place.expression:
            case ast.Constant(value=str(word)):
                yield from [word] if _WORD.fullmatch(word) else []
            case ast.Constant() | ast.Attribute(attr="reason" | "warnings"):
                return
            case ast.Name(id=name):
                yield from self._of_name(name, place, seen)
            case ast.Call(func=function) if (called := _name(function)) in self.functions and called != "get":
                yield from self._returned(called, place.file, seen)
            case expression:
                parts = list(_parts(expression))
                self.unknown += [] if parts or isinstance(expression, ast.Tuple) else [str(place)]
                for part in parts:
                    yield from self._words(Place(place.file, part, place.function), seen)

    def _of_name(self, name: str, place: Place, seen: frozenset[str]) -> Iterator[str]:
        within = place.function
        own = [] if within is None else [value for known, value in _assigned(ast.walk(within)) if known == name]
        for value in own:
            yield from self._words(Place(place.file, value, within), seen)
        if own:
            return
        parameters = [] if within is None else [one.arg for one in (*within.args.args, *within.args.kwonlyargs)]
        if within is not None and name in parameters:
            index = parameters.index(name) - (parameters[0] in ("self", "cls"))
            found = list(self._passed(within.name, index, name, place.file))
        else:
            found = [Place(file, value, None) for file, value in self.constants.get(name, ())]
        if not found:
            self.unknown.append(str(place))
        for one in found:
            yield from self._words(one, seen)

    def _returned(self, name: str, caller: Path, seen: frozenset[str]) -> Iterator[str]:
        for file, function in self.functions[name]:
            for node in ast.walk(function) if file == caller or not name.startswith("_") else ():
                if isinstance(node, ast.Return) and node.value is not None:
                    yield from self._words(Place(file, node.value, function), seen)


def _parts(expression: ast.expr) -> Iterator[ast.expr]:
    """Any of which it may come to; none where that is not known."""
    match expression:
        case ast.Call(func=ast.Attribute(value=ast.Name() as table, attr="get"), args=[_, default]):
            yield from (table, default)
        case ast.IfExp(body=one, orelse=other):
            yield from (one, other)
        case ast.Dict(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.BoolOp(values=parts):
            yield from parts
        case ast.Subscript(value=inner) | ast.ListComp(elt=inner) | ast.Starred(value=inner):
            yield inner


def _name(function: ast.expr) -> str:
    """Empty for what has none."""
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _calls(node: ast.AST, function: Function | None) -> Iterator[tuple[ast.Call, Function | None]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child, function
        yield from _calls(child, child if isinstance(child, Function) else function)


def _assigned(body: Iterator[ast.AST] | Sequence[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case ast.Assign(targets=targets, value=value):
                yield from _unpacked(targets[-1], value)


def _unpacked(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Side by side where both are tuples; else each name may be any of it."""
    match target, value:
        case ast.Name(id=name), _:
            yield name, value
        case ast.Tuple(elts=names), ast.Tuple(elts=values) if len(names) == len(values):
            for one, part in zip(names, values, strict=True):
                yield from _unpacked(one, part)
        case ast.Tuple(elts=names), _:
            for one in names:
                yield from _unpacked(one, value)
