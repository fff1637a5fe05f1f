"""How long what is under way still takes: by limits, latency, and who else is at work there."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import ceil, inf
from typing import Final

from worker.core.calls import PlannedCall
from worker.core.deployment import Deployment
from worker.core.events import rfc3339
from worker.core.outcome import BindingResult
from worker.core.planning import Create, Modify, Plan
from worker.core.presumed import presumed
from worker.effort import Effort, current_effort, spending
from worker.gateways.base import Account, Gateway

_CALL: Final = 1 - 1e-9
"""Of whom less is left, as shares are counted, it has ended."""


@dataclass(slots=True, eq=False)
class Work:
    """A plan that is being carried out, or one that is presumed until there is one."""

    account: Account
    calls: int
    """What all of it costs."""
    bindings: int
    left: int
    """Of the bindings, those still to be attached."""
    beside: set["Work"]
    """All that is under way at the same gateway, this included."""
    replaces: bool = False
    """A certificate is stored before anything is attached."""
    effort: Effort = field(default_factory=Effort)
    """Of its rotation: it may become urgent any time."""
    is_stored: Callable[[], bool] = bool
    """Whether that certificate is there by now."""
    closing: int = 0
    """Of the calls, those that follow the last attach."""
    goes_back: bool = False
    """What has turned out bad: its bindings are those that return."""
    at_least: int = 1
    """So many of the calls are left for as long as it is under way, whatever its rotation has sent."""
    _sent: int = field(init=False)
    """What its rotation had sent when a binding was last heard of."""

    def __post_init__(self) -> None:
        self._sent = self.effort.calls

    def heard(self, _result: BindingResult) -> None:
        """One binding has moved, forth or back, or could not."""
        self.left -= 1
        self._sent = self.effort.calls

    @property
    def calls_left(self) -> int:
        """Reading back is left until it is done: it waits under the limits as all else does."""
        if self.left > 0 and self.bindings:
            return self.closing + ceil((self.calls - self.closing) * self.left / self.bindings)
        # Other deployments' calls are the rotation's too.
        closing = self.closing if self.bindings else self.calls
        return max(closing - (self.effort.calls - self._sent), min(closing, self.at_least))

    def seconds_left(self) -> float:
        """The budget is shared in turns, every other of which is the eldest's; the urgent ones have all before that."""
        by_age = sorted(self.beside, key=lambda one: one.effort.number)
        urgent = {number for number, one in enumerate(by_age) if one.effort.urgent}
        calls = sent_until([one.calls_left for one in by_age], by_age.index(self), urgent)
        with spending(self.effort):
            return self.account.seconds_for(calls, _longest(by_age))


def stand(gateway: str, account: Account, work: Work | None) -> Mapping[str, object]:
    """How far the current rotation is there, for the log. `work`: once planned.

    No estimate while it is refused, but for throttling.
    """
    refusal = current_effort().refusal(gateway)
    is_estimated = refusal is None or refusal.is_throttling
    told: dict[str, object] = {"gateway": gateway, "is_planned": work is not None}
    if work is not None:
        told |= {"goes_back": work.goes_back, "bindings": work.left}
        told |= {"seconds": round(work.seconds_left(), 1) if is_estimated else None}
    told["held_seconds"] = round(account.held_for, 1)
    if refusal is not None:
        told |= {"refused_operation": refusal.operation, "refused_reason": refusal.reason}
        told |= {"refused_status": refusal.status, "refused_since": rfc3339(refusal.since)}
    return told


def sent_until(left: Sequence[int], mine: int, urgent: Collection[int] = ()) -> int:
    """Calls that all send together until the one at `mine` has sent its own; `left` by age, those at `urgent` first."""
    before = [left[number] for number in urgent]
    if mine in urgent or not left[mine]:
        return sum(min(calls, left[mine]) for calls in before)
    others = [number for number in range(len(left)) if number not in urgent]
    return round(sum(before) + _in_turns([left[number] for number in others], others.index(mine)))


