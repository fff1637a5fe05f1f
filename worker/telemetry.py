"""Logs, metrics, and what must never be in them."""

import collections
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from worker import __version__
from worker.core.deployment import Certificate
from worker.core.outcome import Report, Timing
from worker.core.past import deployments_in, moment
from worker.core.serving import Put, Serving, serving_after, whole_reason
from worker.instruments import instruments
from worker.stderr import make_stderr_unfailing

_PEM: Final = re.compile(r"-----BEGIN[^-]*-----.*?(-----END[^-]*-----|$)", re.DOTALL)
_LONGEST_TEXT: Final = 2000

Event = MutableMapping[str, object]


def configure_logs(level: int) -> None:
    """JSON lines on stderr, a human rendering where stderr is a terminal. Libraries log from WARNING on only.

    A command that logs only what is wrong tells its error itself: what a library says of it first, without its text,
    helps nobody. aiormq and aiohttp show message bodies and headers at DEBUG: their level is not for settings.
    """
    _configure(level, logging.WARNING if level < logging.WARNING else logging.CRITICAL)


def quiet_logs() -> None:
    """Nothing but a crash: for commands that show their progress themselves."""
    _configure(logging.CRITICAL, logging.CRITICAL)


def _configure(level: int, libraries: int) -> None:
    make_stderr_unfailing()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _exception_as_frames,
            _redact,
            *_rendering(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(capture=True)
    logging.basicConfig(level=libraries, handlers=[_OnlyWhere()], force=True)


def _rendering() -> Sequence[structlog.typing.Processor]:
    """For people, what happened in a column of its own, and in colour; for machines, a line of JSON."""
    if not sys.stderr.isatty():
        return _in_order, structlog.processors.JSONRenderer()
    return _for_people, structlog.dev.ConsoleRenderer(colors=not os.environ.get("NO_COLOR"))


def _in_order(_logger: object, _method: str, event: Event) -> Event:
    """What every line has comes first: columns that can be followed by eye."""
    return {**{name: event[name] for name in ("timestamp", "level", "event")}, **event}


def _for_people(_logger: object, _method: str, event: Event) -> Event:
    """Nothing that steers a terminal; and a frame a line below a bug's type."""
    told = {name: _printable(value) for name, value in event.items()}
    frames = told.pop("frames", None)
    if isinstance(frames, list):
        told["exception"] = "\n  ".join([f"  {told.get('exception')}", *frames])
    return told


def _printable(value: object) -> object:
    is_safe = not isinstance(value, str) or value.isprintable()
    return value if is_safe else str(value).encode("unicode_escape").decode()


class _OnlyWhere(logging.Handler):
    """Of what libraries log: who and where, and a bug's type. Their texts and their exceptions' may quote the input."""

    def emit(self, record: logging.LogRecord) -> None:
        exception = record.exc_info[1] if record.exc_info else None
        told = {"logger": record.name, "place": f"{record.filename}:{record.lineno}"}
        # A library may have levels of its own.
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        structlog.get_logger().log(level, "library.told", exc_info=exception, **told)


def _exception_as_frames(_logger: object, _method: str, event: Event) -> Event:
    """A bug is told by its type and place. Its text and locals may quote the input: they stay out."""
    exception = event.pop("exc_info", None)
    if exception is True:
        exception = sys.exc_info()[1]
    if isinstance(exception, BaseException):
        event.update(_frames(exception))
    return event


def _frames(exception: BaseException) -> dict[str, object]:
    """Type and frames; of a group, also those of each exception in it."""
    told: dict[str, object] = {
        "exception": type(exception).__name__,
        "frames": [f"{at.filename}:{at.lineno} {at.name}" for at in traceback.extract_tb(exception.__traceback__)],
    }
    if isinstance(exception, BaseExceptionGroup):
        told["within"] = [_frames(one) for one in exception.exceptions]
    return told


def _redact(_logger: object, _method: str, event: Event) -> Event:
    for name, value in event.items():
        event[name] = _harmless(value)
    return event


def _harmless(value: object) -> object:
    match value:
        case str():  # first, because nearly all are
            return redacted(value)
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {redacted(str(key)): _harmless(one) for key, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_harmless(one) for one in value]
        case _:
            return redacted(str(value))


def redacted(text: str) -> str:
    """The text without anything in PEM, bounded."""
    return _PEM.sub("[PEM]", text)[:_LONGEST_TEXT]


def _registry() -> CollectorRegistry:
    return CollectorRegistry()


@dataclass(frozen=True, slots=True)
class Metrics:
    """The worker's metrics, by the names that the contract gives them."""

    registry: CollectorRegistry = field(default_factory=_registry)
    renewals: Counter = field(init=False)
    duration: Histogram = field(init=False)
    served: Histogram = field(init=False)
    bindings: Counter = field(init=False)
    gateway_calls: Counter = field(init=False)
    gateway_wait: Histogram = field(init=False)
    in_flight: Gauge = field(init=False)
    last_success: Gauge = field(init=False)
    deliveries: Counter = field(init=False)
    connects: Counter = field(init=False)
    connected: Gauge = field(init=False)
    ready: Gauge = field(init=False)
    room: Gauge = field(init=False)
    parked: Gauge = field(init=False)
    dead: Gauge = field(init=False)
    sweeps: Counter = field(init=False)
    retirements: Counter = field(init=False)
    remaining: Gauge = field(init=False)
    budget: Gauge = field(init=False)
    budget_used: Gauge = field(init=False)
    gateway_up: Gauge = field(init=False)
    gateway_held: Gauge = field(init=False)
    expiry: Gauge = field(init=False)
    consumer_active: Gauge = field(init=False)
    reloads: Counter = field(init=False)
    _told_at: dict[Gauge, datetime] = field(default_factory=dict)
    """When that was told which a gauge shows, of those that later outcomes change."""
    _children: dict[tuple[str, str, int | str], tuple[Counter, Histogram]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ProcessCollector(registry=self.registry)
        Info("rotation_build", "Which version it is", registry=self.registry).info({"version": __version__})
        for name, metric in instruments(self.registry).items():
            object.__setattr__(self, name, metric)

    def call(self, gateway: str, operation: str, status: int | str, wait_seconds: float | None) -> None:
        # Looked up once for each: finding a child by its labels costs as much as a call's whole turn under the limits.
        key = gateway, operation, status
        known = self._children.get(key)
        if known is None:
            calls = self.gateway_calls.labels(gateway, operation, str(status))
            known = self._children[key] = calls, self.gateway_wait.labels(gateway)
        calls, wait = known
        calls.inc()
        if wait_seconds is not None:
            wait.observe(wait_seconds)

    def counted(self, counter: Counter) -> int:
        """Of one without labels."""
        [total] = [one.value for family in counter.collect() for one in family.samples if one.name.endswith("_total")]
        return int(total)

    def reloaded(self, state: str) -> None:
        self.reloads.labels(state).inc()

    def forget_gateway(self, gateway: str) -> None:
        """Of one that is in the settings no more: as it is now. What it has done stays counted."""
        for gauge in (self.gateway_up, self.gateway_held, self.remaining):
            gauge.remove(gateway)

    def forget_certificate(self, certificate: str, gateway: str) -> None:
        """Of one that the settings deploy there no more: when it ends is nobody's concern."""
        self._told_at.pop(self.expiry.labels(certificate, gateway), None)
        self.expiry.remove(certificate, gateway)

    def swept(self, state: str) -> None:
        self.sweeps.labels(state).inc()

    def retired(self, gateway: str) -> None:
        self.retirements.labels(gateway).inc()

    def ended(self, certificate: str | None, report: Report, timing: Timing) -> None:
        """Books a renewal that ended, its bindings, and how long its certificate now lasts."""
        self.renewals.labels(report.outcome, report.reason).inc()
        self.duration.observe(timing.duration_seconds)
        if (served_after := timing.served_after(report)) is not None:
            self.served.observe(served_after)
        for deployment in report.deployments:
            gateway = deployment.deployment.gateway
            for state, number in collections.Counter(binding.state for binding in deployment.bindings).items():
                self.bindings.labels(gateway, state).inc(number)
        if certificate is not None:
            for gateway, ends in _first_ends(_ends_reported(report)).items():
                self._book(self.expiry.labels(certificate, gateway), ends, timing.finished_at)
        if report.outcome == "succeeded":
            self._book(self.last_success, timing.finished_at, timing.finished_at)

    def remember(self, event: Mapping[str, Any], certificates: Mapping[str, Certificate]) -> None:
        """Books what `ended` does of a success and of how long it lasts, by an outcome that some worker has told.

        An older one takes no newer one's place. Only what is in the settings is booked.
        """
        at, told, certificate = moment(event.get("time")), event.get("data"), event.get("subject")
        if at is None or not isinstance(told, dict) or certificate not in certificates:
            return
        if told.get("outcome") == "succeeded":
            self._book(self.last_success, at, at)
        if isinstance(certificate, str):
            known = {to.gateway for to in certificates[certificate].deployments}
            for gateway, ends in _first_ends(_ends_told(told)).items():
                if gateway in known:
                    self._book(self.expiry.labels(certificate, gateway), ends, at)

    def _book(self, gauge: Gauge, shown: datetime, at: datetime) -> None:
        known = self._told_at.get(gauge)
        if known is None or at >= known:
            self._told_at[gauge] = at
            gauge.set(shown.timestamp())


def _ends_reported(report: Report) -> Iterator[tuple[str, datetime]]:
    """When what is served now ends: by the same rule as on the page."""
    leaf = Serving.of(report.leaf)
    whole = whole_reason(report.outcome, report.reason, report.failure)
    for one in report.deployments:
        yield from _end(one.deployment.gateway, serving_after(Put.of(one), leaf, whole))


def _ends_told(told: Mapping[str, Any]) -> Iterator[tuple[str, datetime]]:
    """The same, as an outcome event has it."""
    leaf = Serving.told(told.get("leaf"))
    whole = whole_reason(told.get("outcome"), told.get("reason"), told.get("message"))
    for one in deployments_in(told):
        yield from _end(str(one.get("gateway")), serving_after(Put.told(one), leaf, whole))


def _end(gateway: str, served: Serving | None) -> Iterator[tuple[str, datetime]]:
    if served is not None and served.not_after is not None:
        yield gateway, served.not_after


def _first_ends(found: Iterable[tuple[str, datetime]]) -> Mapping[str, datetime]:
    """By gateway: of several deployments there, the one that ends first."""
    first: dict[str, datetime] = {}
    for gateway, ends in found:
        first[gateway] = min(ends, first.get(gateway, ends))
    return first
