"""Writes the bill of materials to its argument: what the lock pins, with its hashes; licences and graph as installed.

CycloneDX's own tool reads a lock, which knows neither, or an environment, which has no hashes, but the tests' tools.
"""

# ruff: noqa: INP001 - a script

import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
MADE_BY = (sys.executable, "-W", "ignore", "-m", "cyclonedx_py")


def read(kind: str, source: str, folder: Path) -> Any:
    """Reproducible: without times and random numbers."""
    target = folder / f"{kind}.json"
    how = ("--no-validate", "--output-reproducible", "--pyproject", str(ROOT / "pyproject.toml"), "-o", str(target))
    subprocess.run([*MADE_BY, kind, *how, source], check=True, stderr=subprocess.DEVNULL)  # noqa: S603 - our own command
    return json.loads(target.read_text("utf-8"))


def key(component: dict[str, Any]) -> tuple[str, str]:
    """Names are written in more than one way."""
    return re.sub(r"[-_.]+", "-", component["name"]).lower(), component["version"]


def joined(installed: Any, locked: Any) -> Any:
    """Of the installed what is locked; what is locked for other systems alone stands without licence."""
    known = {key(one): one for one in installed["components"]}
    components = [{**one, **known.get(key(one), {})} for one in locked["components"]]
    for component, lock in zip(components, locked["components"], strict=True):
        told = [one for one in component["externalReferences"] if one["type"] != "distribution"]
        component["externalReferences"] = [*lock["externalReferences"], *told]
        component["description"] = known.get(key(lock), {}).get("description", "")
    refs = {one["bom-ref"] for one in components} | {installed["metadata"]["component"]["bom-ref"]}
    graph = [one for one in installed["dependencies"] if one["ref"] in refs]
    there = {one["ref"] for one in graph}
    graph = [{**one, "dependsOn": sorted(refs.intersection(one.get("dependsOn", [])))} for one in graph]
    graph += [{"ref": one, "dependsOn": []} for one in sorted(refs - there)]
    return {**installed, "components": components, "dependencies": graph}


def main() -> None:
    with TemporaryDirectory() as folder:
        installed = read("environment", sys.executable, Path(folder))
        locked = read("requirements", str(ROOT / "requirements.lock"), Path(folder))
    bill = joined(installed, locked)
    Path(sys.argv[1]).write_text(json.dumps(bill, indent=2, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
