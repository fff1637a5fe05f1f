"""A domain listed without its instance, and served by another certificate on an instance beside those that have ours.

It is meant wherever it is bound. But nothing is taken from what is newer, from another deployment of the settings, or
from what asks clients for certificates where ours would not.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from worker.core.bundle import Leaf
from worker.core.deployment import Deployment
from worker.core.planning import Bound, Observed, Stored, supersedes
from worker.core.retirement import Claims
from worker.core.uploads import base_name
from worker.core.urgency import Urgency


@dataclass(frozen=True, slots=True)
class Further:
    """Of one deployment. `claims`: what the settings name; `leaf` is None where nothing tells how old ours will be."""

    deployment: Deployment
    leaf: Leaf | None
    urgency: Urgency
    claims: Claims

    def left_out(self, observed: Observed) -> Observed:
        """What stays with its certificate is `left_alone`, and no more among what is bound."""
        own = {one.certificate_id for one in (observed.stored, *observed.leftovers) if one is not None}
        listed = self.deployment.bindings or ()
        bare = {one.name for one in listed if one.kind == "domain" and one.instance_id is None}
        served = bare.intersection(one.binding.name for one in observed.bound if _is_of(one, own))
        further = [one for one in observed.bound if one.binding.name in served and not _is_of(one, own)]
        left = tuple(one.binding for one in further if self._stays(_certificate(one, observed), observed))
        if not left:
            return observed
        places = {one.place for one in left}
        bound = tuple(one for one in observed.bound if one.binding.place not in places)
        return replace(observed, bound=bound, left_alone=left)

    def _stays(self, there: Stored | None, observed: Observed) -> bool:
        if there is None or self.leaf is None or self.deployment.strategy == "rebind":
            return True
        is_newer = supersedes(there, self.leaf, self.urgency)
        return is_newer or self._is_claimed(there) or (bool(there.has_trusted_root_ca) and not self._has_ca(observed))

    def _is_claimed(self, there: Stored) -> bool:
        names = {there.certificate_id.lower(), there.name.lower(), base_name(there.name, "_").lower()}
        return any((self.deployment.gateway, one) in self.claims for one in names)

    def _has_ca(self, observed: Observed) -> bool:
        """Whether ours asks clients for certificates: what is modified keeps what it has, a new one gets the file's."""
        is_kept = self.deployment.moves or (observed.stored is not None and bool(observed.stored.has_trusted_root_ca))
        return is_kept and self.deployment.trusted_root_ca is not None


def _is_of(one: Bound, own: Collection[str]) -> bool:
    return one.stored is not None and one.stored.certificate_id in own


def _certificate(one: Bound, observed: Observed) -> Stored | None:
    return one.stored or next((observed.foreign.get(other) for other in one.others), None)
