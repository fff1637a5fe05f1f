"""One line of the checklist that `rotation-worker check` prints."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from worker.broker.base import BrokerError
from worker.commands.next_steps import next_step
from worker.commands.output import Marks
from worker.core.errors import RotationError

_ITSELF: Final = re.compile(r"[;:] (?:if it stays so, )?`rotation-worker check` .*$")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the checklist."""

    what: str
    is_good: bool
    message: str = ""
    is_known: bool = True
    """False where it was not, or could not be, found out: that is no failure, and the message says why."""
    next: str = ""
    """What to do, where it is not good."""

    @classmethod
    def of(cls, what: str, error: RotationError | BrokerError) -> "Finding":
        message = f"{error.reason}: {error.message}" if isinstance(error, RotationError) else str(error)
        return cls(what, is_good=False, message=message, next=next_step(error))

    @classmethod
    def skipped(cls, what: str, why: str) -> "Finding":
        return cls(what, is_good=True, message=f"not tried: {why}", is_known=False)

    def told_by_check(self) -> "Finding":
        """What other commands add would lead back to this very line."""
        return replace(self, next=_ITSELF.sub("", self.next))

    def lines(self, marks: Marks) -> Iterator[str]:
        mark = marks.unknown if not self.is_known else marks.good if self.is_good else marks.bad
        yield f"{mark} {self.what}{self.message and f': {self.message}'}"
        if self.next:
            yield f"{' ' * len(mark)} next: {self.next}"
