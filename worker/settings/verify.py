"""Where it is looked at what clients are served."""

from pydantic import Field

from worker.settings.base import Model, Seconds


class Endpoint(Model):
    """`HOST:PORT`, and the name to ask for there."""

    address: str
    """`HOST:PORT`; every address that the host has is asked."""
    server_name: str
    """Which is asked for."""


class Verify(Model):
    """`[certificates.NAME.verify]`."""

    endpoints: tuple[str | Endpoint, ...] = ()
    """`HOST:PORT`, where the host is asked for; or both apart."""
    domains: bool = False
    """Asks every attached domain for itself, at port 443 of all its addresses."""
    domains_at: str | None = None
    """Where the domains are asked for instead: an ingress behind a CDN, a private gateway."""
    hosts: dict[str, str] = Field(default_factory=dict)
    """By the wildcard that covers it, the name that is asked for in its stead."""
    within_seconds: Seconds = 60
    """Until each serves the new certificate. At most half of `retry.slice_seconds`."""
