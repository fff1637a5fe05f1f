"""The sweep: what lies on disk against what the gateways hold, because hooks fail and brokers lose disks."""

import asyncio
import uuid
from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

import structlog

from worker.broker.base import BrokerError, Message
from worker.core.bundle import Bundle
from worker.core.deployment import Certificate
from worker.core.errors import Failure, RotationError
from worker.core.message import CONTENT_TYPE, composed
from worker.core.past import Placed, is_overtaken
from worker.core.planning import Keep, Plan, Superseded
from worker.core.renewal import InFiles
from worker.core.schedule import Wait
from worker.core.snapshot import Snapshot
from worker.core.waiting import Step, held_back
from worker.core.withdrawal import taken_back, was_rolled_back
from worker.effort import Effort, spending
from worker.hindsight import Kept, noted_client_cas
from worker.intake import Intake
from worker.rotation import Rotator

_log = structlog.get_logger()
_FIRST_PAUSE: Final = 60.0
_LOST_AFTER: Final = 86400.0
"""Seconds: a queue may be deleted, and disks be lost, with what was in them."""

State = Literal["current", "behind", "drifted", "newer", "withdrawn", "rolled_back", "failed"]
"""`behind`: the gateway holds an older certificate than the disk; `newer`: a newer one; `withdrawn`: an older one that
an urgent renewal has put there; `rolled_back`: the one before it, because what clients were served of this one was bad.
`drifted`: the same, but a binding or a flag is not as it shall be."""


Enqueue = Callable[[Message], Awaitable[None]]
Past = Callable[[str], Awaitable[Sequence[Placed]]]
"""What was put in a certificate's places, oldest first."""


async def unnoted(_certificate: str, _leaf: str) -> Mapping[str, Snapshot]:
    """Nobody notes anything."""
    return {}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one certificate, by reading only."""

    certificate: str
    state: State
    failure: Failure | None = None
    bundle: Bundle | None = None
    """What lies on disk."""
    wait: Wait | None = None
    """For what putting it right would have to wait: a window that opens then, or a time that is spread."""

    @property
    def is_to_be_put_right(self) -> bool:
        return self.state in ("behind", "drifted")


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Looks at certificates that have a lineage on disk."""

    intake: Intake
    rotator: Rotator
    certificates: Mapping[str, Certificate]
    lineages: Mapping[str, InFiles]
    kept: Kept = unnoted

    async def look(
        self, name: str, past: Sequence[Placed] = (), client_cas: Mapping[str, Snapshot] | None = None
    ) -> Finding:
        """By reading only, behind everything else that waits for the gateways. `past`: what was put there before.

        `client_cas`: by deployment, that what is there has to have one.
        """
        rotator = self.rotator.aside() if client_cas else self.rotator
        with spending(Effort(is_background=True)):
            try:
                bundle = await self.intake.bundle_in(self.lineages[name])
                rotator.recall(bundle.leaf, client_cas or {})
                steps = await rotator.plans(self.certificates[name], bundle.leaf, past=past)
            except RotationError as error:
                return Finding(name, "failed", Failure.of(error))
        now, schedule = self.intake.now(), self.certificates[name].schedule
        wait = held_back(schedule.wait(0, now, now), steps, schedule, now)
        return replace(_judged(name, bundle, steps), wait=wait)

    async def look_back(self, name: str, past: Past) -> Finding:
        """As `look`, knowing what was told before: what was taken back does not come again unasked. BrokerError."""
        is_told = self.rotator.tells_beginnings(self.certificates[name])
        seen = () if is_told else await past(name)
        finding = await self.look(name, seen)
        if finding.state == "current" and finding.bundle is not None:
            lost = await noted_client_cas(self.kept, self.certificates[name], finding.bundle.leaf)
            finding = await self.look(name, seen, lost) if lost else finding
        if not finding.is_to_be_put_right or finding.bundle is None:
            return finding
        leaf, placed = finding.bundle.leaf, await past(name)
        if was_rolled_back(placed, leaf):
            return replace(finding, state="rolled_back")
        if finding.state != "behind":
            return finding
        if taken_back(placed, leaf) is not None:
            return replace(finding, state="withdrawn")
        is_newer = not is_told and is_overtaken(placed, leaf, None)
        return replace(finding, state="newer") if is_newer else finding

    def renewal(self, name: str, at: datetime) -> Message:
        """What lies on disk as a renewal of the worker's own."""
        lineage = self.lineages[name]
        body = composed(
            renewal_id=f"sweep-{uuid.uuid4()}",
            source="/rotation-worker/sweep",
            certificate=name,
            material={"kind": "file", "chain": lineage.chain, "private_key": lineage.private_key},
            at=at,
        )
        return Message(body, CONTENT_TYPE)


