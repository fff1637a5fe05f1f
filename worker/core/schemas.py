"""The JSON Schemas of both messages, generated from their models.

`python -m worker.core.schemas FOLDER` writes them.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.core.events import OutcomeEvent
from worker.core.message import RenewalEvent


def schemas() -> Mapping[str, Mapping[str, Any]]:
    """By file name."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {
        "renewal.v1.json": {**dialect, **RenewalEvent.model_json_schema()},
        "outcome.v1.json": {**dialect, **OutcomeEvent.model_json_schema(mode="serialization")},
    }


def as_text(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    for name, schema in schemas().items():
        (Path(sys.argv[1]) / name).write_text(as_text(schema))
