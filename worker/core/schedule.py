"""When a renewal may run: within its certificate's windows, and not all of a mass renewal at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Literal

from worker.core.window import Interval, Window, interval_from

_NOTHING: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class Wait:
    """It is too early. `until`: the earliest moment at which it may run, as far as is known."""

    until: datetime
    why: Literal["outside_window", "spread"]
    is_known: bool = True
    """What is served now was read: before `until` there is nothing to be found out by looking again."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What the settings say of a certificate's time. Without windows every time is good."""

    windows: Sequence[Window] = ()
    spread: timedelta = _NOTHING
    """Over how long a time renewals that come together are spread."""
    near_expiry: timedelta = timedelta(days=3)
    lateness: timedelta = _NOTHING
    """How much later than planned a renewal may come back: so long before a window's end none is planned."""

    @property
    def may_hold_back(self) -> bool:
        return bool(self.windows or self.spread)

    def wait(self, share: float, since: datetime, now: datetime) -> Wait | None:
        """None where it may run now. `share`: its part of the spread, below 1; `since`: when it came, at most `now`."""
        interval = interval_from(self.windows, now) if self.windows else None
        begins = since if interval is None else max(since, interval.opens)
        due = begins + share * self._room(interval, begins)
        if due <= now:
            return None
        is_closed = interval is not None and interval.opens > now
        return Wait(due, "outside_window" if is_closed else "spread")

    def _room(self, interval: Interval | None, begins: datetime) -> timedelta:
        if interval is None:
            return self.spread
        return max(min(self.spread, interval.closes - begins - self.lateness), _NOTHING)


def share_of(certificate: str, renewal_id: str) -> float:
    """At least 0 and below 1, evenly spread, and the same for the same renewal always."""
    digest = sha256(f"{certificate}\0{renewal_id}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
