"""Logs, metrics, and what must never be in them."""

import collections
import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from worker import __version__
from worker.core.deployment import Certificate
from worker.core.outcome import Report, Timing
from worker.core.past import deployments_in, moment
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
        for name, metric in {**self._of_rotations(), **self._of_the_queue(), **self._of_gateways()}.items():
            object.__setattr__(self, name, metric)

    def _of_rotations(self) -> Mapping[str, object]:
        registry = self.registry
        return {
            "renewals": Counter(
                "rotation_renewals", "Renewals that ended, by outcome", ["outcome", "reason"], registry=registry
            ),
            "duration": Histogram(
                "rotation_duration_seconds",
                "Time from delivery to outcome",
                buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600),
                registry=registry,
            ),
            "served": Histogram(
                "rotation_served_seconds",
                "Time from the renewal to where it is served",
                buckets=(1, 5, 15, 60, 300, 900, 3600, 14400, 86400),
                registry=registry,
            ),
            "bindings": Counter(
                "rotation_bindings", "Bindings, by what became of them", ["gateway", "outcome"], registry=registry
            ),
            "last_success": Gauge(
                "rotation_last_success_timestamp_seconds",
                "When a rotation last succeeded: all bound, and verified where that is asked for; 0 for never",
                registry=registry,
            ),
            "in_flight": Gauge("rotation_in_flight", "Rotations under way", registry=registry),
            "expiry": Gauge(
                "rotation_certificate_expiry_timestamp_seconds",
                "When the certificate last put into service expires",
                ["certificate", "gateway"],
                registry=registry,
            ),
            "sweeps": Counter(
                "rotation_sweeps",
                "Certificates looked at by the sweep, by what was found",
                ["state"],
                registry=registry,
            ),
            "retirements": Counter(
                "rotation_retirements",
                "Old stored certificates deleted after they had been kept for as long as they should",
                ["gateway"],
                registry=registry,
            ),
        }

    def _of_the_queue(self) -> Mapping[str, object]:
        registry = self.registry
        return {
            "deliveries": Counter(
                "rotation_deliveries", "Renewals taken from the queue, again and again counted", registry=registry
            ),
            "connects": Counter(
                "rotation_broker_connects", "Tries to connect to the broker and consume", registry=registry
            ),
            "connected": Gauge(
                "rotation_broker_connected", "1 while this worker consumes or stands by", registry=registry
            ),
            "ready": Gauge("rotation_ready", "Renewals in the queue that no worker has been given", registry=registry),
            "room": Gauge(
                "rotation_room", "Renewals that this worker would take now, beside those in its hand", registry=registry
            ),
            "parked": Gauge("rotation_parked", "Renewals that wait for their next try", registry=registry),
            "dead": Gauge("rotation_dead", "Renewals in the dead queue, given up", registry=registry),
            "reloads": Counter(
                "rotation_settings_reloads", "Settings read again, by what came of it", ["state"], registry=registry
            ),
            "consumer_active": Gauge(
                "rotation_consumer_active", "1 while this worker is the active consumer", registry=registry
            ),
        }

    def _of_gateways(self) -> Mapping[str, object]:
        registry = self.registry
        return {
            "gateway_calls": Counter(
                "rotation_gateway_calls", "HTTP calls sent", ["gateway", "operation", "status"], registry=registry
            ),
            "gateway_wait": Histogram(
                "rotation_gateway_wait_seconds",
                "Time a call waited for its turn under the gateway's limits",
                ["gateway"],
                buckets=(0.01, 0.1, 1, 10, 60, 300, 3600),
                registry=registry,
            ),
            "remaining": Gauge(
                "rotation_remaining_seconds",
                "Estimate until the rotations under way at a gateway have ended, by its limits",
                ["gateway"],
                registry=registry,
            ),
            "budget": Gauge(
                "rotation_gateway_budget_calls",
                "Calls that a gateway takes in any span of so many seconds",
                ["gateway", "window_seconds"],
                registry=registry,
            ),
            "budget_used": Gauge(
                "rotation_gateway_budget_used_calls",
                "Calls of the last span, those under way included",
                ["gateway", "window_seconds"],
                registry=registry,
            ),
            "gateway_up": Gauge(
                "rotation_gateway_up",
                "0 while a gateway does not answer and is left alone",
                ["gateway"],
                registry=registry,
            ),
            "gateway_held": Gauge(
                "rotation_gateway_held_seconds",
                "Time until anything is sent to a gateway that has asked to be left alone",
                ["gateway"],
                registry=registry,
            ),
        }

    def call(self, gateway: str, operation: str, status: int | str, wait_seconds: float) -> None:
        # Looked up once for each: finding a child by its labels costs as much as a call's whole turn under the limits.
        key = gateway, operation, status
        known = self._children.get(key)
        if known is None:
            calls = self.gateway_calls.labels(gateway, operation, str(status))
            known = self._children[key] = calls, self.gateway_wait.labels(gateway)
        calls, wait = known
        calls.inc()
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
            if deployment.outcome == "succeeded" and report.leaf is not None and certificate is not None:
                self._book(self.expiry.labels(certificate, gateway), report.leaf.not_after, timing.finished_at)
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
        leaf = told.get("leaf")
        ends = moment(leaf.get("not_after")) if isinstance(leaf, dict) else None
        there = {str(one.get("gateway")) for one in deployments_in(told) if one.get("outcome") == "succeeded"}
        if ends is not None and isinstance(certificate, str):
            for gateway in there.intersection(to.gateway for to in certificates[certificate].deployments):
                self._book(self.expiry.labels(certificate, gateway), ends, at)

    def _book(self, gauge: Gauge, shown: datetime, at: datetime) -> None:
        known = self._told_at.get(gauge)
        if known is None or at >= known:
            self._told_at[gauge] = at
            gauge.set(shown.timestamp())
