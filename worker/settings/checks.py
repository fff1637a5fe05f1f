"""What no single setting shows: addresses that would leak, names that lead nowhere, one thing configured twice."""

import re
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from worker.core.names import is_domain
from worker.core.places import is_below
from worker.settings.base import VAULT_PATH
from worker.settings.gateways import AkSkAuth, ApiKeyAuth, ByCloud, Gateway, PasswordAuth
from worker.settings.listening import http_problems, is_loopback
from worker.settings.model import Broker, Certificate, Deployment, Domain, Lineage, Publish, Settings, Trust
from worker.settings.moving import moving_problems
from worker.settings.proving import endpoint_problems, proof_problems, verify_problems
from worker.settings.timed import window_problems
from worker.settings.vault import Vault, VaultAppRole

_APIG_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{3,49}")
_VAULT_PATH: Final = re.compile(VAULT_PATH)
_RELATIVE: Final = "write it relative to one of trust.roots.files"
_URL: Final = re.compile(r"[\x21-\x7e]+")
EMBEDDED: Final = "sqlite:///"
# Uploads of `per_domain` are told apart by so many characters of their deployment's name.
_TOLD_APART: Final = 24
_CLAIMED: Final = {"listeners": "listener, which has one default certificate: the others need sni = true"}
_STRATEGIES: Final = {
    "huawei_apig": {"in_place", "blue_green", "per_domain"},
    "bycloud": {"in_place", "rebind", "replace"},
}
_AMQP_QUERY: Final = frozenset({"heartbeat", "name"})


def problems_in(settings: Settings) -> Sequence[str]:
    """Every problem, with the key it is about."""
    return [
        *_broker(settings.broker),
        *_parking(settings.retry.parking_seconds),
        *http_problems(settings.http),
        *_publish(settings.publish),
        *_vault(settings.trust.vault),
        *_previous(settings.trust),
        *(problem for name, gateway in settings.gateways.items() for problem in _gateway(f"gateways.{name}", gateway)),
        *(problem for name, one in settings.certificates.items() for problem in _certificate(settings, name, one)),
        *_claimed_twice(settings),
    ]


def _publish(publish: Publish) -> Iterator[str]:
    if publish.producer_key is not None and publish.producer is None:
        yield "publish.producer: missing: producer_key signs in whose name?"


def _vault(vault: Vault | None) -> Iterator[str]:
    if vault is None:
        return
    yield from _endpoint("trust.vault.address", vault.address, insecure=vault.insecure)
    if isinstance(vault.auth, VaultAppRole) and (vault.auth.role_id is None) == (vault.auth.role_id_file is None):
        yield "trust.vault.auth: needs role_id or role_id_file, and not both"


def _previous(trust: Trust) -> Iterator[str]:
    previous = trust.previous
    if previous is None:
        return
    if (previous.folder is None) == (previous.vault is None):
        yield "trust.previous: needs folder or vault, and not both"
    if previous.vault is not None and trust.vault is None:
        yield "trust.previous.vault: there is no trust.vault"


def _broker(broker: Broker) -> Iterator[str]:
    if broker.url_file is not None:
        return  # read, and checked, when it is used
    yield from broker_url_problems(broker.url, broker)


def broker_url_problems(url: str, broker: Broker) -> Iterator[str]:
    """What is wrong with a broker URL; no part of it is shown."""
    if url.startswith("sqlite:"):
        if not url.startswith(EMBEDDED) or url == EMBEDDED:
            yield f"broker.url: {EMBEDDED}PATH is the form"
        return
    parts = _split(url)
    if parts is None or parts.scheme not in ("amqp", "amqps") or parts.fragment:
        yield "broker.url: not an amqp://, amqps:// or sqlite:/// URL"
        return
    if parts.scheme == "amqp" and not broker.insecure and not is_loopback(parts.hostname or ""):
        yield "broker.url: amqp:// to a host that is not loopback: use amqps://, or set broker.insecure"
    if broker.cert_file is not None and not parts.username and parts.password is None:
        # The library would say `guest`, which is not whose certificate it is.
        yield "broker.url: names no user, which the one of cert_file has to be"
    unknown = {key for key, _ in parse_qsl(parts.query, keep_blank_values=True)} - _AMQP_QUERY
    if unknown:
        allowed = ", ".join(sorted(_AMQP_QUERY))
        yield f"broker.url: {len(unknown)} query keys that are not allowed; these are: {allowed}"


