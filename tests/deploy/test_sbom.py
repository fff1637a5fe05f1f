"""The bill of materials names everything that is installed: with hashes, licences, and what needs what."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parents[2]


def name_of(requirement: str) -> str:
    """As package indexes write names."""
    [(name)] = re.findall(r"^[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", str(name)).lower()


def test_the_bill_of_materials_names_every_pinned_package_with_hashes_and_licence(tmp_path: Path) -> None:
    target = tmp_path / "sbom.json"
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "sbom.py", target], check=True, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("", ""), "no warning of an incomplete graph"
    bill = json.loads(target.read_text(encoding="utf-8"))
    pinned = re.findall(
        r"^([a-z0-9.-]+)==([^ ;]+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE
    )
    components = {one["bom-ref"]: one for one in bill["components"]}
    assert sorted((name_of(one["name"]), one["version"]) for one in components.values()) == sorted(pinned)
    assert all(one["externalReferences"][0]["hashes"] for one in components.values())
    assert [one["name"] for one in components.values() if not one.get("licenses")] == []
    root = bill["metadata"]["component"]
    assert root["name"] == "cert-rotation-worker"
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert set(needs) == {root["bom-ref"], *components}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = {name_of(components[one]["name"]) for one in needs[root["bom-ref"]]}
    assert direct == {name_of(one) for one in (*project["dependencies"], *project["optional-dependencies"]["build"])}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(target.read_text(encoding="utf-8")) is None
