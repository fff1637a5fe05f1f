"""Instances that renewals before could not give the certificate, where a domain is listed without its instance.

Where it is bound to the deployment's own certificate on one instance, no other would be looked at.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, takewhile

from worker.core.deployment import Binding, Deployment
from worker.core.past import Placed
from worker.core.planning import Bound, Observed


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Of one deployment."""

    bindings: tuple[Binding, ...] = ()

    def listed_in(self, deployment: Deployment) -> Deployment:
        """The deployment, which lists them too."""
        if not self.bindings or deployment.bindings is None:
            return deployment
        return replace(deployment, bindings=(*deployment.bindings, *self.bindings))

    def once_each(self, observed: Observed) -> Observed:
        """Each place once, and none of them that is bound to nothing any more: nobody listed that."""
        if not self.bindings:
            return observed
        places = {one.place for one in self.bindings}
        found = {one.binding.place: one for one in observed.bound if one.binding.place not in places or _is_bound(one)}
        return replace(observed, bound=tuple(found.values()))


def left_behind(deployment: Deployment, past: Sequence[Placed]) -> LeftBehind:
    """As outcomes told it since the last one that succeeded. `past`: oldest first."""
    since = list(takewhile(lambda one: not one.is_told, reversed(past)))
    instances = defaultdict[str, set[str]](set)
    for told in chain.from_iterable(one.behind for one in since):
        if told.gateway == deployment.gateway:
            instances[told.name].add(told.instance_id)
    listed = [one for one in deployment.bindings or () if instances and one.kind == "domain" and not one.instance_id]
    return LeftBehind(tuple(one.at(at) for one in listed for at in sorted(instances.get(one.name, ()))))


def _is_bound(one: Bound) -> bool:
    return one.stored is not None or bool(one.others)
