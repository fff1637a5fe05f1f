"""`rotation-worker sweep`: one pass over the lineages on disk, and what is behind or has drifted put right at once."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import structlog

from worker.app import substitute_of, sweeper_of
from worker.awaiting import Awaited
from worker.beside import beside
from worker.broker.base import Broker, BrokerError
from worker.broker.facts import Told
from worker.commands.arguments import seconds
from worker.commands.exits import FAILED, OK
from worker.commands.loading import log_level, settings_of
from worker.commands.material import certificate_named
from worker.commands.next_steps import next_step_after
from worker.commands.output import print_json, print_table, shown
from worker.commands.progress import progress
from worker.commands.reading import broker_to_read
from worker.commands.refusals import in_json, say_next
from worker.core.errors import Failure, failure_of
from worker.core.events import rfc3339
from worker.core.past import Placed
from worker.core.renewal import OWN_PRODUCER
from worker.generations import rotator_of
from worker.rotation import Rotator
from worker.settings import Settings, SettingsError
from worker.settlement import Identity
from worker.substitute import Substitute
from worker.sweep import Finding, Sweeper
from worker.telemetry import Metrics, configure_logs
from worker.wall_clock import utc_now

_log = structlog.get_logger()
_AT_ONCE: Final = 8
_UNKNOWN: Final = Told("unknown", "not_told")
_POSTPONED: Final = "postponed"
_ROLLED_BACK: Final = (
    "what clients were served of it was bad, and it went back: nothing was done; "
    "issue another one, or have it tried again by `rotation-worker dead replay`"
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("certificate", nargs="?", help="its name in the settings; all that have a lineage without it")
    parser.add_argument(
        "--wait", type=seconds, default=3600.0, help="seconds to wait for a renewal in the queue (default 3600)"
    )
    parser.epilog = "example: rotation-worker sweep shop --wait 600"


@dataclass(frozen=True, slots=True)
class Queue:
    """Where a broker is: one renewal after the other is put there, and whoever is at work rotates, and alone."""

    broker: Broker
    substitute: Substitute
    awaited: Awaited

    async def put_right(self, sweeper: Sweeper, name: str) -> Told:
        message = sweeper.renewal(name, utc_now())
        event_ids = Identity.of(replace(message, user_id=OWN_PRODUCER)).event_ids
        with self.substitute.needed():
            await self.broker.publish_own(message)
            return await self.awaited.outcome(event_ids, name) or _UNKNOWN


@dataclass(frozen=True, slots=True)
class Swept:
    """What was found of one certificate, and what came of putting it right."""

    finding: Finding
    ended: Told | None = None

    @property
    def is_good(self) -> bool:
        return self.finding.state not in ("failed", "rolled_back") and (
            self.ended is None or self.ended.outcome not in ("failed", "unknown")
        )

    @property
    def told(self) -> str:
        """In one word."""
        return self.outcome or self.finding.state

    @property
    def outcome(self) -> str | None:
        return None if self.ended is None else self.ended.outcome

    @property
    def reason(self) -> str | None:
        failure = self.finding.failure
        if self.ended is not None:
            return self.ended.reason
        return None if failure is None else failure.reason

    @property
    def message(self) -> str | None:
        if self.ended is _UNKNOWN:
            return f"it was put into the queue: `rotation-worker history {self.finding.certificate}` will tell"
        if self.finding.wait is not None and self.outcome == _POSTPONED:
            return f"outside its window: nothing was done; sweep again from {rfc3339(self.finding.wait.until)} on"
        if self.finding.state == "rolled_back":
            return _ROLLED_BACK
        return None if self.finding.failure is None else self.finding.failure.message

    @property
    def what_next(self) -> str | None:
        """None where all is well."""
        return None if self.is_good else next_step_after(self.reason or self.finding.state)


@dataclass(frozen=True, slots=True)
class Pass:
    """Over certificates: what befalls one of them stops no other."""

    sweeper: Sweeper
    queue: Queue | None
    """None where the settings name no broker, and none is where it is by default."""

    async def over(self, name: str) -> Swept:
        try:
            return await self._over(name)
        except BrokerError as error:
            failure = Failure("broker_unavailable", str(error), transient=True)
        except Exception as bug:  # noqa: BLE001 - the others may be between two of their steps
            _log.error("sweep.crashed", certificate=name, exc_info=bug)
            failure = failure_of(bug)
        return Swept(Finding(name, "failed", failure))

    async def _over(self, name: str) -> Swept:
        finding = await self.sweeper.look_back(name, self._past)
        if not finding.is_to_be_put_right:
            return Swept(finding)
        if finding.wait is not None:
            return Swept(finding, Told(_POSTPONED, finding.wait.why))
        if self.queue is not None:
            return Swept(finding, await self.queue.put_right(self.sweeper, name))
        report = await self.sweeper.rotator.rotate(self.sweeper.certificates[name], finding.bundle)
        return Swept(finding, Told(report.outcome, report.reason))

    async def _past(self, certificate: str) -> Sequence[Placed]:
        return () if self.queue is None else await self.queue.broker.past(certificate)


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    with in_json(args):
        settings = settings_of(args)
        names = _names(settings, args.certificate)
        swept = asyncio.run(_sweep(settings, names, args.wait))
    if args.json:
        print_json([_described(one) for one in swept])
    else:
        rows = [(one.finding.certificate, one.finding.state, one.outcome, one.reason) for one in swept]
        print_table(("certificate", "found", "then", "reason"), rows, empty="No certificate has a lineage.")
        for one in swept:
            if one.message is not None:
                sys.stderr.write(f"rotation-worker: {one.finding.certificate}: {shown(one.message)}\n")
            if one.what_next is not None:
                say_next(one.what_next)
    return OK if all(one.is_good for one in swept) else FAILED


def _names(settings: Settings, wanted: str | None) -> Sequence[str]:
    with_lineage = sorted(name for name, one in settings.certificates.items() if one.lineage is not None)
    if wanted is None:
        return with_lineage
    certificate_named(settings, wanted)
    if wanted not in with_lineage:
        problem = f"certificates.{wanted}.lineage: missing, there is nothing on disk to compare with"
        raise SettingsError([problem], next_step=f"add [certificates.{wanted}.lineage] with chain and private_key")
    return [wanted]


async def _sweep(settings: Settings, names: Sequence[str], wait: float) -> Sequence[Swept]:
    if not names:
        return ()
    async with AsyncExitStack() as stack:
        rotator = await stack.enter_async_context(rotator_of(settings, Metrics()))
        queue = await stack.enter_async_context(_queue_of(settings, rotator, names, wait))
        sweeper = sweeper_of(settings, rotator)
        one = Pass(sweeper if queue is None else replace(sweeper, kept=queue.broker.kept), queue)
        part = (await stack.enter_async_context(progress())).part("sweep", len(names))
        return await each(names, one.over, lambda swept: part.ended(swept.told))


async def each(
    names: Sequence[str], over: Callable[[str], Awaitable[Swept]], on_ended: Callable[[Swept], None]
) -> Sequence[Swept]:
    """A few at once."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def in_turn(name: str) -> Swept:
        async with turns:
            swept = await over(name)
        on_ended(swept)
        return swept

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(in_turn(name)) for name in names]
    return [task.result() for task in tasks]


