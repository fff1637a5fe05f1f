"""A delivery from arrival to settlement: open, check, rotate, decide, tell the world, settle."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, assert_never

import structlog

from worker.admission import Admission
from worker.broker.base import Broker, BrokerError, BrokerLostError, Delivery, Message
from worker.core.backoff import RetryPolicy, jittered
from worker.core.deployment import Certificate
from worker.core.errors import Failure, RotationError
from worker.core.events import outcome_event
from worker.core.message import identify
from worker.core.outcome import Disposition, Done, GiveUp, ParkFor, Report, Timing, dispose
from worker.effort import Effort, spending
from worker.intake import Intake
from worker.limits import KeyedLock
from worker.rotation import INTERNAL, Rotator
from worker.telemetry import Metrics
from worker.trust.opening import may_keep_body

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


@dataclass(frozen=True, slots=True)
class _Identity:
    """What is known of a message, for its event and its dead letter."""

    certificate: str | None
    renewal_id: str | None
    body_sha256: str

    @classmethod
    def of(cls, body: bytes) -> "_Identity":
        certificate, renewal_id = identify(body)
        return cls(certificate, renewal_id, hashlib.sha256(body).hexdigest())


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
    on_ended: Callable[[str | None], None] = lambda _certificate: None
    """Hears of every certificate whose renewal has its outcome."""
    _certificates: KeyedLock = field(default_factory=KeyedLock)
    _idle_slices: dict[str, int] = field(default_factory=dict)
    """By a message's digest: slices in a row in which it only read and waited."""

    async def run(self) -> None:
        """Until `stopping` is set: consumes, and connects again whenever the broker is lost.

        Only a first connection that the broker refuses ends this: later it is somebody else's mistake, and passes.
        """
        tries, was_connected, clock = 0, False, asyncio.get_running_loop().time
        while not self.stopping.is_set():
            began = clock()
            try:
                async with self.broker.deliveries() as deliveries:
                    was_connected = True
                    _log.info("consumer.connected")
                    await self._take(deliveries)
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
                in_hand: set[asyncio.Task[None]] = set()
                pump = group.create_task(self._pump(deliveries, group, in_hand))
                await self.stopping.wait()
                pump.cancel()
                await self._drain(in_hand)
        except* BrokerLostError as losses:
            lost = _first(losses)
        if lost is not None:
            raise BrokerLostError(str(lost)) from None

    async def _pump(
        self, deliveries: AsyncIterator[Delivery], group: asyncio.TaskGroup, in_hand: set[asyncio.Task[None]]
    ) -> None:
        is_new_here = True
        async for delivery in deliveries:
            if is_new_here:  # the first one tells that this is the active consumer now
                is_new_here = False
                self.rotator.taken_over()
            task = group.create_task(self._settle(delivery))
            in_hand.add(task)
            task.add_done_callback(in_hand.discard)
        if not self.stopping.is_set():
            raise BrokerLostError("the consumer ended")

    async def _drain(self, in_hand: set[asyncio.Task[None]]) -> None:
        """What does not finish in time goes back to the broker unsettled, and is delivered again."""
        if not in_hand:
            return
        _log.info("consumer.draining", rotations=len(in_hand))
        self.admission.close()
        _done, late = await asyncio.wait(set(in_hand), timeout=self.policy.drain_seconds)
        for task in late:
            task.cancel()

    async def _settle(self, delivery: Delivery) -> None:
        """One delivery; ends in exactly one `rotation.finished`."""
        message = delivery.message
        identity = _Identity.of(message.body)
        started_at, clock = self.now(), asyncio.get_running_loop().time
        began = clock()
        with (
            structlog.contextvars.bound_contextvars(
                certificate=identity.certificate, renewal_id=identity.renewal_id, attempt=message.attempt
            ),
        ):
            report = await self._report(message, identity.body_sha256)
            if report is None:
                _log.info("rotation.finished", outcome="sliced", duration_seconds=round(clock() - began, 3))
                return await self._insist(lambda: delivery.park(0, attempt=message.attempt))
            timing = Timing(started_at, self.now(), clock() - began, message.attempt)
            disposition = dispose(report, attempt=message.attempt, policy=self.policy.retry)
            await self._conclude(delivery, identity, report, timing, disposition)
            self._book(identity, report, timing, disposition)
        return None

    async def _report(self, message: Message, digest: str) -> Report | None:
        """What came of it; None when its time slice is over and it shall go on later."""
        if message.is_last_delivery:
            return Report.refused(TOO_OFTEN)
        effort, idle = Effort(), self._idle_slices.pop(digest, 0)
        time_slice = asyncio.timeout(self.policy.slice_seconds)
        try:
            async with time_slice:
                return await self._rotate(message, effort)
        except RotationError as error:
            return Report.refused(Failure.of(error))
        except Exception as bug:  # noqa: BLE001 - one bug must not stop the other rotations
            if time_slice.expired():
                return self._after_slice(digest, effort, idle + (1 if effort.calls and not effort.changes else -idle))
            _log.error("rotation.crashed", exc_info=bug)
            return replace(Report.refused(INTERNAL), gateway_calls=effort.calls)

    def _after_slice(self, digest: str, effort: Effort, idle: int) -> Report | None:
        """A rotation goes on in another slice, but not for ever without any change: somebody has to hear of that."""
        if idle > _MOST_IDLE_SLICES or not effort.is_getting_on:
            return replace(Report.refused(STANDSTILL), gateway_calls=effort.calls)
        self._idle_slices[digest] = idle
        return None

    async def _rotate(self, message: Message, effort: Effort) -> Report:
        renewal = self.intake.renewal_of(message)
        certificate = self.certificates[renewal.certificate]
        effort.urgent = renewal.is_urgent
        gateways = frozenset(deployment.gateway for deployment in certificate.deployments)
        async with self._turn(renewal.certificate, effort), self.admission.place(effort, gateways):
            # Before the certificate is looked at, which costs more than all the rest while a gateway is away.
            self.rotator.check_open(gateways)
            with self.metrics.in_flight.track_inprogress(), spending(effort):
                bundle = await self.intake.bundle_of(renewal)
                return await self.rotator.rotate(certificate, bundle, undo_until=renewal.undo_until)

    @asynccontextmanager
    async def _turn(self, certificate: str, effort: Effort) -> AsyncIterator[None]:
        """One rotation at a time per certificate."""
        async with AsyncExitStack() as stack:
            with effort.queueing():
                await stack.enter_async_context(self._certificates.hold(certificate))
            yield

    async def _conclude(
        self, delivery: Delivery, identity: _Identity, report: Report, timing: Timing, disposition: Disposition
    ) -> None:
        """The world first, the broker second."""
        match disposition:
            case ParkFor(delay, counted):
                attempt = delivery.message.attempt + counted
                await self._insist(lambda: delivery.park(delay, attempt=attempt))
            case Done():
                await self._publish(identity, report, timing, delivery.message.traceparent)
                await self._insist(delivery.ack)
            case GiveUp(reason):
                await self._publish(identity, report, timing, delivery.message.traceparent)
                keep_body = report.reason != "plain_key_refused" and may_keep_body(delivery.message, self.intake.trust)
                await self._insist(
                    lambda: delivery.bury(
                        reason,
                        certificate=identity.certificate,
                        renewal_id=identity.renewal_id,
                        keep_body=keep_body,
                    )
                )
            case _:
                assert_never(disposition)

    async def _publish(self, identity: _Identity, report: Report, timing: Timing, traceparent: str | None) -> None:
        def event_of(ended: Report) -> dict[str, object]:
            told = (identity.renewal_id, identity.certificate, timing, traceparent)
            return outcome_event(ended, *told, fallback_id=identity.body_sha256)

        try:
            event = event_of(report)
        except Exception as bug:  # noqa: BLE001 - what cannot be told in full is told in short: never silence
            _log.error("event.crashed", exc_info=bug)
            event = event_of(Report.refused(INTERNAL))
        await self._insist(lambda: self.broker.publish_event(event))

    async def _insist(self, step: Callable[[], Awaitable[None]]) -> None:
        """Until the broker took it: a rotation is not settled before the world knows.

        A broker that is lost ends this by cancellation, and the delivery comes again.
        """
        tries = 0
        while True:
            try:
                return await step()
            except BrokerLostError:
                raise
            except BrokerError as error:
                tries += 1
                _log.warning("broker.refused", error=str(error), tries=tries)
                await asyncio.sleep(jittered(tries, self.chance()))

    def _book(self, identity: _Identity, report: Report, timing: Timing, disposition: Disposition) -> None:
        match disposition:
            case ParkFor(delay):
                _log.info("rotation.finished", outcome="parked", reason=report.reason, parked_seconds=delay)
            case Done() | GiveUp():
                self._measure(identity, report, timing)
                self.on_ended(identity.certificate)
                _log.info(
                    "rotation.finished",
                    outcome=report.outcome,
                    reason=report.reason,
                    duration_seconds=round(timing.duration_seconds, 3),
                    gateway_calls=report.gateway_calls,
                )
            case _:
                assert_never(disposition)

    def _measure(self, identity: _Identity, report: Report, timing: Timing) -> None:
        """The rotation is settled: a bug in the books must not end the others."""
        try:
            self.metrics.ended(identity.certificate, report, timing)
        except Exception as bug:  # noqa: BLE001 - told, and no more
            _log.error("metrics.crashed", exc_info=bug)


def _first(losses: BaseExceptionGroup[BrokerLostError]) -> BrokerLostError:
    inner = losses.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
