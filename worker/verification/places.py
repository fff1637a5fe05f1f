"""Where a certificate's bindings are asked for what they serve: from what the settings say, and what is bound."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from worker.core.deployment import Binding
from worker.core.names import is_domain, uncovered
from worker.core.proof import Served
from worker.settings.model import Certificate, Domain
from worker.settings.verify import Endpoint
from worker.verification.looking import Probe

_HTTPS: Final = 443
_Listener = tuple[str, bool]
_Asked = tuple[str, int, str]
"""Host, port and server name: of what is asked, and not yet of what it shall answer. There may be thousands."""


@dataclass(frozen=True, slots=True)
class Places:
    """What the settings say of one certificate. All names are in lower case."""

    endpoints: Sequence[Probe] = ()
    domains: bool = False
    """Whether attached domains are asked for themselves."""
    at: tuple[str, int] | None = None
    """Where, instead of at their own addresses."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """By wildcard: who is asked for in its stead."""
    listeners: Mapping[_Listener, Probe] = field(default_factory=dict)
    """By id and whether it is an SNI certificate's."""
    listed: frozenset[str] = frozenset()
    """Domains that the settings name, without wildcards."""
    within: float = 60.0
    shared: frozenset[str] = frozenset()
    """Keys of probes where another certificate of the settings is served for the same name, too."""

    @classmethod
    def of(cls, certificate: Certificate) -> "Places":
        said = certificate.verify_
        at = None if said.domains_at is None else parse_endpoint(said.domains_at)
        return cls(
            tuple(parse_endpoint(endpoint) for endpoint in said.endpoints),
            said.domains,
            None if at is None else (at.host, at.port),
            {wildcard.lower(): host.lower() for wildcard, host in said.hosts.items()},
            {place: parse_endpoint(endpoint) for place, endpoint in _listeners(certificate)},
            frozenset(name for name in listed_domains(certificate) if not _is_wildcard(name)),
            said.within_seconds,
        )


def all_places(certificates: Mapping[str, Certificate]) -> Mapping[str, Places]:
    """Of every certificate, each with what it shares with others."""
    found = {name: Places.of(one) for name, one in certificates.items()}
    claims = Counter(key for name, places in found.items() for key in _claimed(places, certificates[name]))
    return {
        name: replace(places, shared=frozenset(key for key in _asked(places) if claims[key] > 1))
        for name, places in found.items()
    }


def _asked(places: Places) -> Iterator[str]:
    """Keys of all probes that the settings tell."""
    yield from (probe.key for probe in (*places.endpoints, *places.listeners.values()))
    if places.domains:
        yield from (Probe(*(places.at or (name, _HTTPS)), name).key for name in places.listed)
        yield from (Probe(*(places.at or (host, _HTTPS)), host).key for host in places.hosts.values())


def _claimed(places: Places, certificate: Certificate) -> Collection[str]:
    """Keys of probes that may meet it: those that it is asked for at, and listed domains at their own addresses."""
    own = (Probe(name, _HTTPS, name).key for name in listed_domains(certificate) if not _is_wildcard(name))
    return {*_asked(places), *own}


def parse_endpoint(endpoint: str | Endpoint) -> Probe:
    """`host:port` or `[v6]:port`; the name asked for is the host's, where no other is given."""
    address = endpoint.address if isinstance(endpoint, Endpoint) else endpoint
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return Probe(host, int(port), endpoint.server_name if isinstance(endpoint, Endpoint) else host)


def asked_names(certificate: Certificate) -> Sequence[str]:
    """The names, or addresses, that the settings have asked for besides those of domains."""
    places = Places.of(certificate)
    return [probe.server_name for probe in (*places.endpoints, *places.listeners.values())]


def listed_domains(certificate: Certificate) -> Iterator[str]:
    """Those that the settings name, in lower case."""
    for deployment in certificate.deployments:
        if not isinstance(deployment.domains, str):
            for one in deployment.domains or ():
                name = one.domain if isinstance(one, Domain) else one
                if name is not None:
                    yield name.lower()


def _listeners(certificate: Certificate) -> Iterator[tuple[_Listener, str | Endpoint]]:
    for deployment in certificate.deployments:
        for one in deployment.listeners:
            if one.endpoint is not None:
                yield (one.id.lower(), one.sni), one.endpoint


