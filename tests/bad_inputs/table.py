"""What a row of the table of bad inputs says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.bad_inputs.stage import Stage
from worker.broker.base import Message

Cloud = Literal["untouched", "read", "changed"]


@dataclass(frozen=True, slots=True)
class Bad:
    """A message that is sent to a worker. Bad ones end in a failed event and a dead letter, and no cloud is asked."""

    number: str
    what: str
    make: Callable[[Stage], Message]
    reason: str
    outcome: Literal["failed", "succeeded", "superseded"] = "failed"
    cloud: Cloud = "untouched"
    says: str = ""
    """What the event's text must hold."""
    is_withheld: bool = False
    """Its dead letter has no body: there may be a key in it."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What another test shows: named, so that it cannot get lost."""

    number: str
    what: str
    outcome: str
    tests: Sequence[str]
