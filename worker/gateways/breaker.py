"""A gateway that is down is left alone: one probe at a time, and no attempt burnt on what was not asked."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from worker.core.errors import NotAskedError, RotationError, TransientError

_log = structlog.get_logger()
_MOST_FAILURES: Final = 5
"""In a row, and over at least…"""
_SURE_AFTER: Final = 10.0
"""…so many seconds: a short break is what repeats are for."""
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 60.0
_LONGEST_OUTAGE: Final = 86400.0
"""After a day attempts count again, so that somebody hears of a gateway that never comes back."""
_INTERNAL_ERROR: Final = 500


@dataclass(slots=True)
class Breaker:
    """Closed while anything is answered. Seconds of the loop's clock."""

    gateway: str
    _failures: int = 0
    _failing_since: float = 0.0
    _probe_at: float | None = None
    """None while it is closed."""
    _pause: float = _FIRST_PAUSE
    _is_probing: bool = False

    @property
    def is_open(self) -> bool:
        return self._probe_at is not None

    @contextmanager
    def trying(self, *, is_change: bool) -> Iterator[None]:
        """Send one call inside the block. Raises NotAskedError instead of entering while the gateway is down."""
        is_probe = self._begin()
        try:
            yield
        except RotationError as error:
            self._heard(error, is_change=is_change, is_probe=is_probe)
            raise
        else:
            self._answered()
        finally:
            self._is_probing &= not is_probe

    def _begin(self) -> bool:
        """Whether this call is the probe."""
        if self._probe_at is None:
            return False
        wait = self._probe_at - _now()
        if wait > 0 or self._is_probing:
            raise self._refusal(max(wait, 1.0))
        self._is_probing = True
        return True

    def _refusal(self, wait: float) -> NotAskedError:
        text = "the gateway is down, and is left alone until it answers a probe"
        is_for_long = _now() - self._failing_since > _LONGEST_OUTAGE
        return NotAskedError("gateway_unavailable", text, hold=wait, is_attempt=is_for_long)

    def _heard(self, error: RotationError, *, is_change: bool, is_probe: bool) -> None:
        is_own_fault = is_change and error.status == _INTERNAL_ERROR and not is_probe
        if _is_unavailable(error) and not is_own_fault:
            self._failed(is_probe=is_probe)
        elif error.status is not None and not is_own_fault:
            self._answered()

    def _answered(self) -> None:
        if self._probe_at is not None:
            _log.info("gateway.up", gateway=self.gateway, down_seconds=round(_now() - self._failing_since, 1))
        self._failures, self._probe_at, self._pause = 0, None, _FIRST_PAUSE

    def _failed(self, *, is_probe: bool) -> None:
        now = _now()
        if is_probe:
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            self._probe_at = now + self._pause
        elif self._probe_at is None:
            self._failing_since = self._failing_since if self._failures else now
            self._failures += 1
            if self._failures >= _MOST_FAILURES and now - self._failing_since >= _SURE_AFTER:
                self._probe_at = now + self._pause
                _log.error("gateway.down", gateway=self.gateway, failures=self._failures)


def _is_unavailable(error: RotationError) -> bool:
    return isinstance(error, TransientError) and error.reason == "gateway_unavailable"


def _now() -> float:
    return asyncio.get_running_loop().time()
