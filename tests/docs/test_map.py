"""The map of the code that the README draws is the code's, and the rules for imports leave no room out."""

import re
import tomllib

from tests.docs.pages import ROOT, read


def rooms() -> set[str]:
    """Modules and packages at the top."""
    found = (one for one in (ROOT / "worker").iterdir() if one.suffix == ".py" or (one / "__init__.py").exists())
    return {one.stem for one in found} - {"__init__"}


def test_every_room_is_on_the_map_and_nothing_else_is() -> None:
    section = read("README.md").partition("## The code")[2]
    assert set(re.findall(r"`worker/([a-z_]+)(?:\.py|/)`", section)) == rooms() - {"__main__"}


def test_the_rules_for_imports_are_of_every_room() -> None:
    contracts = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    (layers,) = (one for one in contracts if one["type"] == "layers")
    assert (layers["containers"], layers["exhaustive"]) == (["worker"], True)
    assert {name for layer in layers["layers"] for name in re.findall(r"[a-z_]+", layer)} == rooms()
    (amqp,) = (one for one in contracts if one["name"] == "only broker speaks AMQP")
    assert amqp["source_modules"] == ["worker"]
