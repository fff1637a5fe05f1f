"""docs/metrics.md: every metric, from the registry that `/metrics` shows."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from worker.telemetry import Metrics

_INTRODUCTION: Final = """\
# Metrics

Written by `make docs` from the registry that `GET /metrics` shows. Labels are bounded: by what the settings name, and
by words that the code knows. `reason` is one of the [reasons](reasons.md), `operation` a call's name as in a
[plan](plan.md). Times are in seconds, timestamps in seconds since 1970. How to read them together:
[failing.md](failing.md#what-it-says-of-itself).

| metric | type | labels | what it is |
|---|---|---|---|
"""


def collectors() -> Iterator[MetricWrapperBase]:
    """Of the worker itself, in the order of their names."""
    found = {id(one): one for one in Metrics().registry._names_to_collectors.values()}
    own = (one for one in found.values() if isinstance(one, MetricWrapperBase))
    yield from sorted(own, key=lambda one: one._name)


def _row(metric: MetricWrapperBase) -> str:
    labels = ", ".join(f"`{name}`" for name in metric._labelnames)
    name = f"{metric._name}_total" if metric._type == "counter" else metric._name
    return f"| `{name}` | {metric._type} | {labels} | {metric._documentation} |\n"


def document() -> str:
    return _INTRODUCTION + "".join(_row(one) for one in collectors())
