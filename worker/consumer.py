"""A delivery from arrival to its report: open, check, rotate, decide. What is told and settled is `settlement`'s."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final, TypedDict, Unpack

import structlog

from worker.admission import Admission
from worker.beside import unless
from worker.broker.base import Broker, BrokerError, BrokerLostError, Delivery, Message
from worker.broker.facts import Told
from worker.core.backoff import RetryPolicy, jittered
from worker.core.deployment import Certificate
from worker.core.errors import Failure, PostponedError, RotationError, failure_of
from worker.core.outcome import Report, Timing
from worker.core.past import Placed, used_keys
from worker.core.renewal import Renewal
from worker.core.schedule import Wait
from worker.effort import Effort, spending
from worker.finishing import Ending, Session, finished, unbegun, worked_on
from worker.fleet.onlooker import Nobody, Onlooker
from worker.hindsight import Hindsight
from worker.in_hand import InHand
from worker.intake import Intake
from worker.postponing import Appointment, Postponed
from worker.rotation import Rotator
from worker.settlement import UNOPENED, Identity, Settlement, comes_again
from worker.telemetry import Metrics
from worker.tracing import UNTRACED, Subject, Tracing
from worker.turns import Turns

Sieve = Callable[[AsyncIterator[Delivery]], AsyncIterator[Delivery]]
"""Keeps back what a consumer is not to work on, and settles it."""

_log = structlog.get_logger()
STANDSTILL: Final = Failure("gateway_unavailable", "nothing was reached in a whole time slice", transient=True)
TOO_OFTEN: Final = Failure("delivery_limit", "delivered too often without being settled", transient=False)
_MOST_IDLE_SLICES: Final = 4
_STABLE_AFTER: Final = 30.0
"""Seconds: a session at the broker that ends sooner counts as a failed try to connect."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the consumer treats its messages. Durations in seconds."""

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    slice_seconds: float = 900
    drain_seconds: float = 30


