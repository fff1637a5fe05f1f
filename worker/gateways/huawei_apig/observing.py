"""Reading what an `in_place` deployment has: its stored certificate, and every domain bound to it."""

from collections import defaultdict
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Final, TypeVar

from worker.core.deployment import Binding, Deployment
from worker.core.errors import PermanentError
from worker.core.planning import Bound, Observed, Stored
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.listing import Candidate, Listing
from worker.gateways.huawei_apig.wire import BoundDomain, Certificate
from worker.gateways.together import both, together
from worker.in_parts import in_parts

T = TypeVar("T")
_MOST_ASKED: Final = 20
"""Certificates whose domains are listed to learn when the first of what is served ends."""


async def observe_in_place(
    client: ApigClient, listing: Listing, deployment: Deployment, *, elsewhere: bool
) -> Observed:
    (stored, listed), rows = await _stored_and_bound(client, deployment)
    lists = {deployment.name or "": listed} | ({} if stored is None else {stored.certificate_id: len(rows)})
    if deployment.bindings is None:
        found = await in_parts(rows, lambda part: [_bound(row, stored) for row in part])
        return Observed(stored, tuple(found), lists=lists)
    known = Rows(rows)
    missing = await in_parts(deployment.bindings, lambda part: _missing(part, stored, known))
    others = await _elsewhere(client, listing, stored, missing, known) if elsewhere else {}
    foreign = await _facts_of(client, others, missing, known)

    def as_they_are(part: Sequence[Binding]) -> Iterator[Bound]:
        return chain.from_iterable(_as_it_is(one, stored, known, others) for one in part)

    bound = tuple(await in_parts(deployment.bindings, as_they_are))
    return Observed(stored, bound, lists=lists, foreign=foreign)


async def find_certificate(client: ApigClient, certificate_id: str | None, name: str | None) -> Certificate | None:
    """By id; where there is none, by name. None when it does not exist."""
    found, _ = await _find(client, certificate_id, name)
    return found


async def _find(client: ApigClient, certificate_id: str | None, name: str | None) -> tuple[Certificate | None, int]:
    """Also how many were listed for it."""
    if certificate_id is not None:
        try:
            return await client.show(certificate_id), 0
        except PermanentError as error:
            if error.reason != "not_found":
                raise
            if name is None:
                told = "the stored certificate does not exist, and the deployment has no name to create it"
                raise PermanentError("not_found", told, status=error.status, code=error.code) from None
    if name is None:
        return None, 0
    listed = await client.listed(name)
    # The gateway's filter may match parts of names.
    same = [one for one in listed if one.name == name]
    if len(same) > 1:
        raise PermanentError("ambiguous_name", "several stored certificates have the deployment's name")
    return await client.show(same[0].id) if same else None, len(listed)


class Rows:
    """Bound domains, found by name."""

    def __init__(self, rows: Sequence[BoundDomain] = ()) -> None:
        self._by_name: defaultdict[str, list[BoundDomain]] = defaultdict(list)
        self.add(rows)

    def add(self, rows: Sequence[BoundDomain]) -> None:
        for row in rows:
            self._by_name[row.url_domain.lower()].append(row)

    def __len__(self) -> int:
        return sum(map(len, self._by_name.values()))

    def __iter__(self) -> Iterator[BoundDomain]:
        return chain.from_iterable(self._by_name.values())

    def about(self, binding: Binding) -> Sequence[BoundDomain]:
        """Those of the binding's instance, or of every one where it names none."""
        rows, instance_id = self._by_name.get(binding.name, ()), binding.instance_id
        return rows if instance_id is None else [row for row in rows if row.instance_id == instance_id]


async def _stored_and_bound(
    client: ApigClient, deployment: Deployment
) -> tuple[tuple[Stored | None, int], Sequence[BoundDomain]]:
    """Read together where the id is known, which saves a round trip. Also how many were listed to find it."""
    finding = _find(client, deployment.certificate_id, deployment.name)
    known = deployment.certificate_id
    if known is None:
        (found, listed), rows = await finding, None
    else:
        (found, listed), rows = await both(finding, _bound_domains(client, known))
    if found is None:
        return (None, listed), ()
    if rows is None or found.id != known:
        rows = await client.bound_domains(found.id)
    return (found.stored(), listed), rows


