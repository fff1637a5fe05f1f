"""After the way back: whether clients are served again what they were before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from worker.core.bundle import Leaf
from worker.core.deployment import Certificate, Deployment
from worker.core.proof import Asked, Served, Verifier
from worker.core.waiting import Step, names_at


@dataclass(frozen=True, slots=True)
class LookingBack:
    """At what went back at one deployment, until it is served or the verifier's time is over."""

    verify: Verifier
    asked: Asked | None
    certificate: Certificate
    deployment: Deployment
    steps: Sequence[Step]
    """Of all its deployments."""
    bad: Leaf | None

    async def __call__(self, served: Served, /) -> bool | None:
        """None where nobody is asked. What another deployment serves, too, says nothing."""
        previous = () if self.bad is None else (str(self.bad.serial_number),)
        others = zip(self.certificate.deployments, self.steps, strict=False)
        beside = (names_at(one, step) for one, step in others if one is not self.deployment)
        name, waiting = self.certificate.name, frozenset(chain.from_iterable(beside))
        served = replace(served, certificate=name, previous=previous, is_whole=False, waiting=waiting)
        if self.asked is None or not self.asked(served):
            return None
        return not await self.verify(served)
