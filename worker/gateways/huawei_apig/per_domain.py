"""`per_domain`: every domain has a stored certificate of its own, uploaded in the call that binds it."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from typing import Final

from worker.core.bundle import Bundle, Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure, RotationError
from worker.core.outcome import BindingResult
from worker.core.planning import Bound, Observed, Stored, age_of
from worker.gateways.base import OnResult
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.facts import Facts, readable
from worker.gateways.huawei_apig.storing import leaves_doubt, pause_or_raise
from worker.gateways.huawei_apig.wire import BoundDomain, Certificate, GroupDomain
from worker.gateways.together import together

_LONGEST_BASE: Final = 24
_DIGITS: Final = 8
Place = tuple[str | None, str | None, str | None]
_Row = tuple[str, BoundDomain]
"""A certificate's id, and a domain that it is bound to."""


async def observe_per_domain(client: ApigClient, facts: Facts, deployment: Deployment, leaf: Leaf | None) -> Observed:
    """What is bound to each domain, and earlier uploads of this deployment that nothing is bound to any more."""
    bindings, base = deployment.bindings or (), deployment.name or ""
    shown = await _domains(client, bindings)
    listed = await client.listed(prefix_of(base))
    uploads = {one.id: one for one in listed if _is_ours(one.name, base)}
    told = {one for domain in shown.values() for one in domain.certificate_ids()}
    # Where the group tells what is bound, only what it does not name may be bound elsewhere, or to nothing.
    unnamed = [one.stored() for one in uploads.values() if one.id not in told]
    replaced = _replaced(unnamed, [one for one in bindings if _tells(shown.get(place_of(one)))])
    bound_to = await _bound_to(client, [one for one in unnamed if one not in replaced])
    rows = _by_domain(bound_to)
    domains = {place: shown.get(place) or _as_bound(place, rows) for place in map(place_of, bindings)}
    at = {place: _ids_at(domain, rows) for place, domain in domains.items() if domain is not None}
    stored = await facts.of(dict.fromkeys(one for ids in at.values() for one in ids), uploads)
    bound = tuple(
        _bound(one, domains[place_of(one)], [stored[key] for key in at.get(place_of(one), ()) if key in stored], leaf)
        for one in bindings
    )
    unbound = [one for one in unnamed if one in replaced or bound_to.get(one.certificate_id) == ()]
    leftovers = [one for one in unbound if not _is_of(one, base, leaf)]
    same_leaf = [upload for one in uploads.values() if _is_of(upload := one.stored(), base, leaf)]
    lists = {prefix_of(base): len(listed), **_dropped(uploads, bound_to, bindings)}
    return Observed(None, bound, tuple(leftovers), lists=lists, uploads=same_leaf)


def _dropped(
    uploads: Mapping[str, Certificate], bound_to: Mapping[str, Sequence[BoundDomain]], bindings: Sequence[Binding]
) -> Mapping[str, int]:
    """How much is bound to uploads for domains that the deployment no longer has: no group tells of those."""
    marks = {mark_of(one) for one in bindings}
    return {one: len(rows) for one, rows in bound_to.items() if mark_in(uploads[one].name) not in marks}


def _tells(domain: GroupDomain | None) -> bool:
    return domain is not None and bool(domain.certificate_ids())


def _replaced(unnamed: Sequence[Stored], telling: Sequence[Binding]) -> frozenset[Stored]:
    """Uploads for domains that tell that something else is bound there.

    Whether they are bound anywhere else is asked before one is deleted, and not here as well: where a rotation ended
    half way there are as many of them as it has domains.
    """
    marks = {mark_of(one) for one in telling}
    return frozenset(one for one in unnamed if mark_in(one.name) in marks)


def place_of(binding: Binding) -> Place:
    return binding.instance_id, binding.group_id, binding.domain_id


async def _domains(client: ApigClient, bindings: Sequence[Binding]) -> Mapping[Place, GroupDomain]:
    """All domains of the wanted ones' groups; each group is asked once.

    A group that cannot be read shows none: its domains fail one by one, and the others do not fail with them.
    """
    groups = list({place_of(one)[:2]: one for one in bindings}.values())
    shown = await together(readable(client.group, one) for one in groups)
    return {
        (asked.instance_id, asked.group_id, domain.id): domain
        for asked, group in zip(groups, shown, strict=True)
        for domain in (() if group is None else group.url_domains or ())
    }


async def _bound_to(client: ApigClient, uploads: Sequence[Stored]) -> Mapping[str, Sequence[BoundDomain]]:
    """The domains bound to each upload that can be read."""
    rows = await together(readable(client.bound_domains, one.certificate_id) for one in uploads)
    return {one.certificate_id: tuple(bound) for one, bound in zip(uploads, rows, strict=True) if bound is not None}


def _by_domain(bound_to: Mapping[str, Sequence[BoundDomain]]) -> Mapping[str, Sequence[_Row]]:
    """By the domain's id, where it is told."""
    rows: defaultdict[str, list[_Row]] = defaultdict(list)
    for certificate_id, bound in bound_to.items():
        for row in bound:
            rows[row.id or row.url_domain].append((certificate_id, row))
    return rows


