"""A gateway that is down is left alone: one probe at a time, and no attempt burnt on what was not asked."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import structlog

from worker.core.errors import NotAskedError, RotationError, TransientError
from worker.gateways.exchange import AmbiguousError
from worker.limits.clock import now as _now

_log = structlog.get_logger()
_MOST_FAILURES: Final = 5
"""In a row, and over at least…"""
_SURE_AFTER: Final = 10.0
"""…so many seconds: a short break is what repeats are for."""
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 60.0
_LONGEST_OUTAGE: Final = 86400.0
"""After a day attempts count again, so that somebody hears of a gateway that never comes back."""


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
    _probed: asyncio.Event = field(default_factory=asyncio.Event)
    """Of the probe that is under way."""

    @property
    def is_open(self) -> bool:
        return self._probe_at is not None

    def refusal(self) -> NotAskedError | None:
        """Of whatever is to be sent now; None where a probe may be, or all."""
        if self._probe_at is None:
            return None
        wait = self._probe_at - _now()
        return self._refusal(wait) if wait > 0 else None

    def trying(self, *, is_change: bool) -> "Try":
        """Send one call inside the block. Raises NotAskedError instead of entering while the gateway is down.

        While a probe is under way the others wait for what it brings: refused, they would cancel it where it works
        together with them.
        """
        return Try(self, is_change)

    async def begin(self) -> bool:
        """Whether this call is the probe."""
        while self._is_probing:
            await self._probed.wait()
        refusal = self.refusal()
        if refusal is not None:
            raise refusal
        self._is_probing = self._probe_at is not None
        return self._is_probing

    def end(self, error: BaseException | None, *, is_change: bool, is_probe: bool) -> None:
        """The call has ended; `error` as what came of it. A cancelled one tells nothing."""
        if error is None:
            self._answered()
        elif isinstance(error, RotationError):
            self._heard(error, is_change=is_change, is_probe=is_probe)
        if is_probe:
            self._is_probing = False
            self._probed.set()
            self._probed = asyncio.Event()

    def _refusal(self, wait: float) -> NotAskedError:
        text = "the gateway is down, and is left alone until it answers a probe"
        is_for_long = _now() - self._failing_since > _LONGEST_OUTAGE
        return NotAskedError("gateway_unavailable", text, hold=wait, is_attempt=is_for_long)

    def _heard(self, error: RotationError, *, is_change: bool, is_probe: bool) -> None:
        if not _is_unavailable(error):
            if error.status is not None:
                self._answered()
        elif is_probe or not is_change or _is_unreached(error):
            self._failed(is_probe=is_probe)
        # Else a change went wrong: that may be its own fault, and reads tell whether the gateway is there.

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


@dataclass(slots=True)
class Try:
    """One call to a gateway that may be down, as a block. A class, because it is entered for every call."""

    breaker: Breaker
    is_change: bool
    _is_probe: bool = False

    async def __aenter__(self) -> None:
        self._is_probe = await self.breaker.begin()

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self.breaker.end(error, is_change=self.is_change, is_probe=self._is_probe)


def _is_unreached(error: RotationError) -> bool:
    """Nothing was sent: there is no connection."""
    return error.status is None and not isinstance(error, AmbiguousError)


def _is_unavailable(error: RotationError) -> bool:
    return isinstance(error, TransientError) and error.reason == "gateway_unavailable"