def _judged(name: str, bundle: Bundle, steps: Sequence[Step]) -> Finding:
    """The worst of what is found at the deployments."""
    failures = [step for step in steps if isinstance(step, RotationError)]
    if failures:
        return Finding(name, "failed", Failure.of(failures[0]), bundle)
    plans = [step for step in steps if isinstance(step, Plan) and not step.is_nothing]
    if any(step.attach and not isinstance(step.replacement, Keep) for step in plans):
        return Finding(name, "behind", bundle=bundle)
    if plans:
        return Finding(name, "drifted", bundle=bundle)
    is_newer = any(isinstance(step, Superseded) for step in steps)
    return Finding(name, "newer" if is_newer else "current", bundle=bundle)


@dataclass(slots=True)
class Sweeping:
    """The regular sweep of a running worker: what is not as it shall be goes into the queue, like any renewal.

    So one worker at a time rotates it, it is tried again, told of, and given up like the rest. Its looks are spread
    over the interval. Seconds of the loop's clock.
    """

    sweeper: Sweeper
    enqueue: Enqueue
    is_active: Callable[[], Awaitable[bool]]
    """Standbys leave it to the active consumer."""
    past: Past
    every: float
    now: Callable[[], datetime]
    found: Callable[[State], None] = lambda _state: None
    _waiting: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By certificate, the fingerprint of what was put into the queue and has not ended yet, and from when on it may."""
    _last: str = ""
    """The certificate that was looked at last: a pass that was broken off goes on behind it."""

    async def run(self) -> None:
        """For ever."""
        names = sorted(self.sweeper.lineages)
        if not names:
            return
        pause = self.every / len(names)
        await asyncio.sleep(min(pause, _FIRST_PAUSE))
        while True:
            states: Counter[State] = Counter()
            for name in names[bisect_right(names, self._last) :]:
                state = await self._one(name)
                if state is not None:
                    states[state] += 1
                self._last = name
                await asyncio.sleep(pause)
            self._last = ""
            _log.info("sweep.finished", **{state: states[state] for state in sorted(states)})

    def ended(self, certificate: str | None, outcome: str) -> None:
        """A renewal of that certificate has its outcome. What failed is not tried again before a day is over."""
        if outcome != "failed":
            self._waiting.pop(certificate or "", None)

    async def _one(self, name: str) -> State | None:
        """None on a standby."""
        try:
            if not await self.is_active():
                return None
            finding = await self.sweeper.look_back(name, self.past)
            self.found(finding.state)
            if finding.state not in ("current", "newer", "withdrawn"):
                reason = None if finding.failure is None else finding.failure.reason
                _log.warning("sweep.found", certificate=name, state=finding.state, reason=reason)
            if finding.is_to_be_put_right:
                await self._put_right(finding)
        except BrokerError as error:
            _log.warning("sweep.not_enqueued", certificate=name, error=str(error))
            return "failed"
        except Exception as bug:  # noqa: BLE001 - the sweep goes on with the next
            _log.error("sweep.crashed", certificate=name, exc_info=bug)
            return "failed"
        return finding.state

    async def _put_right(self, finding: Finding) -> None:
        fingerprint = "" if finding.bundle is None else finding.bundle.leaf.fingerprint_sha256
        known, since = self._waiting.get(finding.certificate, (None, 0.0))
        clock = asyncio.get_running_loop().time()
        if known == fingerprint and clock - since < _LOST_AFTER:
            return
        message = self.sweeper.renewal(finding.certificate, self.now())
        await self.enqueue(message)
        waits = 0.0 if finding.wait is None else (finding.wait.until - self.now()).total_seconds()
        self._waiting[finding.certificate] = fingerprint, clock + waits