def sends_password(url: str) -> bool:
    """Whether there is a password in a broker's URL that is for another host."""
    parts = _split(url)
    return parts is not None and bool(parts.password) and not is_loopback(parts.hostname or "")


def _split(url: str) -> SplitResult | None:
    """None for what has no host, a port that is none, or characters that the reader would silently drop."""
    if _URL.fullmatch(url) is None:
        return None
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if is_whole else None


def _parking(steps: Sequence[float]) -> Iterator[str]:
    if list(steps) != sorted(set(steps)):
        yield "retry.parking_seconds: must grow from step to step"


def _gateway(place: str, gateway: Gateway) -> Iterator[str]:
    yield from _endpoint(f"{place}.endpoint", gateway.endpoint, insecure=gateway.insecure)
    iam = gateway.auth.iam_endpoint if isinstance(gateway.auth, PasswordAuth) else None
    if gateway.proxy is not None:
        yield from _proxy(f"{place}.proxy", gateway.proxy, gateway.endpoint, iam)
    yield from _pair(f"{place}.auth", gateway)
    if iam is not None:
        yield from _endpoint(f"{place}.auth.iam_endpoint", iam, insecure=gateway.insecure)


def _pair(place: str, gateway: Gateway) -> Iterator[str]:
    match gateway.auth:
        case AkSkAuth() as auth if (auth.access_key is None) == (auth.access_key_file is None):
            yield f"{place}: needs access_key or access_key_file, and not both"
        case ApiKeyAuth() as auth if (auth.key_id is None) == (auth.key_id_file is None):
            yield f"{place}: needs key_id or key_id_file, and not both"


def _proxy(place: str, proxy: str, endpoint: str, iam: str | None) -> Iterator[str]:
    parts = _split(proxy)
    if parts is None or parts.scheme != "http" or "@" in parts.netloc or parts.path.strip("/") or parts.query:
        yield f"{place}: not http://HOST:PORT"
    if not endpoint.startswith("https://"):
        yield f"{place}: only for an endpoint with https://, because it reads what is no TLS"
    if iam is not None and not iam.startswith("https://"):
        yield f"{place}: only for an auth.iam_endpoint with https://, because it would read the password"


def _endpoint(place: str, endpoint: str, *, insecure: bool) -> Iterator[str]:
    parts = _split(endpoint)
    is_plain = parts is not None and not (parts.query or parts.fragment or "@" in parts.netloc)
    if parts is None or not is_plain or parts.scheme not in ("http", "https"):
        yield f"{place}: not an https:// address"
    elif parts.scheme == "http" and not insecure and not is_loopback(parts.hostname or ""):
        yield f"{place}: http:// to a host that is not loopback: use https://, or set insecure"


def _certificate(settings: Settings, name: str, certificate: Certificate) -> Iterator[str]:
    place = f"certificates.{name}"
    for number, deployment in enumerate(certificate.deployments):
        yield from _deployment(settings, f"{place}.deployments.{number}", deployment)
    yield from verify_problems(f"{place}.verify", certificate.verify_)
    if _is_looked_at(certificate):
        yield from proof_problems(f"{place}.verify", certificate.verify_, settings.retry.slice_seconds)
    for number, one in enumerate(certificate.names):
        if not is_domain(one.lower()):
            yield f"{place}.names.{number}: not a domain name"
    if certificate.lineage is not None:
        yield from _lineage(f"{place}.lineage", certificate.lineage, settings.trust.roots.files)
    if certificate.files_below is not None:
        yield from _files_below(place, certificate.files_below, certificate.lineage)
    if certificate.keep_previous:
        yield from _kept(f"{place}.keep_previous", settings.trust, name, certificate)
    yield from window_problems(place, certificate, settings.retry.parking_seconds)


def _is_looked_at(certificate: Certificate) -> bool:
    """Whether anything is asked for what it serves."""
    listeners = (one for deployment in certificate.deployments for one in deployment.listeners)
    said = certificate.verify_
    return bool(said.endpoints) or said.domains or any(one.endpoint is not None for one in listeners)


