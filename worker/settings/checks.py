"""What no single setting shows: addresses that would leak, names that lead nowhere, one thing configured twice."""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from worker.core.names import is_domain
from worker.settings.model import (
    Broker,
    ByCloud,
    Certificate,
    Deployment,
    Domain,
    Endpoint,
    GatewayCommon,
    HuaweiApig,
    PasswordAuth,
    Settings,
)

_APIG_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{3,49}")
_ADDRESS: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}")
_STRATEGIES: Final = {"huawei_apig": {"in_place", "per_domain"}, "bycloud": {"in_place", "rebind", "replace"}}
_AMQP_QUERY: Final = frozenset({"heartbeat", "name"})


def problems_in(settings: Settings) -> Sequence[str]:
    """Every problem, with the key it is about."""
    return [
        *_broker(settings.broker),
        *_parking(settings.retry.parking_seconds),
        *_listen(settings.http.listen),
        *(problem for name, gateway in settings.gateways.items() for problem in _gateway(f"gateways.{name}", gateway)),
        *(problem for name, one in settings.certificates.items() for problem in _certificate(settings, name, one)),
        *_stored_twice(settings),
    ]


def _broker(broker: Broker) -> Iterator[str]:
    if broker.url_file is not None:
        return  # read, and checked, when it is used
    yield from broker_url_problems(broker.url, insecure=broker.insecure)


def broker_url_problems(url: str, *, insecure: bool) -> Iterator[str]:
    """What is wrong with a broker URL; no part of it is shown."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        if not url.startswith("sqlite:///") or len(url) <= len("sqlite:///"):
            yield "broker.url: sqlite:///PATH is the form"
        return
    if parts.scheme not in ("amqp", "amqps") or not parts.hostname:
        yield "broker.url: not an amqp://, amqps:// or sqlite:/// URL"
        return
    if parts.scheme == "amqp" and not insecure and not _is_loopback(parts.hostname):
        yield "broker.url: amqp:// to a host that is not loopback: use amqps://, or set broker.insecure"
    unknown = sorted({key for key, _ in parse_qsl(parts.query, keep_blank_values=True)} - _AMQP_QUERY)
    if unknown:
        yield f"broker.url: query keys that are not allowed: {', '.join(unknown)}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parking(steps: Sequence[float]) -> Iterator[str]:
    if list(steps) != sorted(set(steps)):
        yield "retry.parking_seconds: must grow from step to step"


def _listen(listen: str) -> Iterator[str]:
    if _ADDRESS.fullmatch(listen) is None:
        yield "http.listen: HOST:PORT is the form"


def _gateway(place: str, gateway: GatewayCommon) -> Iterator[str]:
    yield from _endpoint(f"{place}.endpoint", gateway.endpoint, insecure=gateway.insecure)
    if isinstance(gateway, HuaweiApig) and isinstance(gateway.auth, PasswordAuth):
        yield from _endpoint(f"{place}.auth.iam_endpoint", gateway.auth.iam_endpoint, insecure=gateway.insecure)


def _endpoint(place: str, endpoint: str, *, insecure: bool) -> Iterator[str]:
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or "@" in parts.netloc:
        yield f"{place}: not an https:// address"
    elif parts.scheme == "http" and not insecure and not _is_loopback(host):
        yield f"{place}: http:// to a host that is not loopback: use https://, or set insecure"


def _certificate(settings: Settings, name: str, certificate: Certificate) -> Iterator[str]:
    place = f"certificates.{name}"
    for number, deployment in enumerate(certificate.deployments):
        yield from _deployment(settings, f"{place}.deployments.{number}", deployment)
    for number, endpoint in enumerate(certificate.verify_.endpoints):
        address = endpoint.address if isinstance(endpoint, Endpoint) else endpoint
        if _ADDRESS.fullmatch(address) is None:
            yield f"{place}.verify.endpoints.{number}: HOST:PORT is the form"
    if certificate.lineage is not None and not settings.trust.roots.files:
        yield f"{place}.lineage: trust.roots.files names no root that it could be below"


def _deployment(settings: Settings, place: str, deployment: Deployment) -> Iterator[str]:
    gateway = settings.gateways.get(deployment.gateway)
    if gateway is None:
        yield f"{place}.gateway: there is no gateway of that name"
        return
    if deployment.strategy == "blue_green":
        yield f"{place}.strategy: blue_green is not available in this version"
    elif deployment.strategy not in _STRATEGIES[gateway.kind]:
        yield f"{place}.strategy: not one of a {gateway.kind} gateway's"
    if deployment.certificate_id is None and deployment.name is None:
        yield f"{place}: needs certificate_id or name"
    yield from (_bycloud(place, deployment) if isinstance(gateway, ByCloud) else _apig(place, deployment))


def _bycloud(place: str, deployment: Deployment) -> Iterator[str]:
    if deployment.domains is not None:
        yield f"{place}.domains: a ByCloud deployment has listeners"
    if not deployment.listeners:
        yield f"{place}.listeners: names no listener"
    if deployment.strategy in ("rebind", "in_place") and deployment.certificate_id is None:
        yield f"{place}.certificate_id: {deployment.strategy} needs it"


def _apig(place: str, deployment: Deployment) -> Iterator[str]:
    if deployment.name is not None and _APIG_NAME.fullmatch(deployment.name) is None:
        yield f"{place}.name: 4 to 50 letters, digits and underscores, the first a letter"
    if deployment.listeners:
        yield f"{place}.listeners: an APIG deployment has domains"
    domains = deployment.domains
    if domains is None or (not isinstance(domains, str) and not domains):
        yield f'{place}.domains: needs names, or "attached"'
        return
    if isinstance(domains, str):
        if deployment.strategy == "per_domain":
            yield f"{place}.domains: per_domain needs instance_id, group_id and domain_id of each"
        return
    for number, domain in enumerate(domains):
        yield from _domain(f"{place}.domains.{number}", domain, is_single=deployment.strategy == "per_domain")
    if deployment.strategy == "per_domain" and deployment.name is None:
        yield f"{place}.name: per_domain needs it"


def _domain(place: str, domain: str | Domain, *, is_single: bool) -> Iterator[str]:
    entry = Domain(domain=domain) if isinstance(domain, str) else domain
    ids = (entry.instance_id, entry.group_id, entry.domain_id)
    if is_single and None in ids:
        yield f"{place}: needs instance_id, group_id and domain_id"
    if not is_single and any(ids):
        yield f"{place}: ids are for per_domain; here belongs domain, perhaps with instance_ids"
    if not is_single and entry.domain is None:
        yield f"{place}.domain: is missing"
    if entry.domain is not None and not is_domain(entry.domain.lower()):
        reason = "not in ASCII (write the xn-- form)" if not entry.domain.isascii() else "not a domain name"
        yield f"{place}: {reason}"


def _stored_twice(settings: Settings) -> Iterator[str]:
    """Two deployments of one stored certificate would undo each other's work for ever."""
    seen: dict[tuple[str, str], str] = {}
    for name, certificate in settings.certificates.items():
        for number, deployment in enumerate(certificate.deployments):
            place = f"certificates.{name}.deployments.{number}"
            for key in ("certificate_id", "name"):
                value = getattr(deployment, key)
                if value is None:
                    continue
                first = seen.setdefault((deployment.gateway, f"{key}={value}"), place)
                if first != place:
                    yield f"{place}.{key}: {first} has the same stored certificate"
