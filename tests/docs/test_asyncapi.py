"""The AsyncAPI document is one, by its own JSON Schema; and it, the schemas, the examples and the code agree."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import jsonschema
import pytest
import yaml

from tests.docs.asyncapi import VERSION
from tests.docs.pages import ROOT, read
from tests.support.acme import require
from worker.core.events import OutcomeEvent
from worker.core.message import TYPE, parse
from worker.core.outcome import Outcome
from worker.core.schemas import schemas

DOCUMENT: Final[Mapping[str, Any]] = yaml.safe_load(read("docs/asyncapi.yaml"))
SPECS: Final = ROOT / ".ci" / "npm" / "node_modules" / "@asyncapi" / "specs" / "schemas"
EXAMPLES: Final = sorted((ROOT / "docs" / "examples").glob("*.json"))


def schema_of_asyncapi() -> Any:
    """Of the npm package; missing, it is a skip by name here and a failure in CI."""
    file = SPECS / f"{VERSION}-without-$id.json"
    if not file.exists():
        require("npm")
        lack = pytest.fail if os.environ.get("CI") else pytest.skip
        lack("@asyncapi/specs is not installed: .ci/services")
    return json.loads(file.read_text(encoding="utf-8"))


def schema_for(example: Path) -> Mapping[str, Any]:
    return schemas()[f"{example.stem.partition('-')[0]}.v1.json"]


def references(node: object) -> Iterator[str]:
    match node:
        case {"$ref": str(target)}:
            yield target
        case dict():
            for value in node.values():
                yield from references(value)
        case list():
            for value in node:
                yield from references(value)


def resolved(target: str) -> object:
    node: Any = DOCUMENT
    for step in target.removeprefix("#/").split("/"):
        node = node[step]
    return node


def test_the_document_is_valid_by_asyncapis_own_schema() -> None:
    validator = jsonschema.Draft7Validator(schema_of_asyncapi())
    assert [error.message for error in validator.iter_errors(DOCUMENT)] == []
    broken = {**DOCUMENT, "channels": {**DOCUMENT["channels"], "renewals": {"address": 1}}}
    assert list(validator.iter_errors(broken)) != []


def test_everything_that_the_document_refers_to_is_there() -> None:
    found = set(references(DOCUMENT))
    assert len(found) >= 10
    for target in found:
        assert resolved(target) if target.startswith("#") else (ROOT / "docs" / target).exists(), target


def test_channels_are_the_routing_keys_of_the_code() -> None:
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    assert addresses == {TYPE, *(f"certificate.rotation.{outcome}" for outcome in get_args(Outcome))}


def test_a_schema_is_one_and_the_package_of_the_schemas_is_locked_with_its_integrity() -> None:
    for schema in schemas().values():
        jsonschema.Draft202012Validator.check_schema(schema)
    lock = json.loads(read(".ci/npm/package-lock.json"))
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert [name for name, one in packages.items() if not one["integrity"].startswith("sha512-")] == []
    assert not re.search(r"https?://[^\"]*\.tgz", json.dumps(lock)), "names a registry"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_keeps_to_its_schema_and_is_read_by_the_code(example: Path) -> None:
    told = json.loads(example.read_text(encoding="utf-8"))
    jsonschema.validate(told, schema_for(example), cls=jsonschema.Draft202012Validator)
    if example.stem.startswith("renewal"):
        assert parse(example.read_bytes()).data.certificate == told["subject"]
    else:
        assert OutcomeEvent.model_validate(told).type == f"certificate.rotation.{told['data']['outcome']}"
        assert f"| `{told['data']['reason']}` |" in read("docs/reasons.md")


def test_every_message_of_the_document_but_the_signed_one_has_a_valid_example() -> None:
    messages = DOCUMENT["components"]["messages"]
    shown = {name: one["examples"][0]["payload"] for name, one in messages.items() if "examples" in one}
    assert messages.keys() - shown.keys() == {"signedRenewal"}
    files = [json.loads(example.read_text(encoding="utf-8")) for example in EXAMPLES]
    assert all(payload in files for payload in shown.values())