def _as_bound(place: Place, rows: Mapping[str, Sequence[_Row]]) -> GroupDomain | None:
    """A domain that no group shows, as an upload of ours that is bound to it does: else a newer one would be undone."""
    instance_id, group_id, domain_id = place
    for _certificate_id, row in rows.get(domain_id or "", ()):
        if row.instance_id in (None, instance_id) and row.api_group_id in (None, group_id):
            flag = row.verified_client_certificate_enabled
            return GroupDomain(id=domain_id or "", domain=row.url_domain, verified_client_certificate_enabled=flag)
    return None


def _ids_at(domain: GroupDomain, rows: Mapping[str, Sequence[_Row]]) -> Sequence[str]:
    """The certificates bound there: as the group tells, or as those do that were asked."""
    return domain.certificate_ids() or [certificate_id for certificate_id, _row in rows.get(domain.id, ())]


def _bound(binding: Binding, domain: GroupDomain | None, stored: Sequence[Stored], leaf: Leaf | None) -> Bound:
    """A domain that nothing shows is nothing bound: attaching it tells why.

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
        """All together, under the gateway's limits; one result each, in order.

        Costs a call each, and one list beforehand: what an earlier try uploaded is bound, not uploaded once more.
        """
        try:
            earlier = await self._listed(_prefix_for(self.base, self.bundle.leaf))
        except RotationError as error:
            return [_told(one, error, on_result) for one in bindings]

        async def add(binding: Binding) -> BindingResult:
            try:
                await self._to(binding, earlier.get(self._name(binding), ()))
            except RotationError as error:
                return _told(binding, error, on_result)
            return _told(binding, None, on_result)

        return await together(add(binding) for binding in bindings)

    async def _to(self, binding: Binding, earlier: Sequence[str]) -> None:
        """A fresh upload has no client CA: bound without a word the gateway switches client verification off."""
        found = await self._holding(earlier)
        certificate_id, flag = await self._uploaded(binding) if found is None else (found, None)
        wanted = binding.client_verification
        if flag is None or wanted not in (None, flag):
            await self.client.attach_to_domain(binding, certificate_id, client_verification=bool(wanted))

    async def _uploaded(self, binding: Binding) -> tuple[str, bool | None]:
        """The upload's id and the domain's flag; no flag where the upload may not be bound."""
        name = self._name(binding)
        for tries in count(1):
            try:
                if binding.client_verification:
                    # What binds it sets the flag as well: adding it would switch verification off for a moment.
                    return (await self.client.create(name, self.bundle, None)).id, None
                added = await self.client.add_to_domain(binding, name, self.bundle)
            except RotationError as error:
                if not leaves_doubt(error):
                    raise
                found = await self._holding((await self._listed(name)).get(name, ()))
                if found is not None:
                    return found, None
                await pause_or_raise(error, tries, self.chance)
            else:
                return added.ssl_id, bool(added.verified_client_certificate_enabled)
        raise AssertionError("unreachable")

    def _name(self, binding: Binding) -> str:
        return upload_name(self.base, binding, self.bundle.leaf)

    async def _listed(self, name: str) -> Mapping[str, Sequence[str]]:
        """The ids of what is stored, by name; `name` may be the beginning of many."""
        ids: defaultdict[str, list[str]] = defaultdict(list)
        for one in await self.client.listed(name):
            ids[one.name].append(one.id)
        return ids

    async def _holding(self, ids: Sequence[str]) -> str | None:
        """The first of them that holds the leaf."""
        shown = await together(readable(self.client.show, one) for one in ids)
        mine = (one.id for one in shown if one is not None and age_of(one.stored(), self.bundle.leaf) == "same")
        return next(mine, None)


def _told(binding: Binding, error: RotationError | None, on_result: OnResult) -> BindingResult:
    failure = None if error is None else Failure.of(error)
    result = BindingResult(binding, "attached" if failure is None else "failed", failure)
    on_result(result)
    return result


def prefix_of(base: str) -> str:
    return f"{base[:_LONGEST_BASE]}_"


def _prefix_for(base: str, leaf: Leaf) -> str:
    return f"{prefix_of(base)}{leaf.fingerprint_sha256[:_DIGITS]}_"


def upload_name(base: str, binding: Binding, leaf: Leaf) -> str:
    """Tells deployment, leaf and domain, in the characters and the length that APIG allows."""
    return f"{_prefix_for(base, leaf)}{mark_of(binding)}"


def mark_of(binding: Binding) -> str:
    """Tells the domain, at the end of an upload's name."""
    place = f"{binding.instance_id}/{binding.group_id}/{binding.domain_id}".encode()
    return sha256(place).hexdigest()[:_DIGITS]


def mark_in(name: str) -> str:
    """The mark at the end of an upload's name."""
    return name.rpartition("_")[2]


def _is_ours(name: str, base: str) -> bool:
    parts = name.removeprefix(prefix_of(base)).split("_")
    is_hex = all(len(part) == _DIGITS and set(part) <= set("0123456789abcdef") for part in parts)
    return name.startswith(prefix_of(base)) and len(parts) == 2 and is_hex  # noqa: PLR2004 - fingerprint and place


def _is_of(upload: Stored, base: str, leaf: Leaf | None) -> bool:
    """Whether it was uploaded for this very leaf: an earlier try may have left it, and the next one binds it."""
    return leaf is not None and upload.name.startswith(_prefix_for(base, leaf))
