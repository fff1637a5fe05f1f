"""Helm and Kubernetes without a cluster: the chart as Helm renders it, and documents against Kubernetes' schemas.

Both are large and not in the lock: `make charts` gets them. The gate has to have them.
"""

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

CHART: Final = Path(__file__).parents[2] / "deploy" / "helm" / "rotation-worker"
VERSIONS: Final = ("1.25", "1.37")
"""Of Kubernetes: the oldest that the chart takes, and the newest whose schemas there are."""
_NOTES: Final = "NOTES.txt"


def tool(name: str) -> Any:
    """The package. Missing, it is a skip by name here and a failure in CI."""
    if os.environ.get("CI"):
        return import_module(name)
    return pytest.importorskip(name, reason=f"{name} is not there: make charts")


def check(document: Mapping[str, Any], version: str) -> None:
    """Strictly: a field that there is not is a mistake."""
    tool("kubernetes_validate").validate(document, version, strict=True)


def rendered(values: Mapping[str, object] | None = None, name: str = "rotation-worker") -> dict[str, str]:
    """By template, as `helm template NAME -n rotation-worker` does it, its check of the values included."""
    with tool("helm_python").Chart.load(CHART) as chart:
        chart.validate_schema(dict(values or {}))
        made = chart.render(dict(values or {}), name=name, namespace="rotation-worker", is_install=True)
        return {path.rpartition("/")[2]: text for path, text in made.items()}


def documents(values: Mapping[str, object] | None = None, name: str = "rotation-worker") -> Sequence[dict[str, Any]]:
    made = rendered(values, name)
    return [yaml.safe_load(text) for path, text in made.items() if path != _NOTES and text.strip()]
