"""Reading what an `in_place` deployment has: its stored certificate, and every domain bound to it."""

from collections.abc import Iterator, Sequence

from worker.core.deployment import Binding, Deployment
from worker.core.errors import PermanentError
from worker.core.planning import Bound, Observed, Stored
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.wire import BoundDomain


async def observe_in_place(client: ApigClient, deployment: Deployment) -> Observed:
    stored = await find_stored(client, deployment.certificate_id, deployment.name)
    if stored is None:
        return Observed(None, tuple(Bound(binding, None) for binding in deployment.bindings or ()))
    rows = await client.bound_domains(stored.certificate_id)
    if deployment.bindings is None:
        return Observed(stored, tuple(_bound(row, stored) for row in rows))
    return Observed(stored, tuple(_wanted(deployment.bindings, rows, stored)))


async def find_stored(client: ApigClient, certificate_id: str | None, name: str | None) -> Stored | None:
    """By id; where there is none, by name. None when it does not exist."""
    if certificate_id is not None:
        try:
            return (await client.show(certificate_id)).stored()
        except PermanentError as error:
            if error.reason != "not_found":
                raise
    if name is None:
        return None
    # The gateway's filter may match parts of names.
    same = [one for one in await client.listed(name) if one.name == name]
    if len(same) > 1:
        raise PermanentError("ambiguous_name", "several stored certificates have the deployment's name")
    return (await client.show(same[0].id)).stored() if same else None


def _bound(row: BoundDomain, stored: Stored) -> Bound:
    binding = Binding("domain", row.url_domain.lower(), row.instance_id)
    return Bound(binding, stored, row.verified_client_certificate_enabled)


def _wanted(bindings: Sequence[Binding], rows: Sequence[BoundDomain], stored: Stored) -> Iterator[Bound]:
    """Every listed domain as it is.

    One listed without an instance means those where it is bound already; else the instance that the certificate is
    limited to; else every instance. So nothing is attached where nobody asked for it.
    """
    for binding in bindings:
        found = [row for row in rows if _is_about(row, binding)]
        for row in found:
            flag = row.verified_client_certificate_enabled
            yield Bound(_at(binding, row.instance_id), stored, flag)
        if not found:
            yield Bound(_at(binding, binding.instance_id or stored.instance_id), None)


def _is_about(row: BoundDomain, binding: Binding) -> bool:
    return row.url_domain.lower() == binding.name and binding.instance_id in (None, row.instance_id)


def _at(binding: Binding, instance_id: str | None) -> Binding:
    return Binding("domain", binding.name, instance_id, binding.client_verification)
