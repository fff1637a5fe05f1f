"""The fleet as it is known to this process: kept up outcome by outcome, shown at any moment at next to no cost."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from worker import __version__
from worker.broker.base import BrokerState
from worker.broker.base import Dead as Letter
from worker.core.deployment import Certificate
from worker.core.outcome import Report
from worker.effort import Effort
from worker.fleet.latest import Bindings, Histories
from worker.fleet.letters import SURE_AFTER, DeadLetters
from worker.fleet.progress import RunningRotations
from worker.fleet.spans import SeriesWindow, spans
from worker.fleet.standing import CertificateStanding, Ended, State
from worker.fleet.standings import Standings
from worker.fleet.told import OutcomeEvent, key_of, told_in
from worker.fleet.values import CertificateDetails, DeploymentDetails, Fleet, GatewayStanding, GivenUp, Parked, Role
from worker.fleet.waiting import SHOWN, WaitingRenewals, by_age

_RECENT: Final = 100
_REMEMBERED: Final = 5000
"""Events: what comes twice comes soon."""
_BELIEVED: Final = 1.0
"""Seconds for which the broker's counts are believed."""
_AT_MOST_EVERY: Final = 0.25
_LOOK_EVERY: Final = 2.0


@dataclass(frozen=True, slots=True)
class FleetInputs:
    """What is asked now and then."""

    state: Callable[[], Awaitable[BrokerState]]
    letters: Callable[[], Awaitable[Sequence[Letter]]]
    gateways: Callable[[], Sequence[GatewayStanding]]
    is_stopping: Callable[[], bool]
    now: Callable[[], datetime]


