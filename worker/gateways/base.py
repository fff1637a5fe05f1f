"""What a gateway is to a rotation: four verbs over one cloud account.

Contract. Every method may be repeated: what is done already is found by reading and costs no second change.
All keep the account's limits. All raise only `TransientError` and `PermanentError`; `attach` returns the failure of a
binding instead of raising it, so that one sick binding never stops its siblings. After a call whose effect is unknown
(timeout, reset, 5xx) the gateway reads before it writes again.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, Protocol

from worker.core.bundle import Bundle, Leaf
from worker.core.calls import PlannedCall
from worker.core.deployment import Binding, Deployment
from worker.core.errors import NotAskedError
from worker.core.outcome import BindingResult
from worker.core.planning import Create, Modify, Observed, Plan, Stored
from worker.limits import Usage

if TYPE_CHECKING:
    from worker.gateways.breaker import Outage

OnResult = Callable[[BindingResult], None]
NOWHERE: Final[Mapping[Binding, str]] = MappingProxyType({})
"""Nothing has moved."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """A stored certificate with what is bound to it, for `discover`."""

    stored: Stored
    bindings: Sequence[Binding]
    is_uploaded: bool = True
    """False where the platform renews it by itself."""


@dataclass(frozen=True, slots=True)
class Right:
    """Something that deployments need be allowed at an account, as it was found by trying."""

    what: str
    state: Literal["there", "missing", "unknown"]
    message: str = ""
    """What is missing, or why it is not known."""


class Account(Protocol):
    """What all calls of a gateway go through: one budget, and up or down as one."""

    @property
    def is_down(self) -> bool:
        """Nothing is answered, and only a probe now and then is sent."""
        ...

    @property
    def held_for(self) -> float:
        """Seconds until anything is sent again: it has asked to be left alone for so long."""
        ...

    @property
    def outage(self) -> "Outage | None":
        """For how long it has been down; None while it answers."""
        ...

    def usage(self) -> Usage:
        """How much of its budget is used now."""
        ...

    def refusal(self) -> NotAskedError | None:
        """Why nothing at all would be sent now: it is down, or wants to be left alone for long. None where it would."""
        ...

    def seconds_for(self, calls: int, longest: int | None = None) -> float:
        """How long so many calls take at least, by limits and latency.

        `longest`: as many as the longest rotation among them has; None: they are all one's. A long one takes its time.
        """
        ...

    def inherit(self, idle: float) -> None:
        """Another worker was at this account until `idle` seconds ago: its limits are taken for used."""
        ...


class Gateway(Protocol):
    """One cloud account behind one endpoint."""

    @property
    def name(self) -> str: ...

    @property
    def account(self) -> Account: ...

    @property
    def tells_beginnings(self) -> bool:
        """Whether it tells since when what it holds is valid: without that nobody can see there which is newer."""
        ...

    def calls(self, deployment: Deployment, todo: Plan) -> Sequence[PlannedCall]:
        """What carrying out the plan calls where all goes well, in order, reading back and retiring included.

        Calls of one step and wave go together, in any order. Counting them makes none of them: it is cheap.
        """
        ...

    async def observe(
        self, deployment: Deployment, leaf: Leaf | None, *, elsewhere: bool = True, known: Collection[str] = ()
    ) -> Observed:
        """Everything about the deployment, every page of it, by reading only.

        `elsewhere`: also what a listed binding is bound to that is not bound to the deployment's own certificate.
        `known`: ids of certificates that bindings are known to have been bound to: none of them is left out for being
        one of too many, nor where what came from it is shown with the deployment's own by now.
        """
        ...

    async def served_until(self, bindings: Sequence[Binding]) -> datetime | None:
        """When the first of what these bindings are bound to expires; for what `observe` does not tell of.

        By reading only; None where nobody tells, or only more calls than a few would.
        """
        ...

    async def replace(self, deployment: Deployment, how: Modify | Create, bundle: Bundle) -> Stored:
        """The certificate stored in the place of the old one, or as a new one; read where the answer is in doubt."""
        ...

    async def attach(
        self,
        deployment: Deployment,
        to: Stored | None,
        bindings: Sequence[Binding],
        bundle: Bundle | None,
        on_result: OnResult,
    ) -> Sequence[BindingResult]:
        """Every binding bound to `to`, together; one result each, which `on_result` hears of as it comes.

        For `per_domain` each is bound to an upload of its own, and `to` is None.
        """
        ...

    @property
    def detaches(self) -> bool:
        """Whether it has a call to bind a place to nothing again."""
        ...

    async def detach(self, stored: Stored, bindings: Sequence[Binding], on_result: OnResult) -> Sequence[BindingResult]:
        """What had nothing before is bound to nothing again; one result each, which `on_result` hears of as it comes.

        What is not bound to it is left alone.
        """
        ...

    async def retire(self, stored: Stored, moved: Mapping[Binding, str] = NOWHERE) -> bool:
        """Deletes a stored certificate if nothing is bound to it, and tells whether it is gone.

        `moved`: what is bound to another one by now, by its id: where it is shown with both, that is no reason to keep
        this one. What is shown with this one alone is. It is looked at before and after: few times for all of them.
        """
        ...

    async def discover(self) -> Sequence[Discovered]:
        """All that is stored and bound at the account."""
        ...

    async def show(self, certificate_id: str) -> Stored:
        """What is stored there by this id; PermanentError `not_found` where nothing is."""
        ...

    async def check(self) -> None:
        """One cheap read, to learn whether endpoint and credentials are good."""
        ...

    async def rights(self, deployments: Sequence[Deployment]) -> Sequence[Right]:
        """Every right that these deployments of the account need, each tried by a call that changes nothing."""
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...
