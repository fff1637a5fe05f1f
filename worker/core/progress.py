"""How far a plan is carried out at one deployment."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.core.deployment import Binding, Deployment
from worker.core.outcome import BindingResult, DeploymentReport
from worker.core.planning import Create, Modify, Plan, Stored
from worker.core.proof import NOT_LOOKED, Reach, Shortfall
from worker.core.reporting import reported, unproven


@dataclass(frozen=True, slots=True)
class Progress:
    """In this attempt, and where its plan tells of it in those before."""

    todo: Plan
    stored: Stored | None = None
    """What is served from now on; None before it is there, and where each binding has its own."""
    results: tuple[BindingResult, ...] = ()
    reached: tuple[Binding, ...] = ()
    """What may have been moved: all but what was refused for good."""
    reach: Reach = NOT_LOOKED
    """Of endpoints, before what they serve was changed, as far as any attempt has looked."""
    has_looked: bool = False
    """This attempt did, at all that it will ask."""
    lost: tuple[Binding, ...] = ()
    """What has moved, and is shown without the client-verification flag that it had, although that was set again."""
    is_dim: bool = False
    """Something that was asked did not answer, as it had not before."""
    is_dark: bool = False
    """Nothing that was asked so far has answered, as it had not before: what has moved is no canary."""
    is_blind: bool = False
    """Nothing that was asked of it in this attempt could be reached."""
    proven: frozenset[Binding] = frozenset()
    """What was seen served as it shall be, in this attempt or, since it was changed last, in one before."""
    is_proven: bool = False
    """Wave by wave, or as a whole."""
    bad: Sequence[Shortfall] = ()
    """Why it was found bad; what can go back went."""

    @property
    def good(self) -> Sequence[Binding]:
        """What has the certificate, as far as is known."""
        return [one.binding for one in self.results if one.state != "failed"]

    @property
    def unproven(self) -> Sequence[Binding]:
        """Of what is good."""
        return [one for one in self.good if one not in self.proven]

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

    def so_far(self, deployment: Deployment) -> DeploymentReport | None:
        """What may be there by now, should nobody come to tell more; None where it can be nothing."""
        if not self.results or (self.stored is None and isinstance(self.todo.replacement, Create | Modify)):
            return None
        known = {one.binding for one in self.results}
        rest = [BindingResult(one, "unchanged") for one in self.todo.attach if one not in known]
        told = reported(deployment, self.todo, self.stored, (*self.results, *rest))
        return unproven(told, self.bad, why="")

    def reported(self, deployment: Deployment) -> DeploymentReport:
        return reported(deployment, self.todo, self.stored, self.results)
