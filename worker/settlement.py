"""What becomes of a delivery whose rotation has ended: the world hears of it first, the broker second."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar, assert_never

import structlog
from structlog.contextvars import bind_contextvars

from worker.broker.base import EXPOSED, About, Broker, BrokerError, BrokerLostError, Delivery, Message, TopologyError
from worker.broker.facts import Told
from worker.core.backoff import RetryPolicy, jittered, step_before, step_for
from worker.core.bundle import Leaf
from worker.core.errors import INTERNAL, Failure
from worker.core.events import event_ids, outcome_event, rfc3339, shown
from worker.core.message import identify
from worker.core.note import Note
from worker.core.outcome import Disposition, Done, GiveUp, ParkFor, Report, Timing, dispose
from worker.core.renewal import Renewal
from worker.core.schedule import Wait
from worker.core.snapshot import Snapshot
from worker.finishing import finished, unbegun
from worker.fleet.onlooker import Nobody, Onlooker
from worker.fleet.values import Parked
from worker.telemetry import Metrics
from worker.tracing import current_span
from worker.trust.keeping import UNSEEN, Look, looked_at
from worker.trust.opening import TrustPolicy

T = TypeVar("T")

_log = structlog.get_logger()
UNOPENED: Final = Failure(
    "plain_key_refused",
    "it cannot be looked into now, and may bring a key in the open: treat that as exposed, and issue a new one",
    transient=False,
)
"""A queue of parked messages is a place to keep keys too."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of a message, for its event and its dead letter: what it claims, until it was opened."""

    certificate: str | None
    renewal_id: str | None
    body_sha256: str
    envelope: str
    """Tells the message apart from every other, also from one of the same bytes that somebody else has sent."""
    is_opened: bool = False
    """Somebody who may do so vouched for it."""
    is_compared: bool = False
    """Its id was, with the key that it is for."""

    @classmethod
    def of(cls, message: Message) -> "Identity":
        certificate, renewal_id = identify(message.body)
        digest = digest_of(message)
        sent = [digest, message.user_id, message.content_type, message.content_encoding or ""]
        return cls(certificate, renewal_id, digest, json.dumps(sent))

    def opened(self, renewal: Renewal) -> "Identity":
        """Whatever its certificate is called: the settings call it so."""
        return replace(self, certificate=renewal.certificate, is_opened=True)

    def unnamed(self) -> "Identity":
        """Of one in whose id its own key was found: from here on nobody is told that id, nor is the log."""
        bind_contextvars(renewal_id=None)
        return replace(self, renewal_id=None)

    @property
    def event_source(self) -> str:
        """What event ids are made of. Nobody's claim takes the place of a renewal that will come, or came before."""
        return self.renewal_id if self.is_opened and self.renewal_id is not None else self.envelope

    @property
    def event_ids(self) -> Collection[str]:
        """Of every outcome that it may have had, opened or not."""
        return [*event_ids(self.envelope), *event_ids(self.renewal_id or self.envelope)]


