"""One plan at one deployment: replaced, attached wave by wave, read back, proven; put back where it turns out bad."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Protocol, assert_never

import structlog

from worker.core.bundle import Bundle, Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure, PermanentError, RefusedError, RotationError, is_exhaustion
from worker.core.outcome import BindingResult, DeploymentReport, attempted
from worker.core.planning import Create, Keep, Modify, Observed, Plan, Stored, UploadEach
from worker.core.proof import Shortfall
from worker.core.readback import confirmed, moved_flags, put_right
from worker.core.reporting import (
    NOTHING_BACK,
    OLD_EXPIRED,
    ROLLED_BACK,
    not_replaced,
    reported,
    rolled_back,
    unproven,
)
from worker.effort import current_effort
from worker.gateways.base import Gateway, OnResult
from worker.going_back import WayBack
from worker.settling import Settling, attached, unheard

_log = structlog.get_logger()
INTERNAL: Final = Failure("internal_error", "a bug of the worker: see its log", transient=False)
EXHAUSTED: Final = Failure("worker_exhausted", "the worker's machine had no room left: see its log", transient=True)
Condemn = Callable[[Sequence[Binding], Sequence[Shortfall]], Awaitable[None]]


async def _unnoted(_moved: Sequence[Binding], _shortfalls: Sequence[Shortfall]) -> None:
    """Where nobody goes on with it."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Prove(Protocol):
    """What is not served as it shall be, of bindings that were attached."""

    async def __call__(self, todo: Plan, bindings: Sequence[Binding], *, is_last: bool) -> Sequence[Shortfall]: ...


