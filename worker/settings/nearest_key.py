"""Which key somebody meant who mistyped one: of those that may stand at that very place."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from worker.core.nearest import nearest
from worker.settings.model import Settings


def meant_by(loc: Sequence[str | int]) -> str | None:
    """`loc` as pydantic tells it, its last part being the key; None where nothing is like it."""
    *places, key = loc
    models: Sequence[type[BaseModel]] = [Settings]
    for place in places:
        # What is no key here is a name, a number, or the kind of which there are several.
        models = [one for model in models for one in _models_at(model, place)] or models
    return nearest(str(key), [known for model in models for known in _keys(model)])


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield field.alias or name


def _models_at(model: type[BaseModel], key: str | int) -> Iterator[type[BaseModel]]:
    for name, field in model.model_fields.items():
        if key == (field.alias or name):
            yield from _models_in(field.annotation)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in get_args(annotation):
        yield from _models_in(one)