@dataclass(frozen=True, slots=True)
class Settlement:
    """Events and settled deliveries."""

    broker: Broker
    retry: RetryPolicy
    trust: TrustPolicy
    metrics: Metrics
    chance: Callable[[], float]
    on_ended: Callable[[str | None, str], None]
    onlooker: Onlooker = field(default_factory=Nobody)

    async def conclude(self, delivery: Delivery, identity: Identity, report: Report, timing: Timing) -> None:
        """Exactly one `rotation.finished`."""
        disposition = dispose(report, attempt=timing.attempt, policy=self.retry)
        look = self._look_at(delivery, report.reason) if _stays(disposition, identity) else UNSEEN
        if isinstance(disposition, ParkFor) and not look.may_keep:
            report = Report.refused(UNOPENED)
            disposition = GiveUp(report.reason)
        match disposition:
            case ParkFor(delay, counted):
                await self.insist(lambda: delivery.park(delay, attempt=timing.attempt + counted))
            case Done():
                await self._publish(delivery, identity, report, timing)
                await self.insist(delivery.ack)
            case GiveUp(reason):
                report = _warned(report) if look.is_exposed else report
                told_at = await self._publish(delivery, identity, report, timing)
                await self._bury(delivery, identity, reason, told_at, look)
            case _:
                assert_never(disposition)
        self._book(identity, report, timing, disposition)

    async def postpone(
        self, delivery: Delivery, identity: Identity, wait: Wait, *, opened_at: datetime, now: datetime
    ) -> None:
        """As `conclude`, for what waits for its time: that is no attempt, however often it comes again.

        A step at a time, and rather a short one more than one that ends too late: windows close.
        """
        message = delivery.message
        seconds = step_before((wait.until - now).total_seconds(), self.retry.parking)
        first = message.opened_at or opened_at
        _log.info("rotation.postponed", until=rfc3339(wait.until), why=wait.why)
        await self.insist(lambda: delivery.park(seconds, attempt=message.attempt, opened_at=first))
        self._show_parked(identity, (wait.why, None), now, seconds, message.attempt)
        finished("parked", reason=wait.why, parked_seconds=seconds)

    def may_wait(self, delivery: Delivery) -> bool:
        """Whether it may lie in a queue of parked messages, although nobody has vouched for it yet."""
        return looked_at(delivery.message, self.trust).may_keep

    async def put_off(self, delivery: Delivery, reason: str) -> None:
        """As `conclude`, for what is not worked on now, and has not been: that is no attempt."""
        await self.insist(lambda: delivery.park(0, attempt=delivery.message.attempt))
        unbegun(delivery.message, "parked", reason)

    async def told(self, message: Message, identity: Identity) -> Told | None:
        """The outcome that this renewal had before, where a worker died between telling it and settling the message.

        By now the world may be another one: worked on again, it might end otherwise.
        """
        if not comes_again(message):
            return None
        asked = (identity.event_ids, identity.certificate, message.given_up_at, identity.body_sha256)
        return await self._recalled(lambda: self.broker.told(*asked), None)

    async def keep(self, delivery: Delivery, certificate: str, note: Note) -> None:
        """Returns once the broker has the note, whatever that takes: what it tells is about to be changed.

        Never raises for the broker: whoever loses it is cancelled, as is whoever waits here.
        """
        own = replace(note, message_sha256=digest_of(delivery.message))

        async def publish() -> None:
            await delivery.fence()
            try:
                await self.broker.keep(certificate, own)
            except BrokerLostError as error:
                raise BrokerError(str(error)) from None

        await self.insist(publish)

    async def kept(self, message: Message, certificate: str, leaf: Leaf) -> Mapping[str, Snapshot]:
        """By deployment, what was noted before this renewal's first change, if that was done by a worker before."""
        if not comes_again(message):
            return {}
        return await self._recalled(lambda: self.broker.kept(certificate, leaf.fingerprint_sha256), {})

    async def _recalled(self, ask: Callable[[], Awaitable[T]], without: T) -> T:
        """What the history says, however long it is away; `without` where there is none, or no right to read it.

        What then is done again is looked at first.
        """

        async def read() -> T:
            try:
                return await ask()
            except TopologyError as error:
                _log.warning("history.unread", error=str(error))
                return without
            except BrokerLostError as error:
                raise BrokerError(str(error)) from None

        return await self.insist(read)

    async def repeat(self, delivery: Delivery, identity: Identity, told: Told) -> None:
        """As `conclude`, for what the world has heard of."""
        if told.withholds_id:
            identity = identity.unnamed()
        if told.outcome == "failed":
            look = self._look_at(delivery, told.reason)
            await self._bury(delivery, identity, told.reason, told.at, look)
        else:
            await self.insist(delivery.ack)
        current_span().named(identity.renewal_id)
        self.on_ended(identity.certificate, told.outcome)
        finished(told.outcome, reason=told.reason, told_before=True)

    def _look_at(self, delivery: Delivery, reason: str) -> Look:
        """Where its key was found in what it says of itself, nothing of it is kept."""
        look = looked_at(delivery.message, self.trust)
        return replace(look, may_keep=False) if reason == UNOPENED.reason else look

    async def _bury(self, delivery: Delivery, identity: Identity, reason: str, told_at: str, look: Look) -> None:
        about = About(certificate=identity.certificate, renewal_id=identity.renewal_id, told_at=told_at)
        about["is_exposed"] = look.is_exposed
        await self.insist(lambda: delivery.bury(reason, keep_body=look.may_keep, **about))

    async def _publish(self, delivery: Delivery, identity: Identity, report: Report, timing: Timing) -> str:
        """The event's time, as it says it."""

        def event_of(ended: Report) -> dict[str, object]:
            # Whoever hears of it goes on in the trace from here, or where nothing is traced, from the producer.
            traceparent = current_span().traceparent or delivery.message.traceparent
            told = (identity.renewal_id, identity.certificate, timing, traceparent)
            return outcome_event(ended, *told, id_source=identity.event_source, message_sha256=identity.body_sha256)

        try:
            event = event_of(report)
        except Exception as bug:  # noqa: BLE001 - what cannot be told in full is told in short: never silence
            _log.error("event.crashed", exc_info=bug)
            report = Report.refused(INTERNAL)
            event = event_of(report)

        async def publish() -> None:
            # What another worker has in hand by now has its outcome there, and may have another one.
            await delivery.fence()
            await self.broker.publish_event(event)

        await self.insist(publish)
        current_span().named(identity.renewal_id)
        # Here, and not once the delivery is settled: what is counted is what the world was told.
        self._measure(identity, report, timing, event)
        return str(event["time"])

    async def insist(self, step: Callable[[], Awaitable[T]]) -> T:
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

    def _book(self, identity: Identity, report: Report, timing: Timing, disposition: Disposition) -> None:
        match disposition:
            case ParkFor(delay):
                step = step_for(delay, self.retry.parking)
                wished = {} if step == delay else {"asked_seconds": round(delay, 3)}
                failed = _first_failure(report, is_passing=True)
                self._show_parked(
                    identity, (report.reason, failed.get("message")), timing.finished_at, step, timing.attempt
                )
                finished("parked", reason=report.reason, parked_seconds=step, **wished, **failed)
            case Done() | GiveUp():
                self.on_ended(identity.certificate, report.outcome)
                if report.warnings:
                    _log.warning("certificate.warned", warnings=list(report.warnings))
                finished(
                    report.outcome,
                    reason=report.reason,
                    duration_seconds=round(timing.duration_seconds, 3),
                    gateway_calls=report.gateway_calls,
                    **_first_failure(report),
                )
            case _:
                assert_never(disposition)

    def _show_parked(
        self, identity: Identity, why: tuple[str, str | None], now: datetime, seconds: float, attempt: int
    ) -> None:
        (reason, message), until = why, now + timedelta(seconds=seconds)
        one = Parked(identity.certificate, identity.renewal_id, reason, now, until, attempt, message)
        self.onlooker.parked(one, is_named=identity.is_compared)

    def _measure(self, identity: Identity, report: Report, timing: Timing, event: Mapping[str, object]) -> None:
        """The outcome is told: a bug in the books must not end the others."""
        try:
            self.metrics.ended(identity.certificate, report, timing)
            self.onlooker.told(event, report)
        except Exception as bug:  # noqa: BLE001 - told, and no more
            _log.error("metrics.crashed", exc_info=bug)