def probes_of(places: Places, served: Served) -> Mapping[Probe, Sequence[Binding]]:
    """What is asked, and which bindings are behind it; none behind an endpoint that belongs to none of them."""
    found: dict[_Asked, list[Binding]] = defaultdict(list)
    wildcards = [name for name in served.waiting if _is_wildcard(name)]
    for probe in places.endpoints:
        name = probe.server_name.lower()
        behind = _behind(name, places, served.bindings)
        if (behind or _is_nobodys(name, places, served)) and not _is_waiting(
            name, behind, places, served.waiting, wildcards
        ):
            found[_asked_at(probe)] += behind
    for binding in served.bindings:
        own = _own(places, binding, served.waiting)
        if own is not None and binding not in found[own]:
            found[own].append(binding)
    return {_probe(asked, places, behind): tuple(behind) for asked, behind in found.items()}


def _is_nobodys(server_name: str, places: Places, served: Served) -> bool:
    """Whether an endpoint that belongs to no binding is asked now."""
    return served.is_whole and not _behind(server_name, places, served.proven)


def _asked_at(probe: Probe) -> _Asked:
    return probe.host, probe.port, probe.server_name


def _probe(asked: _Asked, places: Places, behind: Sequence[Binding]) -> Probe:
    """Whether clients are asked for certificates says nothing where another certificate may be met."""
    if places.shared and Probe(*asked).key in places.shared:
        return Probe(*asked, is_shared=True)
    return Probe(*asked, client_verification=_flag(behind))


def _is_waiting(
    name: str, behind: Sequence[Binding], places: Places, waiting: Collection[str], wildcards: Sequence[str]
) -> bool:
    """Whether what is served for a name may rightly be an older certificate, or somebody's newer one."""
    if name in waiting:
        return True
    is_exact = name in places.listed or any(binding.name == name for binding in behind)
    return not is_exact and bool(wildcards) and not uncovered([name], wildcards)


def _behind(server_name: str, places: Places, bindings: Sequence[Binding]) -> Sequence[Binding]:
    """The bindings that serve a name: those of the name itself, else those of a wildcard that covers it."""
    domains = [binding for binding in bindings if binding.kind == "domain"]
    exactly = [binding for binding in domains if binding.name == server_name]
    if exactly or server_name in places.listed:
        return exactly
    return [one for one in domains if _is_wildcard(one.name) and not uncovered([server_name], [one.name])]


def _own(places: Places, binding: Binding, waiting: Collection[str]) -> _Asked | None:
    """Where a binding is asked for itself, if it is."""
    if binding.kind == "listener":
        probe = places.listeners.get((binding.name.lower(), binding.sni))
        return None if probe is None else _asked_at(probe)
    host = places.hosts.get(binding.name) if _is_wildcard(binding.name) else binding.name
    if not places.domains or host is None or not is_domain(host) or binding.name in waiting or host in waiting:
        return None
    return *(places.at or (host, _HTTPS)), host


def _flag(behind: Sequence[Binding]) -> bool | None:
    """What all of them shall have; a name that is bound twice, and not alike, says nothing."""
    if len(behind) == 1:
        return behind[0].client_verification
    flags = {binding.client_verification for binding in behind}
    return flags.pop() if len(flags) == 1 else None


def _is_wildcard(name: str) -> bool:
    return name.startswith("*.")


def unasked(places: Places, served: Served, asked: Collection[Binding]) -> Sequence[str]:
    """The domains that should be asked for and cannot: wildcards without a host, each once."""
    if not places.domains:
        return ()
    names = (one.name for one in served.bindings if one.kind == "domain" and one not in asked)
    return tuple(name for name in dict.fromkeys(names) if name not in served.waiting)


def hostless(certificate: Certificate) -> Sequence[str]:
    """The wildcards of the settings that will not be asked for: nobody is named in their stead."""
    bindings = [Binding("domain", name) for name in listed_domains(certificate)]
    places, served = Places.of(certificate), Served("", None, bindings)
    asked = {one for behind in probes_of(places, served).values() for one in behind}
    return unasked(places, served, asked)
