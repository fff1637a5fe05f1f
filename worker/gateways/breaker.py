"""A gateway that is down is left alone: one probe at a time, and no attempt burnt on what was not asked."""

import asyncio
from dataclasses import dataclass, field
from typing import Final, Self

import structlog

from worker.core.errors import NotAskedError, RotationError, TransientError
from worker.gateways.exchange import AmbiguousError
from worker.limits.clock import now as _now

_log = structlog.get_logger()
_MOST_FAILURES: Final = 5
"""In a row, and over at least…"""
_SURE_AFTER: Final = 10.0
"""…so many seconds: a short break is what repeats are for."""
_LEAST_READS: Final = 2
"""So many different ones are answered with a failure: one alone may be sick itself, however often it is repeated."""
_QUIET: Final = 60.0
"""Seconds between failures after which they are not in a row any more."""
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 60.0
_LONGEST_OUTAGE: Final = 86400.0
"""After a day attempts count again, so that somebody hears of a gateway that never comes back."""
_TELLING: Final = 7200.0
"""Seconds after a probe was due: what is parked comes within an hour, unless the settings park for longer. So nothing
needs it, and its state is unknown."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A gateway is down. Seconds."""

    lasts: float
    """Since the first of the failures that it was known by."""
    probe_in: float
    """0 where it is due: it is sent once something needs the gateway."""


@dataclass(slots=True)
class _Row:
    """Failures in a row."""

    since: float = 0.0
    until: float = 0.0
    """What begins later and fails too begins another row."""
    count: int = 0
    of: set[str | None] = field(default_factory=set)
    """What was asked for and answered with a failure; None where nothing answered."""

    def add(self, path: str | None, hold: float) -> None:
        self.count += 1
        self.of.add(path)
        self.until = _now() + _QUIET + hold

    def is_outage(self) -> bool:
        is_ones_own = None not in self.of and len(self.of) < _LEAST_READS
        return self.count >= _MOST_FAILURES and _now() - self.since >= _SURE_AFTER and not is_ones_own


@dataclass(slots=True)
class Breaker:
    """Closed while anything is answered. Seconds of the loop's clock."""

    gateway: str
    _row: _Row = field(default_factory=_Row)
    _probe_at: float | None = None
    """None while it is closed."""
    _pause: float = _FIRST_PAUSE
    _is_probing: bool = False
    _probed: asyncio.Event = field(default_factory=asyncio.Event)
    """Of the probe that is under way."""

    @property
    def outage(self) -> Outage | None:
        """None while it is closed; also where nothing has needed it for long: then it is not known to be down."""
        if self._probe_at is None or _now() - self._probe_at > _TELLING:
            return None
        return Outage(_now() - self._row.since, max(self._probe_at - _now(), 0.0))

    def refusal(self) -> NotAskedError | None:
        """Of whatever is to be sent now; None where a probe may be, or all."""
        if self._probe_at is None:
            return None
        wait = self._probe_at - _now()
        return self._refusal(wait) if wait > 0 else None

    def trying(self, method: str, path: str, began: float) -> "Try":
        """Send one call inside the block. Raises NotAskedError instead of entering while the gateway is down.

        While a probe is under way the others wait for what it brings: refused, they would cancel it where it works
        together with them. `began`: when the call's turn came.
        """
        return Try(self, method, path, began)

    async def begin(self) -> bool:
        """Whether this call is the probe."""
        while self._is_probing:
            await self._probed.wait()
        refusal = self.refusal()
        if refusal is not None:
            raise refusal
        self._is_probing = self._probe_at is not None
        return self._is_probing

    def end(self, tried: "Try", error: BaseException | None) -> None:
        """The call has ended; `error` as what came of it. A cancelled one tells nothing."""
        if error is None:
            self._answered()
        elif isinstance(error, RotationError):
            self._heard(tried, error)
        if tried.is_probe:
            self._is_probing = False
            self._probed.set()
            self._probed = asyncio.Event()

    def _refusal(self, wait: float) -> NotAskedError:
        text = "the gateway is down, and is left alone until it answers a probe"
        is_for_long = _now() - self._row.since > _LONGEST_OUTAGE
        return NotAskedError("gateway_unavailable", text, hold=wait, is_attempt=is_for_long)

    def _heard(self, tried: "Try", error: RotationError) -> None:
        if not isinstance(error, TransientError) or error.reason != "gateway_unavailable":
            if error.status is not None and tried.is_sent:
                self._answered()
        elif tried.is_probe:
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            self._probe_at = _now() + self._pause
        elif tried.method == "GET" or _is_unreached(error):
            self._failed(tried, error)
        # Else a change went wrong: that may be its own fault, and reads tell whether the gateway is there.

    def _answered(self) -> None:
        if self._probe_at is not None:
            _log.info("gateway.up", gateway=self.gateway, down_seconds=round(_now() - self._row.since, 1))
            self._probe_at, self._pause = None, _FIRST_PAUSE
        self._row.count = 0

    def _failed(self, tried: "Try", error: TransientError) -> None:
        if self._probe_at is not None:
            return
        if not self._row.count or tried.began > self._row.until:
            self._row = _Row(since=_now())
        self._row.add(tried.path if tried.is_sent and error.status is not None else None, error.hold)
        if self._row.is_outage():
            self._probe_at = _now() + self._pause
            _log.error("gateway.down", gateway=self.gateway, failures=self._row.count)


@dataclass(slots=True)
class Try:
    """One call to a gateway that may be down, as a block. A class, because it is entered for every call."""

    breaker: Breaker
    method: str
    path: str
    began: float
    is_probe: bool = False
    is_sent: bool = False
    """Set by whoever sends: what failed before that is not the gateway's answer."""

    async def __aenter__(self) -> Self:
        self.is_probe = await self.breaker.begin()
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self.breaker.end(self, error)


def _is_unreached(error: RotationError) -> bool:
    """Nothing was sent: there is no connection."""
    return error.status is None and not isinstance(error, AmbiguousError)
