"""What a broker that has told these events knows of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from worker.broker.facts import Facts


def facts_of(entries: Iterable[Mapping[str, Any]]) -> Facts:
    """Events and notes, oldest first."""
    facts = Facts()
    for one in entries:
        facts.take_in(one)
    return facts
