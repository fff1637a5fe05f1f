"""From settings to the values that the rest of the worker uses."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from worker.core.deployment import Binding
from worker.core.deployment import Deployment as Target
from worker.core.errors import RefusedError, unchained
from worker.core.pem import LONGEST_CHAIN
from worker.core.reading import all_readable
from worker.core.renewal import OWN_PRODUCER, InFiles
from worker.core.schedule import Schedule
from worker.core.secret import Secret
from worker.core.window import parse_window
from worker.settings.checks import broker_url_problems
from worker.settings.errors import SettingsError
from worker.settings.files import problem_of_kind, problem_of_secret, read_bounded
from worker.settings.model import Broker, Deployment, Domain, Listener, Settings

_LONGEST_URL: Final = 8192


def deployments_of(settings: Settings, certificate: str) -> tuple[Target, ...]:
    """Where a certificate is deployed. Raises SettingsError when a client CA's file cannot be read."""
    entry = settings.certificates[certificate]
    return tuple(
        _target(deployment, f"certificates.{certificate}.deployments.{number}")
        for number, deployment in enumerate(entry.deployments)
    )


def schedule_of(settings: Settings, certificate: str) -> Schedule:
    """When a certificate may be rotated."""
    entry = settings.certificates[certificate]
    return Schedule(
        tuple(parse_window(text) for text in entry.windows),
        timedelta(seconds=entry.spread_seconds),
        timedelta(seconds=entry.near_expiry_seconds),
        lateness=2 * timedelta(seconds=min(settings.retry.parking_seconds)),
    )


def _target(deployment: Deployment, place: str) -> Target:
    is_attached = deployment.domains == "attached"
    return Target(
        gateway=deployment.gateway,
        strategy=deployment.strategy,
        certificate_id=deployment.certificate_id,
        name=deployment.name,
        bindings=None if is_attached else tuple(_bindings(deployment)),
        trusted_root_ca=_client_ca(deployment.trusted_root_ca_file, f"{place}.trusted_root_ca_file"),
        waves=deployment.waves,
        retire_after_seconds=deployment.retire_after_seconds,
    )


def _bindings(deployment: Deployment) -> Iterator[Binding]:
    for listener in deployment.listeners:
        yield _listener(listener)
    for domain in deployment.domains or ():
        yield from _domain(Domain(domain=domain) if isinstance(domain, str) else domain)


def _listener(listener: Listener) -> Binding:
    return Binding("listener", listener.id, sni=listener.sni, load_balancer=listener.load_balancer)


def _domain(domain: Domain) -> Iterator[Binding]:
    flag = domain.verified_client_certificate_enabled
    if domain.domain_id is not None:
        name = (domain.domain or domain.domain_id).lower()
        yield Binding("domain", name, domain.instance_id, flag, domain.group_id, domain.domain_id)
        return
    for instance_id in domain.instance_ids or (None,):
        yield Binding("domain", (domain.domain or "").lower(), instance_id, flag)


def _client_ca(path: Path | None, place: str) -> str | None:
    """What the cloud is sent for everybody to see: certificates, and nothing else."""
    if path is None:
        return None
    try:
        return all_readable(_text(path, place, LONGEST_CHAIN, problem_of_kind))
    except RefusedError as error:
        raise SettingsError([f"{place}: {error.message.removeprefix('chain: ')}"]) from None


@unchained
def _text(path: Path, place: str, longest: int, problem_of: Callable[[os.stat_result], str | None]) -> str:
    def look(status: os.stat_result) -> None:
        problem = problem_of(status)
        if problem is not None:
            raise SettingsError([f"{place}: {problem}"])

    try:
        content = read_bounded(path, longest, look)
        if len(content) <= longest:
            return content.decode("ascii")
    except (OSError, UnicodeDecodeError):
        raise SettingsError([f"{place}: cannot be read"]) from None
    raise SettingsError([f"{place}: over {longest} bytes"])


def broker_url(broker: Broker) -> Secret:
    """Of `url_file` where there is one. Raises SettingsError."""
    if broker.url_file is None:
        return Secret(broker.url)
    url = _text(broker.url_file, "broker.url_file", _LONGEST_URL, problem_of_secret).strip()
    problems = [problem.replace("broker.url:", "broker.url_file:") for problem in broker_url_problems(url, broker)]
    if problems:
        raise SettingsError(problems)
    return Secret(url)


def producers_by_certificate(settings: Settings) -> Mapping[str, frozenset[str]]:
    return {name: frozenset(certificate.producers) for name, certificate in settings.certificates.items()}


def unsigned_producers(settings: Settings) -> Sequence[str]:
    """Those without a public key, which are AMQP users of the same name; in the order of their names."""
    signed = {name for name, one in settings.trust.producers.items() if one.public_key is not None}
    listed = set[str]().union(*producers_by_certificate(settings).values())
    return sorted(listed - signed - {OWN_PRODUCER})


def lineages(settings: Settings) -> Mapping[str, InFiles]:
    """Where certificates lie on disk, of those that say so."""
    return {
        name: InFiles(certificate.lineage.chain, certificate.lineage.private_key)
        for name, certificate in settings.certificates.items()
        if certificate.lineage is not None
    }


def holds(settings: Settings) -> frozenset[str]:
    """The certificates that the platform holds: all their deployments rebind."""
    return frozenset(
        name
        for name, certificate in settings.certificates.items()
        if all(deployment.strategy == "rebind" for deployment in certificate.deployments)
    )


def claims_in(settings: Settings) -> frozenset[tuple[str, str]]:
    """Gateway, and certificate id or name in lower case, of every deployment: a cloud may write them otherwise."""
    return frozenset(
        (deployment.gateway, claim.lower())
        for certificate in settings.certificates.values()
        for deployment in certificate.deployments
        for claim in (deployment.certificate_id, deployment.name)
        if claim is not None
    )
