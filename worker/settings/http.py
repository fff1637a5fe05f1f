"""Where the worker is looked at over HTTP, and by whom."""

from pathlib import Path

from worker.settings.base import Model


class Http(Model):
    """`[http]`. Whatever guards it, /livez and /readyz are open to everybody, and tell no details then."""

    listen: str = "127.0.0.1:8080"
    """`HOST:PORT` of the probes, the metrics and the page. Elsewhere than on loopback something has to guard it."""
    token_file: Path | None = None
    """What is asked for as a bearer token, or as the password of whoever looks with a browser."""
    cert_file: Path | None = None
    """With `key_file`: TLS. Read again when they change."""
    key_file: Path | None = None
    """The key of `cert_file`."""
    client_ca_file: Path | None = None
    """Whoever has a certificate of these CAs needs no token."""
    only_probes: bool = False
    """Where others can reach it and nothing guards it, nothing else is served than the probes."""

    @property
    def is_guarded(self) -> bool:
        return self.token_file is not None or self.client_ca_file is not None
