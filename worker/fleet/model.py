"""The fleet as it is known to this process: kept up outcome by outcome, shown at any moment at next to no cost."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from worker import __version__
from worker.broker.base import BrokerError, BrokerState
from worker.broker.base import Dead as Letter
from worker.core.deployment import Certificate
from worker.core.outcome import Report
from worker.effort import Effort
from worker.fleet.latest import Bindings, Histories
from worker.fleet.progress import Progress
from worker.fleet.spans import Span, spans
from worker.fleet.standing import CertificateStanding, Ended, State
from worker.fleet.standings import Standings
from worker.fleet.told import told_in
from worker.fleet.values import CertificateDetails, DeploymentDetails, Fleet, GatewayStanding, Parked, Role
from worker.fleet.waiting import SHOWN, Waiting, by_age

_RECENT: Final = 100
_REMEMBERED: Final = 5000
"""Events: what comes twice comes soon."""
_BELIEVED: Final = 1.0
"""Seconds for which the broker's counts are believed."""
_AT_MOST_EVERY: Final = 0.25
_LOOK_EVERY: Final = 2.0
_LETTERS_EVERY: Final = 60.0
"""Seconds: while they are read, nobody else sees them."""
_MOST_LETTERS: Final = 1000
_SURE_AFTER: Final = 5.0


@dataclass(frozen=True, slots=True)
class Sight:
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
    progress: Progress
    sight: Sight
    history_problem: str | None = None
    is_reading_history: bool = True
    """What this process tells meanwhile is newer, and taken in after it."""
    _started_at: datetime = field(init=False)
    _standings: Standings = field(init=False)
    _waiting: Waiting = field(default_factory=Waiting)
    _spans: tuple[Span, ...] = field(default_factory=spans)
    _histories: Histories = field(default_factory=Histories)
    _recent: deque[Ended] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _known: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)
    _meanwhile: list[Mapping[str, object]] = field(default_factory=list)
    _version: int = 1
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _state: BrokerState = field(default_factory=lambda: BrokerState(is_connected=False, is_active=False))
    _state_at: float = float("-inf")
    _gateways: Sequence[GatewayStanding] = ()
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _letters_at: float = float("-inf")
    _letters_of: tuple[int, int] | None = None
    """How many the broker counted, and were known, when they were read last: read again, they would be the same."""
    _odd: tuple[tuple[int, int], float] = ((0, 0), 0.0)
    """Likewise, where that differs; and since when."""

    def __post_init__(self) -> None:
        self._started_at = self.sight.now()
        self.progress.moved = self._look_again
        self._standings = Standings(self.certificates, self._state_of)

    def keep_to(self, certificates: Mapping[str, Certificate]) -> None:
        """The settings were read again."""
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

    def parked(self, one: Parked) -> None:
        self._waiting.park(one)
        self._look_again(one.certificate)

    def told(self, event: Mapping[str, object], report: Report) -> None:
        """By this process, just now."""
        self.take_in(event)
        subject = event.get("subject")
        if isinstance(subject, str):
            self._standings.list_all(subject, report)

    def take_in(self, event: Mapping[str, object]) -> None:
        """An outcome of whoever it may be, once; those that came before were taken in before."""
        if self.is_reading_history:
            self._meanwhile.append(event)
        else:
            self.recall(event)

    def recall(self, event: Mapping[str, object]) -> None:
        """As `take_in`, of the history that is being read."""
        told = told_in(event)
        if told is None or told.key in self._known:
            return
        self._remember(told.key)
        ended, now = told.ended, self.sight.now()
        self._recent.append(ended)
        for span in self._spans:
            span.add(ended, now)
        self._waiting.ended(ended)
        self._standings.take_in(told)
        if ended.certificate in self.certificates:
            self._histories.add(str(ended.certificate), ended)
        self._move()

    def end_of_history(self, problem: str | None = None) -> None:
        """All that was told before is known, or cannot be."""
        if self.history_problem != problem:
            self.history_problem = problem
            self._move()
        if self.is_reading_history:
            self.is_reading_history = False
            for event in self._meanwhile:
                self.recall(event)
            self._meanwhile.clear()

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
        running = await self.progress.running()
        now, waiting = self.sight.now(), self._waiting
        parked = sorted(waiting.parked.values(), key=lambda one: one.until)
        return Fleet(
            now,
            self._version,
            __version__,
            self._started_at,
            self._role(),
            self._standings.all(),
            dict(self._standings.states),
            running,
            parked[:SHOWN],
            self._state.parked,
            by_age(waiting.dead),
            self._state.dead,
            self._state.ready,
            self._gateways,
            [span.series(now) for span in self._spans],
            tuple(reversed(self._recent)),
            self.history_problem,
            self.is_reading_history,
        )

    async def certificate(self, name: str) -> CertificateDetails | None:
        standing = self._standings.of(name)
        if standing is None:
            return None
        listed, (parked, dead) = self._standings.listings.of(name), self._waiting.of(name)
        nothing = Bindings((), is_complete=False)
        found = [(one, listed.get(one.key, nothing)) for one in standing.deployments]
        places = [DeploymentDetails(one, bindings.listed, bindings.is_complete) for one, bindings in found]
        history, running = self._histories.of(name), self.progress.of(name)
        return CertificateDetails(self.sight.now(), self._version, standing, places, history, running, parked, dead)

    async def changed(self, since: int) -> int:
        await asyncio.sleep(_AT_MOST_EVERY)
        while self._version == since:
            self._moved.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._moved.wait()
            await self._look()
        return self._version

    def _role(self) -> Role:
        if self.sight.is_stopping():
            return "draining"
        if not self._state.is_connected:
            return "not connected"
        return "consuming" if self._state.is_active else "standing by"

    async def _look(self) -> None:
        """The broker's counts and the gateways, for all who ask within a second."""
        clock = asyncio.get_running_loop().time
        async with self._looking:
            if clock() < self._state_at + _BELIEVED:
                return
            before = self._state, self._gateways
            self._state, self._gateways = await self.sight.state(), self.sight.gateways()
            self._state_at = clock()
            for certificate in self._waiting.overdue(self.sight.now()):
                self._look_again(certificate)
            await self._look_at_letters(clock())
            if before != (self._state, self._gateways):
                self._move()

    async def _look_at_letters(self, now: float) -> None:
        """Where the broker counts others than events tell: some were replayed, or died in silence."""
        if not self._is_odd(now) or self.is_reading_history or not self._state.is_active:
            return
        if self._state.dead > _MOST_LETTERS or now < self._letters_at + _LETTERS_EVERY:
            return
        self._letters_at = now
        with suppress(BrokerError):
            for certificate in self._waiting.found_dead(await self.sight.letters()):
                self._look_again(certificate)
            self._letters_of = self._state.dead, len(self._waiting.dead)
            self._move()

    def _is_odd(self, now: float) -> bool:
        """For some time: an outcome is told before its message is buried."""
        counted = self._state.dead, len(self._waiting.dead)
        if counted != self._odd[0]:
            self._odd = counted, now
        is_explained = counted[0] == counted[1] or counted == self._letters_of
        return not is_explained and now >= self._odd[1] + _SURE_AFTER
