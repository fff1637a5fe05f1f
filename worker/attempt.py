"""One attempt at a renewal, from opening the delivery to its report. What is told and settled is `settlement`'s."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final, TypedDict, Unpack

import structlog

from worker.admission import Admission
from worker.broker.base import Broker, Delivery, Message
from worker.broker.facts import Told
from worker.core.backoff import RetryPolicy
from worker.core.deployment import Certificate
from worker.core.errors import Failure, PostponedError, RotationError, failure_of
from worker.core.outcome import Report, Timing
from worker.core.past import Placed, used_keys
from worker.core.renewal import Renewal
from worker.core.reporting import STANDSTILL
from worker.core.schedule import Wait
from worker.effort import Effort, spending
from worker.finishing import finished, worked_on
from worker.fleet.onlooker import Nobody, Onlooker
from worker.hindsight import Hindsight
from worker.intake import Intake
from worker.postponing import Appointment, Postponed
from worker.rotation import Rotator
from worker.settlement import UNOPENED, Identity, Settlement, comes_again
from worker.telemetry import Metrics
from worker.tracing import UNTRACED, Subject, Tracing, current_span
from worker.turns import Turns

_log = structlog.get_logger()
TOO_OFTEN: Final = Failure("delivery_limit", "delivered too often without being settled", transient=False)
_MOST_IDLE_SLICES: Final = 4


@dataclass(frozen=True, slots=True)
class Policy:
    """How the consumer treats its messages. Durations in seconds."""

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    slice_seconds: float = 900
    drain_seconds: float = 30


class Parts(TypedDict):
    """What is made of the settings each time they are read."""

    intake: Intake
    rotator: Rotator
    certificates: Mapping[str, Certificate]
    policy: Policy
    in_use: Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Attempts:
    """Opens, checks, rotates and settles what the consumer takes; one rotation at a time per certificate."""

    broker: Broker
    intake: Intake
    rotator: Rotator
    certificates: Mapping[str, Certificate]
    policy: Policy
    metrics: Metrics
    now: Callable[[], datetime]
    chance: Callable[[], float]
    admission: Admission = field(default_factory=lambda: Admission(32))
    on_ended: Callable[[str | None, str], None] = lambda _certificate, _outcome: None
    """Hears of every certificate whose renewal has its outcome."""
    tracing: Tracing = UNTRACED
    in_use: Callable[[], AbstractContextManager[None]] = nullcontext
    """Entered for as long as it works on a delivery."""
    onlooker: Onlooker = field(default_factory=Nobody)
    _turns: Turns = field(default_factory=Turns)
    _begun: dict[str, Placed] = field(default_factory=dict)
    """By certificate, what this session at the broker has put somewhere last."""
    _idle_slices: dict[str, int] = field(default_factory=dict)
    """By a message's digest: slices in a row in which it only read what it had read before, and waited."""
    _postponed: Postponed = field(default_factory=Postponed)

    def made_of(self, **parts: Unpack[Parts]) -> "Attempts":
        """The same with other settings, in turn with these: what is in hand goes on as it began."""
        # What was found out of renewals that wait is of windows that may be others now.
        return replace(self, _postponed=Postponed(), **parts)

    def session_ended(self) -> None:
        self._begun.clear()  # by the next one others may have put something else there

    async def settle(self, delivery: Delivery, refused: Failure | None) -> None:
        """One delivery, not even opened where it is refused; ends in exactly one `rotation.finished`."""
        message, settlement = delivery.message, self.settlement
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
        settlement, attempt = self.settlement, delivery.message.attempt
        started_at, clock = self.now(), asyncio.get_running_loop().time
        began = clock()
        opened = self._opened(delivery.message) if refused is None else Report.refused(refused)
        if isinstance(opened, Renewal):
            identity = identity.opened(opened)
            opened = replace(opened, message_sha256=identity.body_sha256 if identity.renewal_id is None else None)
            effort = Effort(fence=delivery.fence)
            report = await self._report(opened, delivery, identity, effort, turn)
            identity = replace(identity, is_compared=effort.is_compared)
            if isinstance(report, Report) and report.reason == UNOPENED.reason:
                identity = identity.unnamed()
        else:
            report = opened
        if isinstance(report, Told):
            return await settlement.repeat(delivery, identity, report)
        if report is None:
            await settlement.insist(lambda: delivery.park(0, attempt=attempt))
            return finished("sliced", duration_seconds=round(clock() - began, 3))
        if isinstance(report, Wait):
            return await settlement.postpone(delivery, identity, report, opened_at=started_at, now=self.now())
        renewed_at = opened.time if isinstance(opened, Renewal) else None
        timing = Timing(started_at, self.now(), clock() - began, attempt, renewed_at)
        return await settlement.conclude(delivery, identity, report, timing)

    @property
    def settlement(self) -> Settlement:
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
        self, renewal: Renewal, delivery: Delivery, identity: Identity, effort: Effort, turn: AsyncExitStack
    ) -> Report | Told | Wait | None:
        """What came of it, now or before; None when its time slice is over and it shall go on later."""
        digest = identity.body_sha256
        idle = self._idle_slices.pop(digest, 0)
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
            told = effort.left or Report.refused(STANDSTILL)
            return replace(told, failure=STANDSTILL, gateway_calls=effort.calls)
        self._idle_slices[digest] = idle
        return None

    async def _rotate(
        self, renewal: Renewal, delivery: Delivery, identity: Identity, effort: Effort, turn: AsyncExitStack
    ) -> Report | Told:
        message = delivery.message
        certificate = self.certificates[renewal.certificate]
        effort.urgent = renewal.is_urgent
        effort.keep = partial(self.settlement.keep, delivery, renewal.certificate)
        gateways = frozenset(deployment.gateway for deployment in certificate.deployments)
        await turn.enter_async_context(self.turn(renewal.certificate, effort))
        # Another copy of it may have had the turn before, and a newer renewal after that.
        if (told := await self.settlement.told(message, identity)) is not None:
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
                report = await self._brought(renewal, message, identity, appointment, effort)
        self._postponed.forget(renewal.certificate)
        return report

    async def _brought(
        self,
        renewal: Renewal,
        message: Message,
        identity: Identity,
        appointment: Appointment,
        effort: Effort,
    ) -> Report:
        """What came of the renewal's material. Raises PostponedError where it is too early for it."""
        certificate = self.certificates[renewal.certificate]
        hindsight = Hindsight(self.broker, self._begun, self.now)
        seen = await hindsight.seen(renewal.certificate)
        bundle = await self.intake.bundle_of(renewal, used_keys(seen.past))
        effort.is_compared = True
        current_span().named(identity.renewal_id)
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
        exposed = seen.exposed_keys(renewal, leaf)
        kept = await self.settlement.kept(message, renewal.certificate, leaf)
        kept = kept or await hindsight.client_cas(seen, certificate, leaf)
        self.rotator.recall(leaf, kept)
        return seen.told_in(await hindsight.of(renewal, leaf, rotation(bundle), exposed))

    def turn(self, certificate: str, effort: Effort) -> AbstractAsyncContextManager[None]:
        """One rotation at a time per certificate; all that an urgent one waits for are as urgent."""
        return self._turns.of(certificate, effort)