async def _elsewhere(
    client: ApigClient, listing: Listing, stored: Stored | None, missing: Sequence[Binding], known: Rows
) -> Mapping[str, Rows]:
    """Where listed domains that are not bound to `stored` are bound to other certificates (by id), with which flags.

    Costs nothing while all that is listed is listed with its instance, and bound to `stored`. Else a list of all
    certificates, and one of the domains of each other certificate whose names cover one that is looked for: one after
    another, until each is found. One without an instance may be bound on several: for it all of them are read, by a
    list of late where it is `known` to be bound. Where nothing is stored yet there is no way back, and what is listed
    with its instance and its flag is not looked for.
    """
    found = dict[str, Rows]()
    is_told = stored is None
    wanted = [one for one in missing if not (is_told and one.instance_id and one.client_verification is not None)]
    if not wanted:
        return found
    looked_for = covering(wanted)
    for one in await candidates(listing, wanted, [known]):
        is_own = stored is not None and one.id == stored.certificate_id
        if not is_own and one.may_serve(looked_for):
            rows = found[one.id] = Rows(await _bound_domains(client, one.id))
            wanted = [it for it in wanted if it.instance_id is None or not rows.about(it)]
            looked_for = covering(wanted)
    return found


async def _facts_of(
    client: ApigClient, others: Mapping[str, Rows], missing: Sequence[Binding], known: Rows
) -> Mapping[str, Stored]:
    """Of certificates, by id, that serve on another instance what is `known` to be bound to the deployment's own."""
    shared = [one for one in missing if one.instance_id is None and known.about(one)] if others else ()
    ids = [key for key, rows in others.items() if any(rows.about(one) for one in shared)]
    shown = await together(unless_gone(client.show(one)) for one in ids)
    return {one.id: one.stored() for one in shown if one is not None}


async def candidates(listing: Listing, wanted: Sequence[Binding], own: Sequence[Rows]) -> Sequence[Candidate]:
    """What is bound nowhere among the deployment's `own` is looked for by a list of now, all others by one of late."""
    is_known = all(any(rows.about(one) for rows in own) for one in wanted)
    return await (listing.of_late(covering(wanted)) if is_known else listing.now(covering(wanted)))


async def served_until(client: ApigClient, bindings: Sequence[Binding]) -> datetime | None:
    """When the first certificate that one of these domains has expires: what ends first is asked first."""
    names = covering(bindings)
    ending = sorted(
        (one.not_after, one.id) for one in await client.listed() if one.not_after is not None and one.may_serve(names)
    )
    for end, certificate_id in ending[:_MOST_ASKED]:
        rows = Rows(await _bound_domains(client, certificate_id))
        if any(rows.about(one) for one in bindings):
            return end
    return None


def covering(bindings: Sequence[Binding]) -> frozenset[str]:
    """The names by which a certificate may cover one of the domains."""
    wild = (f"*.{one.name.partition('.')[2]}" for one in bindings)
    return frozenset(one.name for one in bindings).union(wild)


async def _bound_domains(client: ApigClient, certificate_id: str) -> Sequence[BoundDomain]:
    return await unless_gone(client.bound_domains(certificate_id)) or ()


async def unless_gone(reading: Awaitable[T]) -> T | None:
    """None where the certificate was deleted meanwhile."""
    try:
        return await reading
    except PermanentError as error:
        if error.reason != "not_found":
            raise
        return None


def _bound(row: BoundDomain, stored: Stored | None) -> Bound:
    binding = Binding("domain", row.url_domain.lower(), row.instance_id)
    return Bound(binding, stored, row.verified_client_certificate_enabled)


def _within(binding: Binding, stored: Stored | None) -> Binding:
    """One listed without an instance can be only on the instance that the certificate is limited to, if it is."""
    limited_to = None if stored is None else stored.instance_id
    return binding.at(binding.instance_id or limited_to)


def _missing(bindings: Sequence[Binding], stored: Stored | None, known: Rows) -> Sequence[Binding]:
    """One without an instance may be bound to others on other instances."""
    scoped = (_within(one, stored) for one in bindings)
    return [one for one in scoped if one.instance_id is None or not known.about(one)]


def _as_it_is(binding: Binding, stored: Stored | None, rows: Rows, elsewhere: Mapping[str, Rows]) -> Sequence[Bound]:
    """A listed domain as it is.

    One listed without an instance means those where it is bound already, to `stored` or to another certificate; else
    the instance that the certificate is limited to; else every instance. So nothing is attached where nobody asked for
    it.
    """
    scoped = _within(binding, stored)
    ours = {row.instance_id: _at(binding, row, stored) for row in rows.about(binding)}
    others = ((one, row) for one, found in elsewhere.items() for row in found.about(scoped))
    theirs = [_at(scoped, row, None, (one,)) for one, row in others if row.instance_id not in ours]
    return [*ours.values(), *theirs] or [Bound(scoped, None)]


def _at(binding: Binding, row: BoundDomain, stored: Stored | None, others: Sequence[str] = ()) -> Bound:
    return Bound(binding.at(row.instance_id), stored, row.verified_client_certificate_enabled, others)
