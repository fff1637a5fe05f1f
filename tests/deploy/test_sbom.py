"""The bill of materials names everything that is installed, with its hashes."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_bill_of_materials_names_every_pinned_package_with_its_hashes(tmp_path: Path) -> None:
    target = tmp_path / "sbom.json"
    made = Path(sys.executable).with_name("cyclonedx-py")
    words = ("requirements", "--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "-o", target)
    subprocess.run([made, *words, ROOT / "requirements.lock"], check=True, capture_output=True)
    bill = json.loads(target.read_text(encoding="utf-8"))
    pinned = re.findall(
        r"^([a-z0-9.-]+)==([^ ;]+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted((one["name"], one["version"]) for one in bill["components"]) == sorted(pinned)
    assert all(one["externalReferences"][0]["hashes"] for one in bill["components"])
    assert bill["metadata"]["component"]["name"] == "cert-rotation-worker"
