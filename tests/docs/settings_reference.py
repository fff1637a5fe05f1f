"""docs/settings.md: every setting, from the models that read them.

What a setting means is said once, beneath its field; or in its table's own text, if that names it.
"""

import ast
import inspect
import json
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from worker.settings import Settings

_INTRODUCTION: Final = """\
# Settings

Written by `make docs` from the models that read them; [config/worker.toml](../config/worker.toml) is the same as a file
to start from, and [configuring.md](configuring.md) tells what belongs together. `NAME` is yours to choose.
"""
_WORDS: Final[Mapping[object, str]] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    Path: "path",
}
_SIGNS: Final = ((Gt, "gt", ">"), (Ge, "ge", "≥"), (Le, "le", "≤"))


@dataclass(frozen=True, slots=True)
class Table:
    """`place`: its name in the file. `kind`: of several that may stand there, this one."""

    place: str
    model: type[BaseModel]
    is_list: bool = False
    kind: str | None = None

    @property
    def title(self) -> str:
        name = f"`[[{self.place}]]`" if self.is_list else f"`[{self.place}]`" if self.place else "Outside of any table"
        return f'{name} with `kind = "{self.kind}"`' if self.kind else name

    def meaning(self, name: str) -> str:
        """Empty where nobody tells."""
        return next((told[name] for base in self.model.__mro__ if name in (told := _told_in(base))), "")

    @property
    def about(self) -> str:
        """The model's own text, without the name of its table, which is the title."""
        own = re.sub(r"^`\[[^`]*`[:.]? ?(with `[^`]*`)?\.?", "", inspect.cleandoc(self.model.__doc__ or "")).strip()
        return own[:1].upper() + own[1:]


@cache
def _classes(module: str) -> Mapping[str, Mapping[str, str]]:
    """By class and field, the text beneath it."""
    file = inspect.getsourcefile(__import__(module, fromlist=["_"]))
    assert file is not None
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    return {one.name: dict(_beneath(one.body)) for one in ast.walk(tree) if isinstance(one, ast.ClassDef)}


def _beneath(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(told))):
                yield name.rstrip("_"), " ".join(told.split())


def _told_in(model: type) -> Mapping[str, str]:
    return _classes(model.__module__).get(model.__name__, {}) if model.__module__.startswith("worker.") else {}


def tables(table: Table) -> Iterator[Table]:
    """A table and all within it, in the order of the fields."""
    yield table
    for name, field in table.model.model_fields.items():
        place = f"{table.place}.{field.alias or name}".lstrip(".")
        for inner in _inner(place, field.annotation):
            yield from tables(inner)


def _inner(place: str, annotation: object, *, is_list: bool = False, is_one_of: bool = False) -> Iterator[Table]:
    origin, parts = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        kind = annotation.model_fields.get("kind")
        yield Table(place, annotation, is_list, get_args(kind.annotation)[0] if kind and is_one_of else None)
    elif origin is dict:
        yield from _inner(f"{place}.NAME", parts[1])
    elif origin is Annotated:
        yield from _inner(place, parts[0], is_list=is_list)
    elif origin in (tuple, Union, types.UnionType):
        for part in parts:
            yield from _inner(place, part, is_list=is_list or origin is tuple, is_one_of=True)


def word(annotation: object) -> str:
    """A type in words."""
    parts = [one for one in get_args(annotation) if one not in (type(None), ...)]
    match get_origin(annotation):
        case origin if origin is Literal:
            return " or ".join(f"`{json.dumps(one)}`" for one in parts)
        case origin if origin is tuple:
            return f"list of {word(parts[0])}"
        case None:
            return _WORDS.get(annotation, "table")
        case origin if origin is dict:
            return "table"
        case origin if origin is Annotated:
            return word(parts[0])
    return " or ".join(dict.fromkeys(word(part) for part in parts))


def bounds(field: FieldInfo) -> str:
    """Within which a number has to be; that a list may not be empty."""
    of_parts = (one for part in get_args(field.annotation) for one in getattr(part, "__metadata__", ()))
    told = [deep for one in (*field.metadata, *of_parts) for deep in getattr(one, "metadata", [one])]
    limits = [
        f"{sign} {getattr(one, name):.15g}" for one in told for kind, name, sign in _SIGNS if isinstance(one, kind)
    ]
    return ", ".join([*limits, *("not empty" for one in told if isinstance(one, MinLen))])


def default(field: FieldInfo) -> str:
    """As the file would say it."""
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    assert value is not PydanticUndefined
    if value is None or isinstance(value, BaseModel) or value == {}:
        return ""
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "{" + ", ".join(f"{name} = {_toml(one)}" for name, one in value.model_dump().items()) + "}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(str(value) if isinstance(value, Path) else value)


def unit(name: str) -> str:
    return next((word for word in ("seconds", "days") if name == word or name.endswith(f"_{word}")), "")


def _row(table: Table, name: str, field: FieldInfo) -> str:
    key = field.alias or name
    kind = ", ".join(filter(None, (word(field.annotation), bounds(field))))
    cells = (f"`{key}`", kind, default(field), unit(key), table.meaning(key))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _page(table: Table) -> Iterator[str]:
    yield f"\n## {table.title}\n"
    if table.about and not table.about.startswith("The whole file"):
        yield f"{table.about}\n"
    yield "| setting | type | default | unit | meaning |\n|---|---|---|---|---|"
    for name, field in table.model.model_fields.items():
        yield _row(table, name, field)


def all_tables() -> Sequence[Table]:
    """Each once, although two kinds of gateways have limits."""
    return tuple(dict.fromkeys(tables(Table("", Settings))))


def untold(table: Table) -> Iterator[str]:
    """Settings whose meaning nobody tells: neither they, nor their table, nor one of their own."""
    for name, field in table.model.model_fields.items():
        key = field.alias or name
        is_told = table.meaning(key) or key == "kind" or f"`{key}`" in table.about or list(_inner("", field.annotation))
        if not is_told:
            yield f"{table.title}: {key}"


def document() -> str:
    return "\n".join([_INTRODUCTION.rstrip(), *(line for table in all_tables() for line in _page(table))]) + "\n"