@dataclass(slots=True)
class Carrying:
    """A plan being carried out. `forth` first; then `back`, or `retire` once all of the certificate is proven."""

    gateway: Gateway
    deployment: Deployment
    todo: Plan
    bundle: Bundle | None
    prove: Prove
    last_good: Callable[[], Awaitable[Bundle | None]] | None
    """The material that was proven last, where it is kept."""
    heard: OnResult
    settle_seconds: float
    """How long it may take until what the gateway accepted can be read."""
    condemn: Condemn = _unnoted
    """Notes that it is bad, and what has moved, for whoever goes on with it."""
    utc_now: Callable[[], datetime] = _utc_now
    stored: Stored | None = None
    results: tuple[BindingResult, ...] = ()
    reached: tuple[Binding, ...] = ()
    """What may have been moved: all but what was refused for good."""
    is_proven: bool = False
    """Wave by wave, or as a whole."""
    bad: Sequence[Shortfall] = ()
    """Why it was found bad, and what can go back went."""

    async def forth(self) -> DeploymentReport:
        """Everything but what has to wait for the proof of the whole certificate."""
        # The gateway was there when it was observed: what fails now is an attempt, whatever it fails of.
        return attempted(await (self._back_again() if self.todo.bad else self._forth()))

    async def _back_again(self) -> DeploymentReport:
        """What an earlier attempt found bad goes back before anything else does."""
        replacement, returned = self.todo.replacement, frozenset(self.todo.returned)
        self.stored = replacement.stored if isinstance(replacement, Keep | Modify) else None
        self.results = tuple(
            BindingResult(one, ROLLED_BACK if one in returned else "unchanged")
            for one in (*self.todo.attach, *self.todo.unchanged)
        )
        return await self.back(self.todo.bad)

    async def _forth(self) -> DeploymentReport:
        self.results = tuple(BindingResult(binding, "unchanged") for binding in self.todo.unchanged)
        try:
            self.stored = await self._replaced()
        except RotationError as error:
            return not_replaced(self.deployment, self.todo, self.results, Failure.of(error))
        return await self._in_waves() if self.todo.waves else await self._at_once()

    async def _at_once(self) -> DeploymentReport:
        await self._move(self.todo.attach)
        return self._reported()

    async def _in_waves(self) -> DeploymentReport:
        """A wave that none of its bindings could join, because the gateway is away, is the last one for now.

        What an earlier attempt has moved may not have been proven: that comes before anything else moves.
        """
        if not frozenset(self.todo.moved).isdisjoint(self.todo.unchanged):
            shortfalls = await self._unproven(is_last=False)
            if shortfalls:
                return await self._back_from(shortfalls, self.todo.attach)
        for number, wave in enumerate(self.todo.rounds, start=1):
            size, waiting = len(wave), self.todo.attach[sum(self.todo.waves[:number]) :]
            await self._move(wave)
            shortfalls = await self._unproven(is_last=number == len(self.todo.waves))
            _log.info("wave.finished", gateway=self.deployment.gateway, wave=number, bindings=size, bad=len(shortfalls))
            if shortfalls:
                return await self._back_from(shortfalls, waiting)
            if (failure := _why_none(self.results[-size:])) is not None:
                self.results += tuple(BindingResult(one, "failed", failure) for one in waiting)
                return self._reported()
        self.is_proven = True
        return self._reported()

    async def _back_from(self, shortfalls: Sequence[Shortfall], waiting: Sequence[Binding]) -> DeploymentReport:
        self.results += tuple(BindingResult(one, "unchanged") for one in waiting)
        return await self.back(shortfalls)

    async def _unproven(self, *, is_last: bool) -> Sequence[Shortfall]:
        good = [one.binding for one in self.results if one.state != "failed"]
        return await self.prove(self.todo, good, is_last=is_last) if good else ()

    def _reported(self) -> DeploymentReport:
        return reported(self.deployment, self.todo, self.stored, self.results)

    async def _replaced(self) -> Stored | None:
        match self.todo.replacement:
            case Keep(stored):
                return stored
            case UploadEach():
                return None
            case Modify() | Create() as how:
                if self.bundle is None:
                    raise RefusedError("material_missing", "the renewal brings no certificate")
                return await self._stored(how, self.bundle)
            case _:
                assert_never(self.todo.replacement)

    async def _stored(self, how: Modify | Create, bundle: Bundle) -> Stored:
        try:
            stored = await self.gateway.replace(self.deployment, how, bundle)
        except PermanentError as error:
            if error.reason != "quota" or not await self._has_made_room():
                raise
            stored = await self.gateway.replace(self.deployment, how, bundle)
        current_effort().changes += 1
        return stored

    async def _has_made_room(self) -> bool:
        """What earlier attempts left fills the quota: whether any of it could be deleted."""
        kept = {place.stored.certificate_id for place in self.todo.back_to.values() if place.stored is not None}
        left = [one for one in self.todo.retire if one.certificate_id not in kept]
        return bool([one for one in left if await is_retired(self.gateway, one)])

    async def _move(self, bindings: Sequence[Binding]) -> None:
        """Attached and read back, with all that was attached before."""
        found = await attached(self.gateway, self.deployment, self.stored, bindings, self.bundle, self.heard)
        self.results += found
        self.reached += tuple(one.binding for one in found if one.failure is None or one.failure.transient)
        if not self.todo.is_nothing:
            self.results = await self._read_back(self.results)

    @property
    def _settling(self) -> Settling:
        return Settling(self.gateway, self.deployment, self._leaf, self.settle_seconds)

    @property
    def _way(self) -> WayBack:
        return WayBack(self.gateway, self.deployment, self.todo, self._settling, self.last_good, self.utc_now)

    @property
    def _leaf(self) -> Leaf | None:
        """What the platform renewed itself is another certificate than the message may bring for other deployments."""
        return None if self.bundle is None or self.deployment.strategy == "rebind" else self.bundle.leaf

    async def _read_back(self, results: tuple[BindingResult, ...]) -> tuple[BindingResult, ...]:
        """What the gateway shows decides, not what it answered; a flag that moved is put right, and still told."""

        def judge(results: Sequence[BindingResult], observed: Observed) -> tuple[BindingResult, ...]:
            return confirmed(results, observed, self._leaf)

        shown = await self._settling.settled(results, judge)
        moved = moved_flags(shown)
        if not moved:
            return shown
        _log.warning("client_verification.moved", gateway=self.deployment.gateway, bindings=len(moved))
        again = await self.gateway.attach(self.deployment, self.stored, moved, self.bundle, unheard)
        return put_right(shown, await self._settling.settled(tuple(again), judge))

    async def back(self, shortfalls: Sequence[Shortfall]) -> DeploymentReport:
        """Everything that this renewal moved goes back to where it was; the report says what did.

        That it is to go back is noted before: half way, nothing else tells.
        """
        _log.warning("rotation.bad", gateway=self.deployment.gateway, reason=shortfalls[0].failure.reason)
        self.bad = shortfalls
        moved = self._moved()
        if self.todo.returned or any(self._way.leads_from(one) for one in moved):
            await self._condemned(moved, shortfalls)
            return await self._moved_back(moved, shortfalls)
        if self._is_written and self.stored is not None and (last := await self._way.last_good()) is not None:
            await self._condemned((), shortfalls)
            return await self._written_back(self.stored, last, shortfalls)
        why = OLD_EXPIRED if any(self._way.is_expired(one) for one in moved) else NOTHING_BACK
        return unproven(self._reported(), shortfalls, why=why if self.has_changed else "")

    async def _condemned(self, moved: Sequence[Binding], shortfalls: Sequence[Shortfall]) -> None:
        if not self.todo.bad:
            await self.condemn(moved, shortfalls)

    async def _moved_back(self, moved: Sequence[Binding], shortfalls: Sequence[Shortfall]) -> DeploymentReport:
        report = self._returned(await self._way.of_bindings(moved), shortfalls, self._latest_old())
        if report.reason == ROLLED_BACK and self.stored is not None:
            await is_retired(self.gateway, self.stored, moved)
        return report

    async def _written_back(self, bad: Stored, last: Bundle, shortfalls: Sequence[Shortfall]) -> DeploymentReport:
        bindings = [one.binding for one in self.results if one.state != "failed"]
        returned = await self._way.of_material(bad, last, bindings)
        return self._returned(returned, shortfalls, replace(bad, not_after=last.leaf.not_after))

    def _returned(
        self, returned: Sequence[BindingResult], shortfalls: Sequence[Shortfall], old: Stored | None
    ) -> DeploymentReport:
        for one in returned:
            self.heard(one)
        by_binding = {one.binding: one for one in returned}
        self.results = tuple(_with_first_failure(by_binding.get(one.binding, one), one) for one in self.results)
        return attempted(rolled_back(self._reported(), shortfalls, returned, old))

    @property
    def is_bad(self) -> bool:
        return bool(self.bad)

    @property
    def has_changed(self) -> bool:
        return self.todo.was_replaced or not self.todo.is_nothing

    @property
    def _is_written(self) -> bool:
        """Whether this renewal put its certificate in another's place, in this attempt or in one before."""
        return self.deployment.strategy == "in_place" and (
            self.todo.was_replaced or isinstance(self.todo.replacement, Modify)
        )

    def _moved(self) -> Sequence[Binding]:
        """What this renewal moved, in this attempt or in one before."""
        return [one for one in dict.fromkeys((*self.todo.moved, *self.reached)) if one in self.todo.back_to]

    def _latest_old(self) -> Stored | None:
        return next((place.stored for place in self.todo.back_to.values() if place.stored is not None), None)

    async def retire(self) -> None:
        """Quotas fill otherwise. What cannot be deleted now is found again by its name at the next rotation."""
        # Nothing that is bound is deleted: of uploads for single domains, those of the sound ones can go in any case.
        is_failed = any(result.state == "failed" for result in self.results)
        if is_failed and not isinstance(self.todo.replacement, UploadEach):
            return
        for stored in self.todo.retire:
            await is_retired(self.gateway, stored, self._bound())

    def _bound(self) -> Collection[Binding]:
        """To what replaces the old: where bindings move they may be shown with both."""
        return [one.binding for one in self.results if one.state != "failed"] if self.deployment.moves else ()


