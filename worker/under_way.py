"""What is under way at one deployment, for whoever looks on: estimated, watched, and told where it takes long."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from worker.core.deployment import Deployment
from worker.core.outcome import BindingResult
from worker.core.planning import Plan
from worker.forecast import Forecast, Work, stand
from worker.gateways.base import Gateway
from worker.reminding import reminding


class Watcher(Protocol):
    """Hears how a rotation gets on, for progress bars and tables."""

    def planned(self, deployment: Deployment, work: Work) -> None:
        """A second time where it turns out bad, and `goes_back`."""
        ...

    def bound(self, deployment: Deployment, result: BindingResult) -> None:
        """As the gateway answers; what goes back is `rolled_back`, or `failed`."""
        ...


class Unwatched:
    """Nobody looks."""

    def planned(self, deployment: Deployment, work: Work) -> None: ...

    def bound(self, deployment: Deployment, result: BindingResult) -> None: ...


@dataclass(slots=True)
class UnderWay:
    """One way at a time: the one back begins in the middle of the one forth, or after it."""

    gateway: Gateway
    deployment: Deployment
    forecast: Forecast
    watcher: Watcher
    _work: Work = field(init=False)
    _ends: ExitStack = field(default_factory=ExitStack, init=False)

    @contextmanager
    def along(self, todo: Plan, *, goes_back: bool = False) -> Iterator[Work]:
        """Inside the block the plan is carried out; what was under way here before has ended."""
        self._ends.close()
        with ExitStack() as self._ends:
            work = self._ends.enter_context(self.forecast.of(self.gateway, self.deployment, todo, goes_back=goes_back))
            self._ends.enter_context(reminding(lambda: stand(self.deployment.gateway, work.account, work)))
            self._work = work
            self.watcher.planned(self.deployment, work)
            yield work

    def heard(self, result: BindingResult) -> None:
        """Of one binding on the way."""
        self._work.heard(result)
        self.watcher.bound(self.deployment, result)
