"""`per_domain`: every domain has a stored certificate of its own, uploaded in the call that binds it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from worker.core.bundle import Bundle, Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure, RotationError
from worker.core.outcome import BindingResult
from worker.core.planning import Bound, Observed, Stored, age_of
from worker.gateways.base import OnResult
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.wire import GroupDomain
from worker.gateways.transport import AmbiguousError


async def observe_per_domain(client: ApigClient, deployment: Deployment, leaf: Leaf | None) -> Observed:
    """What is bound to each domain, and earlier uploads of this deployment that nothing is bound to any more."""
    bindings = deployment.bindings or ()
    uploads = await _uploads(client, deployment.name or "")
    groups = {_group_of(one): one for one in bindings}
    shown = await asyncio.gather(*(client.group(one) for one in groups.values()))
    found = {
        (*group, domain.id): domain
        for group, answer in zip(groups, shown, strict=True)
        for domain in answer.url_domains or ()
    }
    sight = _Sight(client, uploads, await _bound_to(client, uploads), leaf)
    bound = [await sight.of(one, found.get((*_group_of(one), one.domain_id or ""))) for one in bindings]
    used = {row.stored.certificate_id for row in bound if row.stored is not None}
    leftovers = [one for one in uploads if one.certificate_id not in used and not sight.domains[one.certificate_id]]
    return Observed(None, tuple(bound), tuple(leftovers))


def _group_of(binding: Binding) -> tuple[str | None, str | None]:
    return binding.instance_id, binding.group_id


async def _uploads(client: ApigClient, base: str) -> Sequence[Stored]:
    """Stored certificates whose names are of the form that we give them."""
    listed = await client.listed(_prefix(base))
    return [one.stored() for one in listed if _is_ours(one.name, base)]


async def _bound_to(client: ApigClient, uploads: Sequence[Stored]) -> Mapping[str, frozenset[str]]:
    """The ids of the domains bound to each upload."""
    rows = await asyncio.gather(*(client.bound_domains(one.certificate_id) for one in uploads))
    return {
        one.certificate_id: frozenset(row.id for row in bound if row.id is not None)
        for one, bound in zip(uploads, rows, strict=True)
    }


@dataclass(frozen=True, slots=True)
class _Sight:
    """What has been read of the account."""

    client: ApigClient
    uploads: Sequence[Stored]
    domains: Mapping[str, frozenset[str]]
    leaf: Leaf | None

    async def of(self, binding: Binding, domain: GroupDomain | None) -> Bound:
        """A domain that its group does not have is nothing bound: attaching it tells why."""
        if domain is None:
            return Bound(binding, None)
        named = replace(binding, name=domain.domain.lower())
        flag = domain.verified_client_certificate_enabled
        ids = domain.certificate_ids() or [key for key, bound in self.domains.items() if domain.id in bound]
        stored = [(await self.client.show(one)).stored() for one in ids]
        return Bound(named, self._preferred(stored), flag)

    def _preferred(self, stored: Sequence[Stored]) -> Stored | None:
        """Of several certificates at one domain, the renewed one where it is among them."""
        current = [one for one in stored if self.leaf is not None and age_of(one, self.leaf) == "same"]
        return next(iter([*current, *stored]), None)


async def add_to_each(
    client: ApigClient, base: str, bindings: Sequence[Binding], bundle: Bundle, on_result: OnResult
) -> Sequence[BindingResult]:
    """Uploads to all domains together, under the gateway's limits; one result each, in order."""

    async def add(binding: Binding) -> BindingResult:
        try:
            await _add(client, base, binding, bundle)
            result = BindingResult(binding, "attached")
        except RotationError as error:
            result = BindingResult(binding, "failed", Failure.of(error))
        on_result(result)
        return result

    return await asyncio.gather(*(add(binding) for binding in bindings))


async def _add(client: ApigClient, base: str, binding: Binding, bundle: Bundle) -> None:
    name = upload_name(base, binding, bundle.leaf)
    try:
        added = await client.add_to_domain(binding, name, bundle)
        certificate_id, after = added.ssl_id, added.verified_client_certificate_enabled
    except AmbiguousError:
        # Read before writing again: the upload may have had its effect.
        same = [one for one in await client.listed(name) if one.name == name]
        if not same or not await client.bound_domains(same[0].id):
            raise
        certificate_id, after = same[0].id, None
    wanted = binding.client_verification
    if wanted is not None and after != wanted:
        await client.attach_to_domain(binding, certificate_id, client_verification=wanted)


_LONGEST_BASE = 24
_DIGITS = 8


def _prefix(base: str) -> str:
    return f"{base[:_LONGEST_BASE]}_"


def upload_name(base: str, binding: Binding, leaf: Leaf) -> str:
    """Tells deployment, leaf and domain, in the characters and the length that APIG allows."""
    place = f"{binding.instance_id}/{binding.group_id}/{binding.domain_id}".encode()
    return f"{_prefix(base)}{leaf.fingerprint_sha256[:_DIGITS]}_{sha256(place).hexdigest()[:_DIGITS]}"


def _is_ours(name: str, base: str) -> bool:
    parts = name.removeprefix(_prefix(base)).split("_")
    is_hex = all(len(part) == _DIGITS and set(part) <= set("0123456789abcdef") for part in parts)
    return name.startswith(_prefix(base)) and len(parts) == 2 and is_hex  # noqa: PLR2004 - fingerprint and place
