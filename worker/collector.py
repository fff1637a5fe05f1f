"""TLS to the collector of traces: verified as everywhere, its files read again when they have changed."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from worker.settings.tracing import CollectorFiles
from worker.tls import Identity, cause, verifying

_log = structlog.get_logger()
_PLACES: Final = "OTEL_EXPORTER_OTLP_CERTIFICATE, CLIENT_CERTIFICATE, CLIENT_KEY"


@dataclass(slots=True)
class Collector:
    """Whoever sends to it asks for each request, from whatever thread."""

    files: CollectorFiles
    _seen: object = None
    _context: ssl.SSLContext | None = field(default=None, repr=False)

    def context(self) -> ssl.SSLContext:
        """The last one that could be made. OSError where none ever could: the log says why, once."""
        seen = [_stamp(file) for file in self._named()]
        if seen != self._seen:
            self._seen = seen
            try:
                self._context = verifying(self.files.ca_file, self._identity())
            except OSError as error:
                _log.warning("tracing.files_refused", error=f"{_PLACES}: cannot be used ({cause(error)})")
        if self._context is None:
            raise OSError("the files for the collector cannot be used")
        return self._context

    def _identity(self) -> Identity | None:
        """The key may stand in the certificate's file."""
        cert_file = self.files.cert_file
        return None if cert_file is None else Identity(cert_file, self.files.key_file or cert_file)

    def _named(self) -> Sequence[Path]:
        files = (self.files.ca_file, self.files.cert_file, self.files.key_file)
        return [file for file in files if file is not None]


def _stamp(file: Path) -> tuple[int, ...] | None:
    """Moves with whose it is and who may read it, too."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
