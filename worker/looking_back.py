"""After the way back: whether clients are served again what they were before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from worker.core.bundle import Leaf
from worker.core.deployment import Certificate, Deployment
from worker.core.planning import Plan
from worker.core.proof import Asked, Served, Verifier
from worker.core.waiting import Step


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
        name, waiting = self.certificate.name, frozenset(self._beside())
        served = replace(served, certificate=name, previous=previous, is_whole=False, waiting=waiting)
        if self.asked is None or not self.asked(served):
            return None
        return not await self.verify(served)

    def _beside(self) -> Iterator[str]:
        for one, step in zip(self.certificate.deployments, self.steps, strict=False):
            if one is not self.deployment:
                bindings = (*step.attach, *step.unchanged) if isinstance(step, Plan) else one.bindings or ()
                yield from (each.name for each in bindings)
