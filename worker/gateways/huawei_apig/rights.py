"""Which rights the deployments of an APIG project need, and by which calls they are tried.

Names of actions: "Authorization Information" of each call's page in the vendor's API reference, API Gateway v2.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from worker.core.deployment import Binding, Deployment
from worker.gateways.rights import Probe

_ALL: Final = "/v2/{project}/apigw/certificates"
_ONE: Final = f"{_ALL}/{{id}}"
_GROUP: Final = "/v2/{project}/apigw/instances/{instance}/api-groups/{group}"
_DOMAIN: Final = f"{_GROUP}/domains/{{domain}}"
_A_ROW: Final = {"limit": "1"}

LIST: Final = Probe("list certificates", "GET", _ALL, "apig:certificate:list", query=_A_ROW)
SHOW: Final = Probe("show certificates", "GET", _ONE, "apig:certificate:get")
BOUND: Final = Probe(
    "list bound domains", "GET", f"{_ONE}/attached-domains", "apig:certificate:listBoundDomain", query=_A_ROW
)
CREATE: Final = Probe("create certificates", "POST", _ALL, "apig:certificate:create", {})
MODIFY: Final = Probe("modify certificates", "PUT", _ONE, "apig:certificate:update", {})
DELETE: Final = Probe("delete certificates", "DELETE", _ONE, "apig:certificate:delete")
ATTACH: Final = Probe(
    "attach certificates", "POST", f"{_ONE}/domains/attach", "apig:certificate:batchBindDomain", {"domains": []}
)
DETACH: Final = Probe(
    "detach certificates", "POST", f"{_ONE}/domains/detach", "apig:certificate:batchUnbindDomain", {"domains": []}
)
GROUP: Final = Probe("show API groups", "GET", _GROUP, "apig:apiGroup:get")
ADD: Final = Probe(
    "add certificates to a domain",
    "POST",
    f"{_DOMAIN}/certificate",
    "apig:apiGroup:createAndBindCertificateToDomain",
    {},
)
ATTACH_ONE: Final = Probe(
    "attach certificates to a domain",
    "POST",
    f"{_DOMAIN}/certificates/attach",
    "apig:apiGroup:batchBindCertificateToDomain",
    {"certificate_ids": []},
)


def calls(project_id: str, deployments: Sequence[Deployment], nobody: str) -> Sequence[tuple[Probe, Mapping[str, str]]]:
    """Each right once, with what fills the places of its path. `nobody`: an id that nothing has."""
    base = {"{project}": project_id, "{id}": nobody, "{domain}": nobody}
    found: dict[str, tuple[Probe, Mapping[str, str]]] = {}
    for deployment in deployments:
        for probe in _needed(deployment):
            for one, places in _at_each(probe, deployment):
                found.setdefault(one.what, (one, {**base, **places}))
    return tuple(found.values())


def _needed(deployment: Deployment) -> Iterator[Probe]:
    if deployment.strategy == "per_domain":
        yield from (GROUP, LIST, SHOW, BOUND, ADD)
        if any(one.client_verification is not False for one in deployment.bindings or ()):
            yield CREATE
        yield from (ATTACH_ONE, DELETE)
        return
    if deployment.strategy == "blue_green":
        yield from (LIST, SHOW, BOUND, CREATE, ATTACH, DETACH, DELETE)
        return
    yield from (SHOW, BOUND)
    if deployment.name is not None or _may_be_elsewhere(deployment.bindings):
        yield LIST
    if deployment.name is not None:
        yield CREATE
    yield from (MODIFY, ATTACH)


def _may_be_elsewhere(bindings: Sequence[Binding] | None) -> bool:
    """Whether other certificates may have to be asked what is bound to them."""
    return any(one.instance_id is None or one.client_verification is None for one in bindings or ())


def _at_each(probe: Probe, deployment: Deployment) -> Iterator[tuple[Probe, Mapping[str, str]]]:
    """A policy may be about single instances: what is done at one is tried at each.

    Reads are about what there is, changes never: they keep the id that nothing has.
    """
    if "{instance}" not in probe.path:
        known = deployment.certificate_id if probe.method == "GET" else None
        yield probe, {} if known is None else {"{id}": known}
        return
    for instance, group in {one.instance_id: one.group_id for one in deployment.bindings or ()}.items():
        if instance is not None and group is not None:
            yield replace(probe, path=probe.path.replace("{instance}", instance)), {"{group}": group}