@dataclass(slots=True, eq=False)
class FleetModel:
    """Both a FleetSource and an Onlooker. Times of the loop's clock in seconds."""

    certificates: Mapping[str, Certificate]
    progress: RunningRotations
    inputs: FleetInputs
    history_problem: str | None = None
    is_reading_history: bool = True
    """What this process tells meanwhile is newer, and taken in after it."""
    _started_at: datetime = field(init=False)
    _standings: Standings = field(init=False)
    _waiting: WaitingRenewals = field(default_factory=WaitingRenewals)
    _spans: tuple[SeriesWindow, ...] = field(default_factory=spans)
    _histories: Histories = field(default_factory=Histories)
    _recent: deque[Ended] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _known: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)
    _meanwhile: list[tuple[Mapping[str, object], Report]] = field(default_factory=list)
    _newcomers: set[str] = field(default_factory=set)
    """Certificates that have come into the settings since the history was read."""
    _missed: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """Those of them for which it is read again, and what was told of each since."""
    _letters: DeadLetters = field(init=False)
    _version: int = 1
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _state: BrokerState = field(default_factory=lambda: BrokerState(is_connected=False, is_active=False))
    _state_at: float = float("-inf")
    _gateways: Sequence[GatewayStanding] = ()
    _is_certain: bool = False
    """What is known as dead is what the broker counts; else some may have been put back or dropped."""
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._started_at = self.inputs.now()
        self.progress.moved = self._look_again
        self._standings = Standings(self.certificates, self._state_of)
        self._letters = DeadLetters(self.inputs.letters)

    def keep_to(self, certificates: Mapping[str, Certificate]) -> None:
        """The settings were read again."""
        self._newcomers |= certificates.keys() - self.certificates.keys()
        self.certificates = certificates
        self.progress.keep_to(certificates)
        self._standings.keep_to(certificates)
        self._move()

    # What is heard

    @contextmanager
    def rotating(self, certificate: str, renewal_id: str, attempt: int, effort: Effort) -> Iterator[None]:
        self._waiting.begun(certificate, renewal_id)
        with self.progress.rotating(certificate, renewal_id, attempt, effort):
            yield

    def parked(self, one: Parked, *, is_named: bool) -> None:
        self._waiting.park(one, is_named=is_named)
        self._look_again(one.certificate)

    def told(self, event: Mapping[str, object], report: Report) -> None:
        """By this process, just now. What was told before is taken in before."""
        if self.is_reading_history:
            self._meanwhile.append((event, report))
            return
        self.recall(event)
        subject = event.get("subject")
        if isinstance(subject, str):
            self._standings.list_all(subject, report)

    def recall(self, event: Mapping[str, object], *, is_heard: bool = False) -> None:
        """An outcome of whoever it may be, once. `is_heard`: only certificates that were not there then are to hear."""
        is_known = is_heard or key_of(event) in self._known
        if is_known and not self._missed:
            return  # so ends all that this process has told itself: it need not be read
        told = told_in(event)
        if told is None:
            return
        if not is_known:
            self._count(told)
            self._take_in(told)
        elif told.key not in self._missed.get(told.ended.certificate or "", {told.key}):
            self._take_in(told)

    def _count(self, told: OutcomeEvent) -> None:
        self._remember(told.key)
        self._recent.append(told.ended)
        now = self.inputs.now()
        for span in self._spans:
            span.add(told.ended, now)
        self._waiting.ended(told.ended)

    def _take_in(self, told: OutcomeEvent) -> None:
        name = told.ended.certificate
        self._standings.take_in(told)
        if name is not None and name in self.certificates:
            self._histories.add(name, told.ended)
            self._missed.get(name, set()).add(told.key)
        self._move()

    def begin_again(self) -> bool:
        """Whether the history is to be read anew, for certificates that were not in the settings when it was."""
        found = self._newcomers & self.certificates.keys()
        self._newcomers.clear()
        for name in found:
            # What was told of them since then is told once more, after what was told before.
            self._standings.forget(name)
            self._histories.forget(name)
            self._missed[name] = set()
        self.is_reading_history |= bool(found)
        return bool(found)

    def end_of_history(self, problem: str | None = None) -> None:
        """All that was told before is known, or cannot be."""
        if self.history_problem != problem:
            self.history_problem = problem
            self._move()
        if self.is_reading_history:
            self.is_reading_history = False
            self._missed.clear()
            self._state_at = float("-inf")  # what the broker counts says what of it is so still
            meanwhile, self._meanwhile = self._meanwhile, []
            for event, report in meanwhile:
                self.told(event, report)
            self._move()

    def _remember(self, key: tuple[str, str]) -> None:
        self._known[key] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _look_again(self, certificate: str | None) -> None:
        self._standings.look_again(certificate)
        self._move()

    def _move(self) -> None:
        self._version += 1
        self._moved.set()

    def _state_of(self, standing: CertificateStanding) -> State:
        if standing.name in self.progress:
            return "rotating"
        if self._waiting.is_parked(standing.name):
            return "parked"
        if standing.last is None:
            return "unknown"
        if standing.last.outcome != "failed":
            return "served"
        return "dead" if self._waiting.is_dead(standing) else "failed"

    # What is shown

    async def fleet(self) -> Fleet:
        await self._look()
        version = self._version  # of before others had their turns: what moves in them has a later one
        running = await self.progress.running()
        now, waiting = self.inputs.now(), self._waiting
        parked = sorted(waiting.parked.values(), key=lambda one: one.until)
        return Fleet(
            now,
            version,
            __version__,
            self._started_at,
            self._role(),
            self._standings.all(),
            dict(self._standings.states),
            running,
            parked[:SHOWN],
            self._state.parked,
            self._judged(by_age(waiting.dead)),
            self._state.dead,
            self._state.ready,
            self._gateways,
            [span.series(now) for span in self._spans],
            tuple(reversed(self._recent)),
            self.history_problem,
            self.is_reading_history,
        )

    async def certificate(self, name: str) -> CertificateDetails | None:
        await self._look()
        standing = self._standings.of(name)
        if standing is None:
            return None
        listed, (parked, dead) = self._standings.listings.of(name), self._waiting.of(name)
        nothing = Bindings((), is_complete=False)
        found = [(one, listed.get(one.key, nothing)) for one in standing.deployments]
        places = [DeploymentDetails(one, bindings.listed, bindings.is_complete) for one, bindings in found]
        known = self._histories.of(name), self.progress.of(name), parked, self._judged(dead)
        return CertificateDetails(self.inputs.now(), self._version, standing, places, *known)

    async def changed(self, since: int) -> int:
        await asyncio.sleep(_AT_MOST_EVERY)
        while self._version == since:
            self._moved.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._moved.wait()
            await self._look()
        return self._version

    async def state(self) -> BrokerState:
        """The broker's, at most a second old. Never raises."""
        await self._look()
        return self._state

    async def read_letters(self) -> None:
        """Once it is time to, though nobody looks on; who does waits for nothing. Raises what the broker raises."""
        for certificate in self._waiting.found_dead(await self._letters.wanted(self._look)):
            self._standings.look_again(certificate)
        self._letters.are_known(self._state.dead, len(self._waiting.dead))
        self._is_certain = True
        self._move()

    def _role(self) -> Role:
        if self.inputs.is_stopping():
            return "draining"
        if not self._state.is_connected:
            return "not connected"
        return "consuming" if self._state.is_active else "standing by"

    def _judged(self, dead: Sequence[GivenUp]) -> Sequence[GivenUp]:
        return dead if self._is_certain else [replace(one, is_certain=False) for one in dead]

    def _compare(self, now: float) -> None:
        """What is known as dead with what the broker counts: that there are none, who stands by knows, too."""
        sure_before = self.inputs.now() - timedelta(seconds=SURE_AFTER)
        is_counted = self._state.is_connected and self._state.is_counted and not self.is_reading_history
        if is_counted and not self._state.dead:
            for certificate in self._waiting.none_dead(sure_before):
                self._look_again(certificate)
        counted, known = self._state.dead, len(self._waiting.dead)
        if self._state.is_active and not self.is_reading_history:
            self._letters.look(counted, known, now)
        is_all = known - self._waiting.given_up_since(sure_before) <= counted <= known
        if is_counted or self.is_reading_history:
            self._is_certain = is_counted and (is_all or self._letters.explain(counted, known))

    async def _look(self) -> None:
        """The broker's counts and the gateways, for all who ask within a second."""
        clock = asyncio.get_running_loop().time
        async with self._looking:
            if clock() < self._state_at + _BELIEVED:
                return
            before = self._state, self._gateways, self._is_certain
            self._state, self._gateways = await self.inputs.state(), self.inputs.gateways()
            self._state_at = clock()
            for certificate in self._waiting.overdue(self.inputs.now()):
                self._look_again(certificate)
            self._compare(clock())
            if before != (self._state, self._gateways, self._is_certain):
                self._move()
