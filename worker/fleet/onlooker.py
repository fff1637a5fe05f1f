"""Who hears what becomes of every delivery, for others to look at."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from worker.core.outcome import Report
from worker.effort import Effort
from worker.fleet.values import Parked


class Onlooker(Protocol):
    """Never raises, and takes no time worth speaking of."""

    def rotating(self, certificate: str, renewal_id: str, attempt: int, effort: Effort) -> AbstractContextManager[None]:
        """A renewal is worked on inside the block, the time included in which it waits for a place.

        Its id is for nobody until the effort says that it was compared: it may quote the key.
        """
        ...

    def told(self, event: Mapping[str, object], report: Report) -> None:
        """The world has heard of an outcome."""
        ...

    def parked(self, one: Parked, *, is_named: bool) -> None:
        """It comes again. `is_named`: its id may be told."""
        ...


class Nobody:
    """Nobody looks on."""

    def rotating(
        self, _certificate: str, _renewal_id: str, _attempt: int, _effort: Effort
    ) -> AbstractContextManager[None]:
        return nullcontext()

    def told(self, _event: Mapping[str, object], _report: Report) -> None: ...

    def parked(self, _one: Parked, *, is_named: bool) -> None: ...
