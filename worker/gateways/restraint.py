"""What a gateway's answers say about its limits: kept to from then on, by every call of the account."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from worker.core.errors import RotationError, TransientError
from worker.gateways.throttling import told_left, told_whole, told_window
from worker.limits import Limits, Turn, Window
from worker.limits.clock import now as _now

_log = structlog.get_logger()
_FIRST_HOLD: Final = 1.0
_MOST_DOUBLED: Final = 60.0
"""Seconds: what is asked for is doubled up to this, where calls are refused again after it."""
_BUSY: Final = frozenset({503, 504})


@dataclass(slots=True)
class Restraint:
    """Teaches an account's limits."""

    gateway: str
    limits: Limits
    wall_clock: Callable[[], datetime]
    _refused_in_a_row: int = 0
    _held_since: float = 0.0

    def answered(self, turn: Turn, headers: Mapping[str, str]) -> None:
        """Whatever the answer says besides."""
        if "x-ratelimit-remaining" in headers:
            turn.left, turn.whole = told_left(headers, self.wall_clock()), told_whole(headers)
            if turn.left is not None and turn.left[0] == 0:
                _log.warning("gateway.exhausted", gateway=self.gateway, seconds=round(turn.left[1], 1))

    def accepted(self, turn: Turn) -> None:
        """The answer was what was asked for. A call that was under way when another was refused ends no row."""
        if turn.began >= self._held_since:
            self._refused_in_a_row = 0

    def unanswered(self, turn: Turn) -> None:
        """Nothing came in time, or the connection broke."""
        turn.is_busy = True

    def refused(self, turn: Turn, error: RotationError) -> None:
        """The call was not done."""
        is_throttled = isinstance(error, TransientError) and error.reason == "throttled"
        turn.is_busy = is_throttled or error.status in _BUSY
        if isinstance(error, TransientError) and is_throttled:
            turn.is_refused = True
            window = told_window(error.message)
            if window is not None:
                self._tell("limit.learned", self.limits.learn(window))
            self._hold(error, turn, is_counted=window is not None or turn.left is not None)

    def _tell(self, event: str, kept: Window | None) -> None:
        if kept is not None:
            _log.warning(event, gateway=self.gateway, calls=kept.calls, seconds=round(kept.seconds, 1))

    def _hold(self, error: TransientError, turn: Turn, *, is_counted: bool) -> None:
        """One refusal holds the whole gateway: for as long as it says, else a second, doubled each time in a row.

        `is_counted`: it says how many calls, so that nothing is guessed; without that, how long it says may be wrong
        too. Calls that were under way together when it began are refused together: they count once.
        """
        is_first = turn.began >= self._held_since or not self._refused_in_a_row
        if is_first:
            self._refused_in_a_row += 1
            self._held_since = _now()
        doubled, is_told = 2.0 ** min(self._refused_in_a_row - 1, 8), bool(error.hold)
        if not error.hold:
            error.hold = _FIRST_HOLD * doubled
        elif not is_counted:
            error.hold = max(error.hold, min(error.hold * doubled, _MOST_DOUBLED))
        self.limits.hold(error.hold)
        if is_first:
            _log.warning("gateway.throttled", gateway=self.gateway, seconds=error.hold, status=error.status)
        if is_first and not is_counted:
            self._tell("limit.guessed", self.limits.guess(error.hold, is_told=is_told))
