"""Which rights the deployments of a ByCloud region need, and by which calls they are tried."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from worker.core.deployment import Deployment
from worker.gateways.rights import Probe

_ALL: Final = "/v1/certificates"
_ONE: Final = f"{_ALL}/{{id}}"

LIST: Final = Probe("list certificates", "GET", _ALL, query={"limit": "1"})
SHOW: Final = Probe("show certificates", "GET", _ONE)
# Says what it is not: a cloud that makes up what is left out could have an ACME certificate issued.
CREATE: Final = Probe("create certificates", "POST", _ALL, body={"type": "uploaded"})
MODIFY: Final = Probe("modify certificates", "PUT", _ONE, body={}, is_documented=False)
BIND: Final = Probe("bind certificates", "POST", f"{_ONE}/bindings", body={})


def calls(deployments: Sequence[Deployment], nobody: str) -> Sequence[tuple[Probe, Mapping[str, str]]]:
    """Each right once, with what fills the places of its path. `nobody`: an id that nothing has."""
    found: dict[str, tuple[Probe, Mapping[str, str]]] = {}
    for deployment in deployments:
        for probe in _needed(deployment):
            known = deployment.certificate_id if probe.method == "GET" else None
            found.setdefault(probe.what, (probe, {"{id}": known or nobody}))
    return tuple(found.values())


def _needed(deployment: Deployment) -> Iterator[Probe]:
    is_created = deployment.strategy == "replace" or (deployment.strategy == "in_place" and deployment.name is not None)
    yield SHOW
    if is_created:
        yield from (LIST, CREATE)
    if deployment.strategy == "in_place":
        yield MODIFY
    yield BIND
