"""config/worker.toml: valid as it is, all defaults, and every setting in it."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from worker.settings import Settings
from worker.settings.loading import load

EXAMPLE = Path(__file__).parents[2] / "config" / "worker.toml"


def models(annotation: object) -> Iterator[type[BaseModel]]:
    """Every model within a type, and within its fields'."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models(field.annotation)
    for part in get_args(annotation):
        yield from models(part)


def differing(stated: dict[str, Any], default: dict[str, Any], path: str = "") -> Iterator[str]:
    """What the example states and the models do not have as a default."""
    for key, value in stated.items():
        match value, default.get(key, default.get(f"{key}_")):
            case dict(), dict() as inner:
                yield from differing(value, inner, f"{path}{key}.")
            case _, other if value != other:
                yield f"{path}{key}"


def test_the_example_loads_as_it_is() -> None:
    assert load(EXAMPLE, {}) == Settings()


def test_what_the_example_states_is_the_default() -> None:
    assert list(differing(tomllib.loads(EXAMPLE.read_text()), Settings().model_dump(mode="json"))) == []


NOT_STATED = {"producers", "parking_exchange", "dead_queue"}
"""A table; and what is named after the queue, unless it is stated."""


def test_every_default_is_stated() -> None:
    stated = tomllib.loads(EXAMPLE.read_text())
    for section, model in Settings().model_dump(mode="json", by_alias=True, exclude_none=True).items():
        if section not in ("gateways", "certificates"):
            assert model.keys() - NOT_STATED <= stated[section].keys(), section


def test_every_setting_is_mentioned() -> None:
    """As a key of its own, or within a table on one line; commented or not."""
    mentioned = set(re.findall(r"([a-z0-9_]+) = ", EXAMPLE.read_text()))
    mentioned |= set(re.findall(r"\[\[?([a-z_.-]+)\]", EXAMPLE.read_text()))
    sections = {part for header in mentioned for part in header.split(".")}
    fields = {field.alias or name for model in models(Settings) for name, field in model.model_fields.items()}
    assert fields - sections == set()


@pytest.mark.parametrize(
    "word", ["huawei_apig", "bycloud", "password", "ak_sk", "token", "api_key", "bearer", "app_role", "kubernetes"]
)
def test_every_kind_is_shown(word: str) -> None:
    assert f'kind = "{word}"' in EXAMPLE.read_text()