async def is_retired(gateway: Gateway, stored: Stored, moved: Collection[Binding] = ()) -> bool:
    """Deleted, if nothing else than `moved` is bound to it. What does not come off is told by the log alone."""
    try:
        is_gone = await gateway.retire(stored, moved)
    except RotationError as error:
        _log.warning("certificate.not_retired", certificate_id=stored.certificate_id, reason=error.reason)
        return False
    current_effort().changes += is_gone
    _log.info("certificate.retired", certificate_id=stored.certificate_id, gone=is_gone)
    return is_gone


def _with_first_failure(now: BindingResult, before: BindingResult) -> BindingResult:
    """That it went back does not say that it had gone well."""
    return now if now.failure is not None else replace(now, failure=before.failure)


def crashed(deployment: Deployment, bug: Exception) -> DeploymentReport:
    """Of an exception that nobody expected, at one deployment."""
    _log.error("deployment.crashed", gateway=deployment.gateway, exc_info=bug)
    failure = failure_of(bug)
    return DeploymentReport(deployment, "failed", failure.reason, deployment.certificate_id, failure=failure)


def failure_of(bug: Exception) -> Failure:
    """Of an exception that nobody expected."""
    return EXHAUSTED if is_exhaustion(bug) else INTERNAL


def _why_none(wave: Sequence[BindingResult]) -> Failure | None:
    """Why nothing at all of a wave was reached, where that may pass."""
    failures = [one.failure for one in wave if one.failure is not None]
    passing = [one for one in failures if one.transient]
    return passing[0] if passing and len(failures) == len(wave) else None
