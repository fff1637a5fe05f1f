"""`per_domain`: every domain has a stored certificate of its own, uploaded in the call that binds it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from typing import Final

from worker.core.bundle import Bundle, Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure, PermanentError, RotationError
from worker.core.outcome import BindingResult
from worker.core.planning import Bound, Observed, Stored, age_of
from worker.gateways.base import OnResult
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.storing import leaves_doubt, pause_or_raise
from worker.gateways.huawei_apig.wire import GroupDomain
from worker.gateways.together import together

_LONGEST_BASE: Final = 24
_DIGITS: Final = 8
Place = tuple[str | None, str | None, str | None]


async def observe_per_domain(client: ApigClient, deployment: Deployment, leaf: Leaf | None) -> Observed:
    """What is bound to each domain, and earlier uploads of this deployment that nothing is bound to any more."""
    bindings, base = deployment.bindings or (), deployment.name or ""
    domains = await _domains(client, bindings)
    uploads = [one.stored() for one in await client.listed(_prefix(base)) if _is_ours(one.name, base)]
    told = {one for domain in domains.values() for one in domain.certificate_ids()}
    # Where the group tells what is bound, only what it does not name is asked for.
    bound_to = await _bound_to(client, [one for one in uploads if one.certificate_id not in told])
    at = {place: domain.certificate_ids() or _ids_at(domain, bound_to) for place, domain in domains.items()}
    stored = await _shown(client, dict.fromkeys(one for ids in at.values() for one in ids))
    bound = tuple(
        _bound(one, domains.get(_place(one)), [stored[key] for key in at.get(_place(one), ())], leaf)
        for one in bindings
    )
    unbound = [one for one in uploads if one.certificate_id in bound_to and not bound_to[one.certificate_id]]
    leftovers = [one for one in unbound if not _is_of(one, base, leaf)]
    return Observed(None, bound, tuple(leftovers))


def _place(binding: Binding) -> Place:
    return binding.instance_id, binding.group_id, binding.domain_id


async def _domains(client: ApigClient, bindings: Sequence[Binding]) -> Mapping[Place, GroupDomain]:
    """The wanted domains as their groups show them; each group is asked once."""
    groups = list({_place(one)[:2]: one for one in bindings}.values())
    shown = await together(_domains_of(client, one) for one in groups)
    wanted = {_place(one) for one in bindings}
    found = {
        (group.instance_id, group.group_id, domain.id): domain
        for group, domains in zip(groups, shown, strict=True)
        for domain in domains
    }
    return {place: domain for place, domain in found.items() if place in wanted}


async def _domains_of(client: ApigClient, group: Binding) -> Sequence[GroupDomain]:
    """A group that does not exist has none: its domains fail one by one, and the others do not fail with them."""
    try:
        return (await client.group(group)).url_domains or ()
    except PermanentError as error:
        if error.reason != "not_found":
            raise
        return ()


async def _bound_to(client: ApigClient, uploads: Sequence[Stored]) -> Mapping[str, frozenset[str]]:
    """The ids of the domains bound to each upload."""
    rows = await together(client.bound_domains(one.certificate_id) for one in uploads)
    return {
        one.certificate_id: frozenset(row.id or row.url_domain for row in bound)
        for one, bound in zip(uploads, rows, strict=True)
    }


def _ids_at(domain: GroupDomain, bound_to: Mapping[str, frozenset[str]]) -> Sequence[str]:
    return [certificate_id for certificate_id, domains in bound_to.items() if domain.id in domains]


async def _shown(client: ApigClient, ids: Mapping[str, None]) -> Mapping[str, Stored]:
    """Lists tell no serial numbers."""
    shown = await together(client.show(one) for one in ids)
    return {one.id: one.stored() for one in shown}


def _bound(binding: Binding, domain: GroupDomain | None, stored: Sequence[Stored], leaf: Leaf | None) -> Bound:
    """A domain that its group does not have is nothing bound: attaching it tells why.

    Of several certificates at one domain the renewed one counts, where it is among them.
    """
    if domain is None:
        return Bound(binding, None)
    current = [one for one in stored if leaf is not None and age_of(one, leaf) == "same"]
    named = replace(binding, name=domain.domain.lower())
    return Bound(named, next(iter([*current, *stored]), None), domain.verified_client_certificate_enabled)


@dataclass(frozen=True, slots=True)
class Adding:
    """Uploads one certificate to many domains, each under a name of its own."""

    client: ApigClient
    base: str
    bundle: Bundle
    chance: Callable[[], float]

    async def to_each(self, bindings: Sequence[Binding], on_result: OnResult) -> Sequence[BindingResult]:
        """All together, under the gateway's limits; one result each, in order."""

        async def add(binding: Binding) -> BindingResult:
            try:
                await self._to(binding)
                result = BindingResult(binding, "attached")
            except RotationError as error:
                result = BindingResult(binding, "failed", Failure.of(error))
            on_result(result)
            return result

        return await together(add(binding) for binding in bindings)

    async def _to(self, binding: Binding) -> None:
        """A fresh upload has no client CA: the gateway switches client verification off, and we on again."""
        certificate_id, flag = await self._uploaded(binding)
        wanted = binding.client_verification
        if wanted is not None and wanted != flag:
            await self.client.attach_to_domain(binding, certificate_id, client_verification=wanted)

    async def _uploaded(self, binding: Binding) -> tuple[str, bool | None]:
        """The upload's id and the domain's flag. What an earlier try left is bound, not uploaded once more."""
        name = upload_name(self.base, binding, self.bundle.leaf)
        for tries in count(1):
            try:
                added = await self.client.add_to_domain(binding, name, self.bundle)
            except RotationError as error:
                if not leaves_doubt(error):
                    raise
                earlier = await self._earlier(name)
                if earlier is not None:
                    await self.client.attach_to_domain(
                        binding, earlier, client_verification=bool(binding.client_verification)
                    )
                    return earlier, binding.client_verification
                await pause_or_raise(error, tries, self.chance)
            else:
                return added.ssl_id, bool(added.verified_client_certificate_enabled)
        raise AssertionError("unreachable")

    async def _earlier(self, name: str) -> str | None:
        """An upload of that name that holds the leaf."""
        same = [one.id for one in await self.client.listed(name) if one.name == name]
        shown = await _shown(self.client, dict.fromkeys(same))
        return next((key for key, one in shown.items() if age_of(one, self.bundle.leaf) == "same"), None)


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


def _is_of(upload: Stored, base: str, leaf: Leaf | None) -> bool:
    """Whether it was uploaded for this very leaf: an earlier try may have left it, and the next one binds it."""
    return leaf is not None and upload.name.startswith(f"{_prefix(base)}{leaf.fingerprint_sha256[:_DIGITS]}_")
