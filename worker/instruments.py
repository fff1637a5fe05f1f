"""The metrics of a worker: names, units and labels, as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric, before it is made; `buckets` are a histogram's."""

    kind: type[Counter] | type[Gauge] | type[Histogram]
    name: str
    meaning: str
    labels: Sequence[str] = ()
    buckets: Sequence[float] = ()

    def made(self, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
        if self.kind is Histogram:
            return Histogram(self.name, self.meaning, self.labels, buckets=self.buckets, registry=registry)
        return self.kind(self.name, self.meaning, self.labels, registry=registry)


_METRICS: Final[Mapping[str, Instrument]] = {
    "renewals": Instrument(Counter, "rotation_renewals", "Renewals that ended, by outcome", ("outcome", "reason")),
    "duration": Instrument(
        Histogram,
        "rotation_duration_seconds",
        "Time from delivery to outcome",
        buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600),
    ),
    "served": Instrument(
        Histogram,
        "rotation_served_seconds",
        "Time from the renewal to where it is served",
        buckets=(1, 5, 15, 60, 300, 900, 3600, 14400, 86400),
    ),
    "bindings": Instrument(Counter, "rotation_bindings", "Bindings, by what became of them", ("gateway", "outcome")),
    "last_success": Instrument(
        Gauge,
        "rotation_last_success_timestamp_seconds",
        "When a rotation last succeeded: all bound, and verified where that is asked for; 0 for never",
    ),
    "in_flight": Instrument(Gauge, "rotation_in_flight", "Rotations under way"),
    "expiry": Instrument(
        Gauge,
        "rotation_certificate_expiry_timestamp_seconds",
        "When the certificate that is served expires; where it may be one of two, the first of them",
        ("certificate", "gateway"),
    ),
    "sweeps": Instrument(
        Counter, "rotation_sweeps", "Certificates looked at by the sweep, by what was found", ("state",)
    ),
    "retirements": Instrument(
        Counter,
        "rotation_retirements",
        "Old stored certificates deleted after they had been kept for as long as they should",
        ("gateway",),
    ),
    "deliveries": Instrument(Counter, "rotation_deliveries", "Renewals taken from the queue, again and again counted"),
    "connects": Instrument(Counter, "rotation_broker_connects", "Tries to connect to the broker and consume"),
    "connected": Instrument(Gauge, "rotation_broker_connected", "1 while this worker consumes or stands by"),
    "ready": Instrument(Gauge, "rotation_ready", "Renewals in the queue that no worker has been given"),
    "room": Instrument(Gauge, "rotation_room", "Renewals that this worker would take now, beside those in its hand"),
    "parked": Instrument(Gauge, "rotation_parked", "Renewals that wait for their next try"),
    "dead": Instrument(Gauge, "rotation_dead", "Renewals in the dead queue, given up"),
    "reloads": Instrument(Counter, "rotation_settings_reloads", "Settings read again, by what came of it", ("state",)),
    "consumer_active": Instrument(Gauge, "rotation_consumer_active", "1 while this worker is the active consumer"),
    "gateway_calls": Instrument(
        Counter, "rotation_gateway_calls", "HTTP calls sent, also for its tokens", ("gateway", "operation", "status")
    ),
    "gateway_wait": Instrument(
        Histogram,
        "rotation_gateway_wait_seconds",
        "Time a call waited for its turn under the gateway's limits",
        ("gateway",),
        buckets=(0.01, 0.1, 1, 10, 60, 300, 3600),
    ),
    "remaining": Instrument(
        Gauge,
        "rotation_remaining_seconds",
        "Estimate until the rotations under way at a gateway have ended, by its limits",
        ("gateway",),
    ),
    "budget": Instrument(
        Gauge,
        "rotation_gateway_budget_calls",
        "Calls that a gateway takes in any span of so many seconds: by a window, as guessed, or as told",
        ("gateway", "window_seconds", "source"),
    ),
    "budget_used": Instrument(
        Gauge,
        "rotation_gateway_budget_used_calls",
        "Calls of the last span, those under way included",
        ("gateway", "window_seconds", "source"),
    ),
    "gateway_up": Instrument(
        Gauge,
        "rotation_gateway_up",
        "0 while a gateway does not answer and is left alone; 1 again where nothing has needed it for two hours",
        ("gateway",),
    ),
    "gateway_held": Instrument(
        Gauge,
        "rotation_gateway_held_seconds",
        "Time until anything is sent to a gateway that has asked to be left alone",
        ("gateway",),
    ),
}


def instruments(registry: CollectorRegistry) -> Mapping[str, Counter | Gauge | Histogram]:
    """All of them, by the name of the attribute that holds them."""
    return {name: one.made(registry) for name, one in _METRICS.items()}
