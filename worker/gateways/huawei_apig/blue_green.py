"""Reading what a `blue_green` deployment has: its own stored certificates, by name, and who is bound to which."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Final

from worker.core.bundle import Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.planning import Bound, Observed, Stored, age_of
from worker.core.uploads import base_name, fingerprint_in
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.listing import Listing
from worker.gateways.huawei_apig.observing import Rows, candidates, covering, unless_gone
from worker.gateways.huawei_apig.wire import BoundDomain
from worker.gateways.together import both, together
from worker.in_parts import in_parts

_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Holder:
    """A stored certificate with what is bound to it."""

    stored: Stored
    rows: Rows


async def observe_blue_green(
    client: ApigClient,
    listing: Listing,
    deployment: Deployment,
    leaf: Leaf | None,
    *,
    elsewhere: bool,
    before: Collection[str],
    now: datetime,
) -> Observed:
    """The renewed certificate comes first where it is stored already, else the latest.

    `elsewhere`: not the renewed one alone, but all that any of the bindings may be bound to. `before`: ids of what
    listed domains were bound to, and may be shown with besides.
    """
    base = deployment.name or ""
    listed = await client.listed(base)
    ours = [one for one in listed if base_name(one.name, "_") == base]
    if not elsewhere and leaf is not None:
        ours = [one for one in ours if _tells(one.name, leaf)] or ours
    own = _latest_first(await _holders(client, [one.id for one in ours]), leaf)
    if not elsewhere:
        own = [one for one in own if leaf is None or age_of(one.stored, leaf) == "same"]
    foreign = await _foreign(client, listing, deployment.bindings or (), own, before) if elsewhere else ()
    stored = [one.stored for one in own]
    bound = tuple(await _bound(deployment, (*own, *foreign)))
    lists = {base: len(listed), **{one.stored.certificate_id: len(one.rows) for one in own}}
    return Observed(stored[0] if stored else None, bound, tuple(stored[1:]), at=now, lists=lists)


def _tells(name: str, leaf: Leaf) -> bool:
    """Whether its name says that it is the leaf: the others need not be read to be told from it."""
    told = fingerprint_in(name, "_")
    return told is not None and leaf.fingerprint_sha256.startswith(told)


def _latest_first(own: Sequence[_Holder], leaf: Leaf | None) -> Sequence[_Holder]:
    def rank(one: _Holder) -> tuple[bool, datetime, datetime]:
        stored = one.stored
        is_it = leaf is not None and age_of(stored, leaf) == "same"
        return is_it, stored.not_before or _NEVER, stored.stored_at or _NEVER

    return sorted(own, key=rank, reverse=True)


async def _holders(client: ApigClient, ids: Iterable[str]) -> Sequence[_Holder]:
    """Those that are still there."""
    return [one for one in await together(_holder(client, one) for one in ids) if one is not None]


async def _holder(client: ApigClient, certificate_id: str) -> _Holder | None:
    found = await unless_gone(both(client.show(certificate_id), client.bound_domains(certificate_id)))
    return None if found is None else _Holder(found[0].stored(), Rows(found[1]))


async def _other(client: ApigClient, certificate_id: str, missing: Sequence[Binding]) -> _Holder | None:
    """None where nothing that is looked for is bound to it."""
    rows = Rows(await unless_gone(client.bound_domains(certificate_id)) or ())
    if not any(rows.about(one) for one in missing):
        return None
    shown = await unless_gone(client.show(certificate_id))
    return None if shown is None else _Holder(shown.stored(), rows)


async def _foreign(
    client: ApigClient,
    listing: Listing,
    bindings: Sequence[Binding],
    own: Sequence[_Holder],
    before: Collection[str],
) -> Sequence[_Holder]:
    """Other certificates that listed domains are bound to: what they go back to, if the new one turns out bad.

    Costs nothing while all that is listed is listed with its instance, bound to the deployment's own, and has not come
    from others: those are read in any case. Else one list of all, and the domains of each certificate whose names cover
    one that is looked for, one after another, until each is found. One without an instance may be on several: for it
    all of them are read.
    """
    known = {one.stored.certificate_id for one in own}
    found = list(await _holders(client, [one for one in before if bindings and one not in known]))
    missing: Sequence[Binding] = await in_parts(bindings, lambda part: _missing(part, own))
    for holder in found:
        missing = _left(missing, holder)
    known.update(before)
    looked_for = covering(missing)
    for one in await candidates(listing, missing, [it.rows for it in (*own, *found)]) if missing else ():
        if one.id in known or not one.may_serve(looked_for):
            continue
        other = await _other(client, one.id, missing)
        if other is not None:
            found.append(other)
            missing = _left(missing, other)
            looked_for = covering(missing)
    return found


def _left(missing: Sequence[Binding], holder: _Holder) -> Sequence[Binding]:
    """One without an instance may be bound to others on other instances."""
    return [one for one in missing if one.instance_id is None or not holder.rows.about(one)]


def _missing(bindings: Sequence[Binding], own: Sequence[_Holder]) -> Sequence[Binding]:
    """One without an instance may be bound to others on other instances."""
    return [one for one in bindings if one.instance_id is None or not any(holder.rows.about(one) for holder in own)]


async def _bound(deployment: Deployment, holders: Sequence[_Holder]) -> Sequence[Bound]:
    bindings = deployment.bindings
    if bindings is None:
        rows = [row for holder in holders for row in holder.rows]
        bindings = tuple(dict.fromkeys(await in_parts(rows, lambda part: [_shown(row) for row in part])))
    return await in_parts(bindings, lambda part: chain.from_iterable(_listed(one, holders) for one in part))


def _shown(row: BoundDomain) -> Binding:
    return Binding("domain", row.url_domain.lower(), row.instance_id)


def _listed(binding: Binding, holders: Sequence[_Holder]) -> Iterator[Bound]:
    """On each instance as the first of the holders has it."""
    rows = defaultdict[str | None, list[tuple[BoundDomain, _Holder]]](list)
    for holder in holders:
        for row in holder.rows.about(binding):
            rows[row.instance_id].append((row, holder))
    for (row, first), *others in rows.values():
        yield _at(binding, row, first, tuple(one.stored.certificate_id for _, one in others))
    if not rows:
        yield Bound(binding, None)


def _at(binding: Binding, row: BoundDomain, holder: _Holder, others: tuple[str, ...] = ()) -> Bound:
    return Bound(binding.at(row.instance_id), holder.stored, row.verified_client_certificate_enabled, others)