@asynccontextmanager
async def _queue_of(
    settings: Settings, rotator: Rotator, names: Sequence[str], wait: float
) -> AsyncIterator[Queue | None]:
    async with AsyncExitStack() as stack:
        broker = await _asked(settings)
        if broker is None:
            yield None
            return
        stack.push_async_callback(broker.close)
        substitute, awaited = substitute_of(settings, broker, rotator, names), Awaited(broker, wait)
        await stack.enter_async_context(substitute.at_hand())
        await stack.enter_async_context(beside(awaited.look_on()))
        yield Queue(broker, substitute, awaited)


async def _asked(settings: Settings) -> Broker | None:
    """The broker, which has answered. Raises BrokerError where one is named and does not.

    A worker may be at work then, and a certificate on disk be one that was taken back: nobody knows.
    """
    try:
        broker = broker_to_read(settings)
        try:
            await broker.is_served()
        except BrokerError:
            await broker.close()
            raise
    except BrokerError as error:
        if not settings.names_broker:
            return None
        raise type(error)(f"{error}; without it nothing is swept") from None
    return broker


def _described(one: Swept) -> dict[str, object]:
    return {
        "certificate": one.finding.certificate,
        "found": one.finding.state,
        "outcome": one.outcome,
        "reason": one.reason,
        "message": one.message,
        "next": one.what_next,
    }
