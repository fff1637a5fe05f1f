"""A domain listed without its instance, and served by another certificate on an instance beside those that have ours.

It is meant wherever it is bound. But nothing is taken from what is newer, from another deployment of the settings, or
from what asks clients for certificates where ours would not.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from worker.core.bundle import Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.planning import Bound, Observed, Stored, supersedes
from worker.core.retirement import Claims
from worker.core.snapshot import Place
from worker.core.uploads import base_name
from worker.core.urgency import Urgency


@dataclass(frozen=True, slots=True)
class Further:
    """Of one deployment. `claims`: what the settings name; `leaf` is None where nothing tells how old ours will be."""

    deployment: Deployment
    leaf: Leaf | None
    urgency: Urgency
    claims: Claims
    planned: Collection[Place] = ()
    """By an earlier attempt of the same renewal, and as it was then: what it has begun is gone on with."""

    def left_out(self, observed: Observed) -> Observed:
        """What stays with its certificate is `left_alone`, and no more among what is bound."""
        own = {one.certificate_id for one in (observed.stored, *observed.leftovers) if one is not None}
        listed = [one for one in self.deployment.bindings or () if one.kind == "domain"]
        bare = {one.name for one in listed if one.instance_id is None}
        served = bare.intersection(one.binding.name for one in observed.bound if _is_of(one, own))
        exact = {one.place for one in listed}
        further = [one for one in observed.bound if one.binding.name in served and one.binding.place not in exact]
        left = tuple(one.binding for one in further if not _is_of(one, own) and self._stays(one, observed))
        if not left:
            return observed
        places = {one.place for one in left}
        bound = tuple(one for one in observed.bound if one.binding.place not in places)
        return replace(observed, bound=bound, left_alone=left)

    def _stays(self, one: Bound, observed: Observed) -> bool:
        there = one.stored or next((observed.foreign.get(other) for other in one.others), None)
        if one.binding.place in self.planned:
            return False
        if there is None or self._is_claimed(there):
            return True
        lacks_ca = bool(there.has_trusted_root_ca) and not self._has_ca(observed.stored)
        return lacks_ca or self._is_newer(there, observed.stored)

    def _is_newer(self, there: Stored, ours: Stored | None) -> bool:
        if self.leaf is not None and self.deployment.strategy != "rebind":
            return supersedes(there, self.leaf, self.urgency)
        return ours is None or there.not_before is None or ours.not_before is None or there.not_before > ours.not_before

    def _is_claimed(self, there: Stored) -> bool:
        names = {there.certificate_id.lower(), there.name.lower(), base_name(there.name, "_").lower()}
        return any((self.deployment.gateway, one) in self.claims for one in names)

    def _has_ca(self, ours: Stored | None) -> bool:
        """Whether ours asks clients for certificates: what is there keeps what it has, a new one gets the file's."""
        has_ca = ours is not None and bool(ours.has_trusted_root_ca)
        if self.deployment.strategy == "rebind":
            return has_ca
        return (has_ca or self.deployment.moves) and self.deployment.trusted_root_ca is not None


def shown_in(observed: Observed) -> Sequence[Binding]:
    """Every place, also where it stays with another certificate."""
    return [*(one.binding for one in observed.bound), *observed.left_alone]


def _is_of(one: Bound, own: Collection[str]) -> bool:
    return one.stored is not None and one.stored.certificate_id in own