def _first_failure(report: Report, *, is_passing: bool = False) -> dict[str, str]:
    """Where it failed first, and why: whoever reads the log need not look for the event.

    `is_passing`: of what is parked, where that failed first for which it comes again.
    """
    if report.outcome != "failed":
        return {}
    if report.failure is not None:
        return {"message": shown(report.failure.message)}
    return next((_failed_at(*one) for one in _failures(report) if one[1].transient or not is_passing), {})


def _failures(report: Report) -> Iterator[tuple[str, Failure]]:
    """By place."""
    for one in report.deployments:
        if one.failure is not None:
            yield one.deployment.key, one.failure
        for result in one.bindings:
            if result.failure is not None:
                yield result.binding.name, result.failure


def _failed_at(place: str, failure: Failure) -> dict[str, str]:
    return {"failed_at": shown(place), "failed_reason": failure.reason, "message": shown(failure.message)}


def _warned(report: Report) -> Report:
    """Whatever was wrong with it otherwise: somebody has to issue a new key."""
    if report.reason == UNOPENED.reason:
        return report  # it says so itself
    failure = report.failure or Failure(report.reason, "the rotation failed", transient=False)
    return replace(report, failure=replace(failure, message=f"{EXPOSED}; {failure.message}"))


def _stays(disposition: Disposition, identity: Identity) -> bool:
    """Whether the message is going to lie somewhere without anybody having vouched for it, or for good."""
    return isinstance(disposition, GiveUp) or (isinstance(disposition, ParkFor) and not identity.is_opened)


def digest_of(message: Message) -> str:
    """Of its body, in hex."""
    return hashlib.sha256(message.body).hexdigest()


def comes_again(message: Message) -> bool:
    """Whether a worker had it in hand before: only then is it worth while to read what was told and noted."""
    return message.redeliveries > 0 or message.is_copy
