"""The documents that are written by `make docs`, each from the code that it is about."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from tests.bad_inputs.document import document as bad_inputs
from tests.docs import asyncapi, metrics_reference, settings_reference
from worker.core.schemas import as_text, schemas

DOCUMENTS: Final[Mapping[str, Callable[[], str]]] = {
    "docs/settings.md": settings_reference.document,
    "docs/metrics.md": metrics_reference.document,
    "docs/asyncapi.yaml": asyncapi.document,
    "docs/bad-inputs.md": bad_inputs,
    **{f"docs/schemas/{name}": partial(as_text, schema) for name, schema in schemas().items()},
}
"""By path, what stands in it."""