class Parts(TypedDict):
    """Of a consumer: what is made of the settings."""

    intake: Intake
    rotator: Rotator
    certificates: Mapping[str, Certificate]
    policy: Policy
    in_use: Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Consumer:
    """Takes renewals as long as it is not stopped; several at once, one at a time per certificate."""

    broker: Broker
    intake: Intake
    rotator: Rotator
    certificates: Mapping[str, Certificate]
    policy: Policy
    metrics: Metrics
    now: Callable[[], datetime]
    chance: Callable[[], float]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    admission: Admission = field(default_factory=lambda: Admission(32))
    on_ended: Callable[[str | None, str], None] = lambda _certificate, _outcome: None
    """Hears of every certificate whose renewal has its outcome."""
    sieve: Sieve = lambda deliveries: deliveries
    tracing: Tracing = UNTRACED
    in_use: Callable[[], AbstractContextManager[None]] = nullcontext
    """Entered for as long as it works on a delivery."""
    onlooker: Onlooker = field(default_factory=Nobody)
    _in_hand: InHand = field(default_factory=InHand)
    _turns: Turns = field(default_factory=Turns)
    _begun: dict[str, Placed] = field(default_factory=dict)
    """By certificate, what this session has put somewhere last."""
    _idle_slices: dict[str, int] = field(default_factory=dict)
    """By a message's digest: slices in a row in which it only read what it had read before, and waited."""
    _postponed: Postponed = field(default_factory=Postponed)
    _heirs: "list[Consumer]" = field(default_factory=list)
    """The one that works on what comes, where the settings are no longer those that this one was made of."""

    def hand_over(self, **parts: Unpack[Parts]) -> None:
        """What comes is worked on with these; what is in hand goes on as it began."""
        # What was found out of renewals that wait is of windows that may be others now.
        self._heirs[:] = [replace(self._heir, _postponed=Postponed(), **parts)]

    @property
    def _heir(self) -> "Consumer":
        return self._heirs[0] if self._heirs else self

    @property
    def is_idle(self) -> bool:
        return not self._in_hand.tasks

    async def run(self) -> None:
        """Until `stopping` is set: consumes, and connects again whenever the broker is lost.

        Only a first connection that the broker refuses ends this: later it is somebody else's mistake, and passes.
        """
        tries, was_connected, clock = 0, False, asyncio.get_running_loop().time
        while not self.stopping.is_set():
            began = clock()
            self.metrics.connects.inc()
            try:
                async with AsyncExitStack() as stack:
                    deliveries = await unless(self.stopping, stack.enter_async_context(self.broker.deliveries()))
                    was_connected = True
                    _log.info("consumer.connected")
                    await self._take(deliveries)
            except TimeoutError:
                if self.stopping.is_set():
                    return
                raise
            except BrokerError as error:
                is_lost = isinstance(error, BrokerLostError)
                if not is_lost and not was_connected:
                    raise
                tries = 1 if clock() - began > _STABLE_AFTER else tries + 1
                _log.warning("consumer.disconnected" if is_lost else "consumer.refused", error=str(error), tries=tries)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), jittered(tries, self.chance(), cap=15))

    async def _take(self, deliveries: AsyncIterator[Delivery]) -> None:
        """Losing the broker cancels what is in hand at once: another worker may be the active one by now."""
        lost: BrokerLostError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                pump = group.create_task(self._pump(deliveries, group))
                await self.stopping.wait()
                # The pump goes on, and takes nothing: it is the one that hears when the broker is lost.
                await self._drain()
                pump.cancel()
        except* BrokerLostError as losses:
            lost = _first(losses)
        finally:
            self._in_hand.session_ended()
            self._begun.clear()  # by the next one others may have put something else there
        if lost is not None:
            raise BrokerLostError(str(lost)) from None

    async def _pump(self, deliveries: AsyncIterator[Delivery], group: asyncio.TaskGroup) -> None:
        session = Session(self.stopping.is_set)
        async for delivery in self.sieve(deliveries):
            message = delivery.message
            if self.stopping.is_set():
                unbegun(message, "returned", "draining")
                continue
            self.metrics.deliveries.inc()
            if message.is_inherited:
                await self._inherit(message)
            ahead, is_given_up = self._in_hand.ahead_of(message), self._in_hand.is_given_up(message)
            work = self._worked_on(delivery, ahead, is_given_up=is_given_up)
            ending = Ending(message, session)
            with ending.awaited():
                task = group.create_task(work)
            self._in_hand.add(task, message)
            task.add_done_callback(ending.over)
        if not self.stopping.is_set():
            raise BrokerLostError("the consumer ended")

    async def _inherit(self, message: Message) -> None:
        """The limits hold for the worker before this one, too: it may have died just now, or told its last long ago."""
        if message.redeliveries:
            if not self._in_hand.has_survived(message):
                self._heir.rotator.inherit(0.0)
            return
        try:
            at = await self.broker.told_by_others_at()
        except BrokerError:
            at = self.now()
        if at is not None:
            self._heir.rotator.inherit(max((self.now() - at).total_seconds(), 0.0))

    async def _drain(self) -> None:
        """What does not finish in time goes back to the broker unsettled, and is delivered again."""
        if not (tasks := self._in_hand.tasks):
            return
        _log.info("consumer.draining", rotations=len(tasks))
        self.admission.close()
        _done, late = await asyncio.wait(tasks, timeout=self._heir.policy.drain_seconds)
        for task in late:
            task.cancel()

    async def _worked_on(self, delivery: Delivery, ahead: Collection[asyncio.Task[None]], *, is_given_up: bool) -> None:
        """One delivery, once those that it must not be worked on with have ended."""
        why = await self._why_later(delivery.message, ahead, is_given_up=is_given_up)
        heir, settlement = self._heir, self._settlement
        if why is not None and settlement.may_wait(delivery):
            return await settlement.put_off(delivery, why)
        with heir.in_use():
            return await heir._settle(delivery, None if why is None else UNOPENED)  # noqa: SLF001 - of its own kind

    async def _why_later(
        self, message: Message, ahead: Collection[asyncio.Task[None]], *, is_given_up: bool
    ) -> str | None:
        if message.is_last_delivery and not is_given_up:
            _log.warning("delivery.spared", redeliveries=message.redeliveries)
            return "spared"
        if not ahead:
            return None
        _ended, still_ahead = await asyncio.wait(ahead, timeout=self.policy.slice_seconds)
        return "others_ahead" if still_ahead else None  # longer than the broker waits for an answer

    async def _settle(self, delivery: Delivery, refused: Failure | None) -> None:
        """One delivery, not even opened where it is refused; ends in exactly one `rotation.finished`."""
        message, settlement = delivery.message, self._settlement
        identity = Identity.of(message)
        subject = Subject(identity.certificate, identity.renewal_id, message.attempt)
        with worked_on(self.tracing, message.traceparent, subject):
            if (told := await settlement.told(message, identity)) is not None:
                return await settlement.repeat(delivery, identity, told)
            # Held until it is told: whoever comes next for that certificate finds it in the history.
            async with AsyncExitStack() as turn:
                return await self._work_on(delivery, identity, turn, refused)

    async def _work_on(
        self, delivery: Delivery, identity: Identity, turn: AsyncExitStack, refused: Failure | None
    ) -> None:
        settlement, attempt = self._settlement, delivery.message.attempt
        started_at, clock = self.now(), asyncio.get_running_loop().time
        began = clock()
        opened = self._opened(delivery.message) if refused is None else Report.refused(refused)
        if isinstance(opened, Renewal):
            identity = replace(identity, is_opened=True)
            report = await self._report(opened, delivery, identity, turn)
        else:
            report = opened
        if isinstance(report, Told):
            return await settlement.repeat(delivery, identity, report)
        if report is None:
            await settlement.insist(lambda: delivery.park(0, attempt=attempt))
            return finished("sliced", duration_seconds=round(clock() - began, 3))
        if isinstance(report, Wait):
            return await settlement.postpone(delivery, report, opened_at=started_at, now=self.now())
        renewed_at = opened.time if isinstance(opened, Renewal) else None
        timing = Timing(started_at, self.now(), clock() - began, attempt, renewed_at)
        return await settlement.conclude(delivery, identity, report, timing)

    @property
    def _settlement(self) -> Settlement:
        intake = self.intake
        return Settlement(
            self.broker, self.policy.retry, intake.trust, self.metrics, self.chance, self.on_ended, self.onlooker
        )

    def _opened(self, message: Message) -> Renewal | Report:
        """The renewal, once it is known who says so; else what is told of it."""
        if message.is_last_delivery:
            return Report.refused(TOO_OFTEN)
        try:
            return self.intake.renewal_of(message)
        except RotationError as error:
            return Report.refused(Failure.of(error))
        except Exception as bug:  # noqa: BLE001 - one bug must not stop the other rotations
            _log.error("rotation.crashed", exc_info=bug)
            return Report.refused(failure_of(bug))

    async def _report(
        self, renewal: Renewal, delivery: Delivery, identity: Identity, turn: AsyncExitStack
    ) -> Report | Told | Wait | None:
        """What came of it, now or before; None when its time slice is over and it shall go on later."""
        digest = identity.body_sha256
        effort, idle = Effort(fence=delivery.fence), self._idle_slices.pop(digest, 0)
        time_slice = asyncio.timeout(self.policy.slice_seconds)
        try:
            async with time_slice:
                return await self._rotate(renewal, delivery, identity, effort, turn)
        except PostponedError as postponed:
            self._postponed.note(renewal.certificate, digest, postponed.wait)
            return postponed.wait
        except RotationError as error:
            return Report.refused(Failure.of(error))
        except Exception as bug:  # noqa: BLE001 - one bug must not stop the other rotations
            if time_slice.expired():
                return self._after_slice(digest, effort, idle)
            _log.error("rotation.crashed", exc_info=bug)
            return replace(Report.refused(failure_of(bug)), gateway_calls=effort.calls)

    def _after_slice(self, digest: str, effort: Effort, idle: int) -> Report | None:
        """A rotation goes on in another slice, but not for ever without getting on: somebody has to hear of that.

        `idle`: slices in a row before this one in which it did not, although it asked.
        """
        idle = idle + 1 if effort.calls and not effort.has_got_on else 0
        if idle > _MOST_IDLE_SLICES or not effort.is_getting_on:
            return replace(Report.refused(STANDSTILL), gateway_calls=effort.calls)
        self._idle_slices[digest] = idle
        return None

    async def _rotate(
        self, renewal: Renewal, delivery: Delivery, identity: Identity, effort: Effort, turn: AsyncExitStack
    ) -> Report | Told:
        message = delivery.message
        certificate = self.certificates[renewal.certificate]
        effort.urgent = renewal.is_urgent
        effort.keep = partial(self._settlement.keep, delivery, renewal.certificate)
        gateways = frozenset(deployment.gateway for deployment in certificate.deployments)
        await turn.enter_async_context(self.turn(renewal.certificate, effort))
        # Another copy of it may have had the turn before, and a newer renewal after that.
        if (told := await self._settlement.told(message, identity)) is not None:
            return told
        turn.enter_context(
            self.onlooker.rotating(renewal.certificate, identity.renewal_id or "", message.attempt, effort)
        )
        self._postponed.check(renewal.certificate, identity.body_sha256, self.now())
        appointment = Appointment.of(renewal, certificate, message.opened_at or self.now(), self.now)
        async with self.admission.place(effort, gateways):
            # Before the certificate is looked at, which costs more than all the rest while a gateway is away.
            appointment.check_reachable(partial(self.rotator.check_open, gateways))
            with self.metrics.in_flight.track_inprogress(), spending(effort):
                report = await self._brought(renewal, certificate, message, appointment)
        self._postponed.forget(renewal.certificate)
        return report

    async def _brought(
        self, renewal: Renewal, certificate: Certificate, message: Message, appointment: Appointment
    ) -> Report:
        """What came of the renewal's material. Raises PostponedError where it is too early for it."""
        hindsight = Hindsight(self.broker, self._begun, self.now)
        seen = await hindsight.seen(renewal.certificate)
        bundle = await self.intake.bundle_of(renewal, used_keys(seen.past))
        urgency, gate = renewal.urgency, appointment.check_steps
        rotation = partial(self.rotator.rotate, certificate, urgency=urgency, gate=gate, past=seen.past)
        if bundle is None:
            return await rotation(None)
        leaf, is_again = bundle.leaf, comes_again(message)
        is_told = self.rotator.tells_beginnings(certificate)
        # `dead replay` is a person's decision, made after all that was put there since.
        wanted = message.given_up_at is not None
        reason = seen.objection(
            renewal, leaf, self.now(), is_again=is_again, tells_beginnings=is_told, is_put_back=wanted
        )
        if reason is not None:
            return Report("superseded", reason, leaf)
        kept = await self._settlement.kept(message, renewal.certificate, leaf)
        self.rotator.recall(leaf, kept)
        return await hindsight.of(renewal, leaf, rotation(bundle))

    def turn(self, certificate: str, effort: Effort) -> AbstractAsyncContextManager[None]:
        """One rotation at a time per certificate; all that an urgent one waits for are as urgent."""
        return self._turns.of(certificate, effort, self.admission.hasten)


def _first(losses: BaseExceptionGroup[BrokerLostError]) -> BrokerLostError:
    inner = losses.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
