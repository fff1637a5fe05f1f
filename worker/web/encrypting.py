"""TLS of the listening socket: its files are read again when they change, without a restart."""

import ssl
from dataclasses import dataclass, field

import structlog

from worker.settings import SettingsError
from worker.settings.files import problem_of_secret
from worker.settings.http import Http
from worker.tls import cause, check

_log = structlog.get_logger()
_PLACES = "http.cert_file, key_file, client_ca_file"


@dataclass(slots=True)
class Encrypting:
    """Contexts for one socket's connections."""

    http: Http
    _files: object = None
    _context: ssl.SSLContext | None = field(default=None, repr=False)

    def context(self) -> ssl.SSLContext | None:
        """None where there is no TLS. Raises SettingsError where the files cannot be used."""
        if self.http.cert_file is None:
            return None
        try:
            self._files, self._context = self._seen(), self._made()
        except (OSError, ValueError) as error:
            raise SettingsError([f"{_PLACES}: cannot be used ({cause(error)})"]) from None
        return self._context

    def _made(self) -> ssl.SSLContext:
        http = self.http
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        for file in (http.cert_file, http.client_ca_file):
            if file is not None:
                check(file)
        if http.key_file is not None:
            check(http.key_file, problem_of_secret)
        if http.cert_file is not None:
            # Asked for a passphrase, it would read from the terminal.
            context.load_cert_chain(http.cert_file, http.key_file, password="")
        if http.client_ca_file is not None:
            context.load_verify_locations(http.client_ca_file)
            context.verify_mode = ssl.CERT_OPTIONAL  # whoever probes has none
        context.sni_callback = self._renew
        return context

    def _renew(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called at every handshake, whether a name is sent in it or not."""
        try:
            seen = self._seen()
            if seen != self._files:
                self._files = seen
                self._context = self._made()
                _log.info("http.certificate_renewed")
        except (OSError, ValueError) as error:
            _log.error("http.certificate_unreadable", error=cause(error))
        if self._context is not None:
            connection.context = self._context

    def _seen(self) -> object:
        files = (self.http.cert_file, self.http.key_file, self.http.client_ca_file)
        # The last one moves with whose it is and who may read it, too.
        seen = [file.stat() for file in files if file is not None]
        return [(one.st_ino, one.st_mtime_ns, one.st_size, one.st_ctime_ns) for one in seen]
