"""Whether traces are wanted, by the variables that OpenTelemetry has for all programs: there is no setting of ours."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from worker.settings.errors import SettingsError
from worker.settings.listening import is_loopback

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HEADERS: Final = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_EXPORTERS: Final = "OTEL_TRACES_EXPORTER"
_OURS: Final = "http/protobuf"


@dataclass(frozen=True, slots=True)
class CollectorFiles:
    """By which the collector is known, and we to it."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


def collector_files(environ: Mapping[str, str]) -> CollectorFiles:
    """As the variables of traces say, or else those of all signals."""

    def named(what: str) -> Path | None:
        told = environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{what}") or environ.get(f"OTEL_EXPORTER_OTLP_{what}")
        return Path(told) if told else None

    return CollectorFiles(named("CERTIFICATE"), named("CLIENT_CERTIFICATE"), named("CLIENT_KEY"))


def are_traces_wanted(environ: Mapping[str, str]) -> bool:
    """Where a collector is named, or the exporter is.

    Raises SettingsError for an exporter that is not there, and for a key that would be sent in the open.
    """
    exporter = environ.get(_EXPORTERS, "").strip().lower()
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    if not exporter and not any(environ.get(name) for name in _ENDPOINTS):
        return False
    problems = [] if exporter in ("", "otlp") else [f"{_EXPORTERS}: otlp and none are there"]
    told = _first(environ, _PROTOCOLS)
    if told is not None and environ[told].strip().lower() != _OURS:
        problems.append(f"{told}: only {_OURS} is there")
    problems += _in_the_open(environ)
    if problems:
        raise SettingsError(problems)
    return True


def _in_the_open(environ: Mapping[str, str]) -> Iterator[str]:
    """What the collector knows us by, where everybody on the way could read it."""
    endpoint = _first(environ, _ENDPOINTS)
    if endpoint is None:
        return  # the exporter's own is loopback
    try:
        parts = urlsplit(environ[endpoint].strip())
        host = parts.hostname or ""
    except ValueError:
        yield f"{endpoint}: not a URL"
        return
    if parts.scheme != "http" or is_loopback(host):
        return
    if "@" in parts.netloc:
        yield f"{endpoint}: its user and password would be sent in the open: https:// is the form, http:// for loopback"
    if (headers := _first(environ, _HEADERS)) is not None:
        yield f"{endpoint}: {headers} would be sent in the open: https:// is the form, http:// for loopback"


def _first(environ: Mapping[str, str], names: Sequence[str]) -> str | None:
    """As the exporter chooses: what is empty is not there."""
    return next((name for name in names if environ.get(name)), None)
