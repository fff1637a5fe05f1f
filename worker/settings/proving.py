"""What may be wrong with where it is looked at what clients are served."""

import re
from collections.abc import Iterator
from typing import Final

from worker.core.names import is_domain, uncovered
from worker.settings.verify import Endpoint, Verify

_ADDRESS: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")
_LAST_PORT: Final = 65535


def is_host_and_port(text: str, *, first_port: int = 1) -> bool:
    found = _ADDRESS.fullmatch(text)
    return found is not None and first_port <= int(found[1]) <= _LAST_PORT


def verify_problems(place: str, verify: Verify) -> Iterator[str]:
    for number, endpoint in enumerate(verify.endpoints):
        yield from endpoint_problems(f"{place}.endpoints.{number}", endpoint)
    if verify.domains_at is not None and not is_host_and_port(verify.domains_at):
        yield f"{place}.domains_at: HOST:PORT is the form"
    for wildcard, host in verify.hosts.items():
        yield from _host(f"{place}.hosts", wildcard.lower(), host.lower())
    if not verify.domains:
        without = [key for key, said in (("domains_at", verify.domains_at), ("hosts", verify.hosts)) if said]
        yield from (f"{place}.{key}: only with domains = true" for key in without)


def proof_problems(place: str, verify: Verify, time_slice: float) -> Iterator[str]:
    """Of a certificate that anything is asked for. What is not proven within `time_slice` is looked at all anew."""
    if verify.within_seconds > time_slice / 2:
        yield f"{place}.within_seconds: longer than half of retry.slice_seconds: no proof might come to its end"


def _host(place: str, wildcard: str, host: str) -> Iterator[str]:
    if not wildcard.startswith("*.") or not is_domain(wildcard):
        yield f"{place}: has a key that is no wildcard"
    elif host.startswith("*") or uncovered([host], [wildcard]):
        yield f"{place}.{wildcard}: not a name that it covers"


def endpoint_problems(place: str, endpoint: str | Endpoint) -> Iterator[str]:
    if not is_host_and_port(endpoint.address if isinstance(endpoint, Endpoint) else endpoint):
        yield f"{place}: HOST:PORT is the form"
    if isinstance(endpoint, Endpoint) and not is_domain(endpoint.server_name.lower()):
        yield f"{place}.server_name: not a domain name"
