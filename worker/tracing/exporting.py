"""Spans by OpenTelemetry, as the standard OTEL_* variables say. Needs the extra `tracing`."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from worker import __version__
from worker.core.errors import RotationError
from worker.tracing import Call, CallSpan, Span, Subject, within

_W3C: Final = TraceContextTextMapPropagator()
_FIRST_REFUSAL: Final = 400
_PATIENCE: Final = 5.0
"""Seconds for what is left to be sent at the end; after that nothing more is begun."""
_BAD: Final = frozenset({"failed"})

Told = str | int | float | None


@dataclass(frozen=True, slots=True)
class _Call:
    span: trace.Span

    def answered(self, status: int) -> None:
        self.span.set_attribute("http.response.status_code", status)
        if status >= _FIRST_REFUSAL:
            _fail(self.span, str(status))


@dataclass(frozen=True, slots=True)
class _Rotation:
    tracer: trace.Tracer
    span: trace.Span
    context: Context

    @property
    def traceparent(self) -> str | None:
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, self.context)
        return carrier.get("traceparent")

    @property
    def trace_id(self) -> str:
        return trace.format_trace_id(self.span.get_span_context().trace_id)

    @contextmanager
    def call(self, call: Call) -> Iterator[CallSpan]:
        name, told = f"{call.method} {call.operation}", _known(_of_call(call))
        span = self.tracer.start_span(name, self.context, SpanKind.CLIENT, told)
        with _ending(span):
            yield _Call(span)

    def named(self, renewal_id: str | None) -> None:
        self.span.set_attributes(_known({"rotation.renewal_id": renewal_id}))

    def ended(self, outcome: str, reason: str | None) -> None:
        self.span.set_attributes(_known({"rotation.outcome": outcome, "rotation.reason": reason}))
        if outcome in _BAD:
            _fail(self.span, reason or outcome)


@dataclass(frozen=True, slots=True)
class Exporting:
    """One provider, which no other part of the process shares."""

    provider: TracerProvider
    exporter: SpanExporter

    @contextmanager
    def rotation(self, traceparent: str | None, subject: Subject) -> Iterator[Span]:
        before = _W3C.extract({} if traceparent is None else {"traceparent": traceparent}, Context())
        tracer = self.provider.get_tracer("rotation-worker", __version__)
        told = _known(_of_rotation(subject))
        span = tracer.start_span("rotation", before, SpanKind.CONSUMER, told)
        rotation = _Rotation(tracer, span, trace.set_span_in_context(span, before))
        with _ending(span), within(rotation):
            yield rotation

    def close(self) -> None:
        # A collector that takes its time is not waited for until a service manager kills the worker.
        giving_up = threading.Timer(_PATIENCE, self.exporter.shutdown)
        giving_up.start()
        self.provider.shutdown()
        giving_up.cancel()


def exporting(exporter: SpanExporter) -> Exporting:
    """As `worker.tracing.sending` does it, or another."""
    named = Resource({"service.name": "rotation-worker", "service.version": __version__})
    # What the environment says of itself goes before.
    provider = TracerProvider(resource=named.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Exporting(provider, exporter)


def _of_rotation(subject: Subject) -> Mapping[str, Told]:
    """Without the renewal's id: what was exported cannot be taken back (`Span.named`)."""
    return {
        "messaging.operation.type": "process",
        "rotation.certificate": subject.certificate,
        "rotation.attempt": subject.attempt,
    }


def _of_call(call: Call) -> Mapping[str, Told]:
    """By the conventions for HTTP clients, but without the address: it holds ids."""
    return {
        "http.request.method": call.method,
        "http.request.resend_count": call.resends or None,
        "server.address": call.host,
        "server.port": call.port,
        "rotation.operation": call.operation,
        "rotation.gateway": call.gateway,
        "rotation.wait_seconds": round(call.waited, 3),
    }


def _known(told: Mapping[str, Told]) -> Mapping[str, str | int | float]:
    return {name: value for name, value in told.items() if value is not None}


@contextmanager
def _ending(span: trace.Span) -> Iterator[None]:
    """Of an exception its kind alone is told: its text may quote the input."""
    try:
        yield
    except RotationError as error:
        _fail(span, error.reason)
        raise
    except asyncio.CancelledError:
        _fail(span, "cancelled")
        raise
    except BaseException as error:
        _fail(span, type(error).__name__)
        raise
    finally:
        span.end()


def _fail(span: trace.Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, kind))
