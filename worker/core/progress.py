"""How far a plan is carried out at one deployment."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.core.deployment import Binding, Deployment
from worker.core.outcome import BindingResult, DeploymentReport
from worker.core.planning import Modify, Plan, Stored
from worker.core.proof import Shortfall
from worker.core.reporting import reported


@dataclass(frozen=True, slots=True)
class Progress:
    """In this attempt, and where its plan tells of it in those before."""

    todo: Plan
    stored: Stored | None = None
    """What is served from now on; None before it is there, and where each binding has its own."""
    results: tuple[BindingResult, ...] = ()
    reached: tuple[Binding, ...] = ()
    """What may have been moved: all but what was refused for good."""
    answered: frozenset[str] = frozenset()
    """Endpoints that answered a handshake before what they serve was changed, as far as any attempt has looked."""
    has_looked: bool = False
    """This attempt did, at all that is unchanged and at its first wave."""
    is_proven: bool = False
    """Wave by wave, or as a whole."""
    bad: Sequence[Shortfall] = ()
    """Why it was found bad; what can go back went."""

    @property
    def good(self) -> Sequence[Binding]:
        """What has the certificate, as far as is known."""
        return [one.binding for one in self.results if one.state != "failed"]

    @property
    def moved(self) -> Sequence[Binding]:
        """What this renewal moved, in this attempt or in one before."""
        return [one for one in dict.fromkeys((*self.todo.moved, *self.reached)) if one in self.todo.back_to]

    @property
    def has_changed(self) -> bool:
        return self.todo.was_replaced or not self.todo.is_nothing

    def is_written_at(self, deployment: Deployment) -> bool:
        """Whether this renewal put its certificate in another's place, in this attempt or in one before."""
        return deployment.strategy == "in_place" and (
            self.todo.was_replaced or isinstance(self.todo.replacement, Modify)
        )

    def reported(self, deployment: Deployment) -> DeploymentReport:
        return reported(deployment, self.todo, self.stored, self.results)