def _in_turns(left: Sequence[int], mine: int) -> float:
    """Every other turn is the eldest's, the rest is shared evenly. Each is looked at once: there may be a thousand."""
    by_calls = deque(sorted((number for number, calls in enumerate(left) if calls), key=left.__getitem__))
    others, each, sent = len(by_calls), 0.0, 0.0  # `each` of them has sent so much
    for eldest in range(mine + 1):
        rest = left[eldest] - each
        others -= rest >= _CALL
        while rest >= _CALL and left[mine] - each >= _CALL:
            while by_calls and by_calls[0] <= eldest:
                by_calls.popleft()  # has its own turns
            # Until the first of them has ended: the eldest sends as much as all others, and those evenly.
            step = min(rest / max(others, 1), left[by_calls[0]] - each if by_calls else inf)
            each += step
            rest -= step * max(others, 1)
            sent += step * (2 * others or 1)
            while by_calls and left[by_calls[0]] - each < _CALL:
                others -= by_calls.popleft() > eldest
    return sent


def _longest(works: Collection[Work]) -> int:
    """Calls of a rotation, those it has sent included. Many short ones are no long one: none of them is held back."""
    return max((one.effort.calls + one.calls_left for one in works), default=0)


def _closing(calls: Sequence[PlannedCall], todo: Plan) -> int:
    """Of the calls those after the last attach; few are looked at, for looking makes them."""
    last = len(todo.waves) or None

    def is_closing(at: int) -> bool:
        call = calls[at]
        return call.step == "retire" or (call.step == "read_back" and call.wave == last)

    return len(calls) - bisect_left(range(len(calls)), True, key=is_closing)


@contextmanager
def _under_way(work: Work) -> Iterator[None]:
    work.beside.add(work)
    try:
        yield
    finally:
        work.beside.remove(work)
        # Whoever it asks knows it too: together they would wait for the collector of cycles, the key with them.
        work.is_stored = partial(bool, work.is_stored())


@dataclass(frozen=True, slots=True)
class Forecast:
    """All that is under way, by gateway."""

    _works: dict[str, set[Work]] = field(default_factory=dict)
    _put_off: dict[str, Account] = field(default_factory=dict)
    """By gateway: a renewal was last sent away from there, to come again."""
    _attached: dict[str, int] = field(default_factory=dict)
    """By deployment whose bindings the settings do not list: how many it had last."""

    @contextmanager
    def of(self, gateway: Gateway, deployment: Deployment, todo: Plan, *, goes_back: bool = False) -> Iterator[Work]:
        """Carry the plan out inside the block."""
        beside = self._works.setdefault(deployment.gateway, set())
        size = len(todo.attach)
        if deployment.bindings is None and not goes_back:
            self._attached[deployment.key] = size + len(todo.unchanged)
        replaces = isinstance(todo.replacement, Create | Modify)
        calls = gateway.calls(deployment, todo)
        work = Work(gateway.account, len(calls), size, size, beside, replaces, current_effort())
        work.closing, work.goes_back = _closing(calls, todo), goes_back
        self._put_off.pop(deployment.gateway, None)  # it lets itself be asked again
        with _under_way(work):
            yield work

    @contextmanager
    def reading(self, gateways: Mapping[str, Gateway], deployments: Sequence[Deployment]) -> Iterator[None]:
        """Read inside the block what plans need. What is to come then is presumed: about the least that it may be."""
        with ExitStack() as works:
            for one in deployments:
                works.enter_context(_under_way(self._presumed(gateways[one.gateway], one)))
            yield

    def _presumed(self, gateway: Gateway, deployment: Deployment) -> Work:
        """What is read first is taken for as much as what is read back in the end."""
        todo = presumed(deployment, self._attached.get(deployment.key, 1))
        calls = gateway.calls(deployment, todo)
        reads, beside = _closing(calls, todo), self._works.setdefault(deployment.gateway, set())
        to_come = max(len(calls), 1)
        return Work(gateway.account, reads + to_come, 0, 0, beside, effort=current_effort(), at_least=to_come)

    def put_off(self, accounts: Mapping[str, Account]) -> None:
        """By gateway: a renewal failed there in passing, and comes again."""
        self._put_off.update(accounts)

    def seconds_left(self, gateway: str) -> float:
        """Until all that is under way there has ended, or at least until what was put off for a hold may go on."""
        works = self._works.get(gateway, set())
        waited = self._put_off[gateway].held_for if gateway in self._put_off else 0.0
        calls = sum(one.calls_left for one in works)
        accounts = {id(one.account): one.account for one in works}  # one, unless the settings were read again meanwhile
        return max((one.seconds_for(calls, _longest(works)) for one in accounts.values()), default=waited)