def _kept(place: str, trust: Trust, name: str, certificate: Certificate) -> Iterator[str]:
    if trust.previous is None:
        yield f"{place}: needs trust.previous, which says where"
    elif trust.previous.vault is not None and _VAULT_PATH.fullmatch(name) is None:
        yield f"{place}: the certificate's name can be no path in Vault"
    if not trust.recipient_keys:
        yield f"{place}: needs trust.recipient_keys, to the newest of which it is sealed"
    if all(deployment.strategy != "in_place" for deployment in certificate.deployments):
        yield f"{place}: no deployment is in_place, and at others nothing is put back from here"


def _files_below(place: str, folder: str, lineage: Lineage | None) -> Iterator[str]:
    if not is_below(folder, "") or not PurePosixPath(folder).parts:
        yield f"{place}.files_below: not a path below a root: {_RELATIVE}"
    elif lineage is not None and not all(is_below(path, folder) for path in (lineage.chain, lineage.private_key)):
        yield f"{place}.lineage: not below files_below"


def _lineage(place: str, lineage: Lineage, roots: Sequence[Path]) -> Iterator[str]:
    if not roots:
        yield f"{place}: trust.roots.files names no root that it could be below"
    for key in ("chain", "private_key"):
        path = Path(getattr(lineage, key))
        if path.is_absolute() or ".." in path.parts:
            yield f"{place}.{key}: not a path below a root: {_RELATIVE}"


def _deployment(settings: Settings, place: str, deployment: Deployment) -> Iterator[str]:
    gateway = settings.gateways.get(deployment.gateway)
    if gateway is None:
        yield f"{place}.gateway: there is no gateway of that name"
        return
    if deployment.strategy not in _STRATEGIES[gateway.kind]:
        yield f"{place}.strategy: not one of a {gateway.kind} gateway's"
    if deployment.certificate_id is None and deployment.name is None:
        yield f"{place}: needs certificate_id or name"
    yield from moving_problems(place, deployment)
    yield from (_bycloud(place, deployment) if isinstance(gateway, ByCloud) else _apig(place, deployment))


def _bycloud(place: str, deployment: Deployment) -> Iterator[str]:
    if deployment.domains is not None:
        yield f"{place}.domains: a ByCloud deployment has listeners"
    if not deployment.listeners:
        yield f"{place}.listeners: names no listener"
    yield from _twice(f"{place}.listeners", [[(one.id.lower(), one.sni)] for one in deployment.listeners])
    for number, one in enumerate(deployment.listeners):
        if one.endpoint is not None:
            yield from endpoint_problems(f"{place}.listeners.{number}.endpoint", one.endpoint)
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
    yield from _twice(f"{place}.domains", [_places(domain) for domain in domains])
    if deployment.strategy == "per_domain" and deployment.name is None:
        yield f"{place}.name: per_domain needs it"


def _places(domain: str | Domain) -> Sequence[Hashable]:
    """Where a listed domain is; names know no case."""
    entry = Domain(domain=domain) if isinstance(domain, str) else domain
    if entry.domain_id is not None:
        return [(entry.instance_id, entry.group_id, entry.domain_id)]
    return [((entry.domain or "").lower(), instance_id) for instance_id in entry.instance_ids or (None,)]


def _twice(place: str, entries: Sequence[Sequence[Hashable]]) -> Iterator[str]:
    """By the entry that repeats what an earlier one names."""
    seen: set[Hashable] = set()
    for number, places in enumerate(entries):
        if not seen.isdisjoint(places):
            yield f"{place}.{number}: stands there twice"
        seen.update(places)


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


def _claimed_twice(settings: Settings) -> Iterator[str]:
    """Two deployments of one stored certificate, or of one listener, would undo each other's work for ever."""
    seen: dict[tuple[str, str, str], str] = {}
    for name, certificate in settings.certificates.items():
        for number, deployment in enumerate(certificate.deployments):
            place = f"certificates.{name}.deployments.{number}"
            for key, what in _claims(deployment):
                first = seen.setdefault((deployment.gateway, key, what), place)
                if first != place:
                    yield f"{place}.{key}: {first} has the same {_CLAIMED.get(key, 'stored certificate')}"


def _claims(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """By which keys, and under which words, what a gateway has is a deployment's own."""
    if deployment.certificate_id is not None:
        yield "certificate_id", deployment.certificate_id.lower()
    if deployment.name is not None:
        is_cut = deployment.strategy == "per_domain"
        yield "name", deployment.name[:_TOLD_APART] if is_cut else deployment.name
    for one in deployment.listeners:
        if not one.sni:  # beside an SNI certificate there is room for others
            yield "listeners", one.id.lower()
