"""One plan at one deployment: replaced, attached wave by wave, read back, proven; put back where it turns out bad."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, assert_never

import structlog

from worker.core.bundle import Bundle, Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure, PermanentError, RefusedError, RotationError, is_exhaustion
from worker.core.outcome import BindingResult, DeploymentReport, attempted
from worker.core.planning import Create, Keep, Modify, Observed, Plan, Stored, UploadEach, is_previous
from worker.core.proof import Shortfall
from worker.core.readback import confirmed, is_complete, moved_flags, put_back, put_right
from worker.core.reporting import ROLLED_BACK, not_replaced, reported, rolled_back, unconfirmed, unproven
from worker.effort import current_effort
from worker.gateways.base import Gateway, OnResult
from worker.gateways.in_parts import give_way

_log = structlog.get_logger()
INTERNAL: Final = Failure("internal_error", "a bug of the worker: see its log", transient=False)
EXHAUSTED: Final = Failure("worker_exhausted", "the worker's machine had no room left: see its log", transient=True)
_FROM_NOWHERE: Final = Failure("binding_failed", "nothing was bound there before, to go back to", transient=False)
Judge = Callable[[Sequence[BindingResult], Observed], tuple[BindingResult, ...]]
"""The results as what was read shows them."""


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
    stored: Stored | None = None
    results: tuple[BindingResult, ...] = ()
    reached: tuple[Binding, ...] = ()
    """What may have been moved: all but what was refused for good."""
    is_proven: bool = False
    """Wave by wave."""

    async def forth(self) -> DeploymentReport:
        """Everything but what has to wait for the proof of the whole certificate."""
        # The gateway was there when it was observed: what fails now is an attempt, whatever it fails of.
        return attempted(await self._forth())

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
        """A wave that none of its bindings could join, because the gateway is away, is the last one for now."""
        for number, wave in enumerate(self.todo.rounds, start=1):
            size, waiting = len(wave), self.todo.attach[sum(self.todo.waves[:number]) :]
            await self._move(wave)
            shortfalls = await self._unproven(is_last=number == len(self.todo.waves))
            _log.info("wave.finished", gateway=self.deployment.gateway, wave=number, bindings=size, bad=len(shortfalls))
            if shortfalls:
                self.results += tuple(BindingResult(one, "unchanged") for one in waiting)
                return await self.back(shortfalls)
            if (failure := _why_none(self.results[-size:])) is not None:
                self.results += tuple(BindingResult(one, "failed", failure) for one in waiting)
                return self._reported()
        self.is_proven = True
        return self._reported()

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
        found = await self._attached(self.stored, bindings, self.bundle, self.heard)
        self.results += found
        self.reached += tuple(one.binding for one in found if one.failure is None or one.failure.transient)
        if not self.todo.is_nothing:
            self.results = await self._read_back(self.results)

    async def _attached(
        self, to: Stored | None, bindings: Sequence[Binding], bundle: Bundle | None, on_result: OnResult
    ) -> tuple[BindingResult, ...]:
        effort = current_effort()

        def heard(result: BindingResult) -> None:
            effort.changes += result.state == "attached"
            on_result(result)

        return tuple(await self.gateway.attach(self.deployment, to, bindings, bundle, heard)) if bindings else ()

    @property
    def _leaf(self) -> Leaf | None:
        """What the platform renewed itself is another certificate than the message may bring for other deployments."""
        return None if self.bundle is None or self.deployment.strategy == "rebind" else self.bundle.leaf

    async def _read_back(self, results: tuple[BindingResult, ...]) -> tuple[BindingResult, ...]:
        """What the gateway shows decides, not what it answered; a flag that moved is put right, and still told."""

        def judge(results: Sequence[BindingResult], observed: Observed) -> tuple[BindingResult, ...]:
            return confirmed(results, observed, self._leaf)

        shown = await self._settled(results, judge)
        moved = moved_flags(shown)
        if not moved:
            return shown
        _log.warning("client_verification.moved", gateway=self.deployment.gateway, bindings=len(moved))
        again = await self.gateway.attach(self.deployment, self.stored, moved, self.bundle, _unheard)
        return put_right(shown, await self._settled(tuple(again), judge))

    async def _settled(
        self, results: tuple[BindingResult, ...], judge: Judge, *, elsewhere: bool = False
    ) -> tuple[BindingResult, ...]:
        """Reads until all is as it shall be, or the gateway has had its time: it may show changes late."""
        pause, waited, longest = 1.0, 0.0, self.settle_seconds
        while True:
            try:
                observed = await self.gateway.observe(self.deployment, self._leaf, elsewhere=elsewhere)
            except RotationError as error:
                return unconfirmed(results, Failure.of(error))
            await give_way(len(results))
            shown = judge(results, observed)
            await give_way(len(results))
            if is_complete(shown, results) or waited >= longest:
                return shown
            pause = min(pause, longest - waited)
            await asyncio.sleep(pause)
            waited, pause = waited + pause, pause * 2

    async def back(self, shortfalls: Sequence[Shortfall]) -> DeploymentReport:
        """Everything that this renewal moved goes back to where it was; the report says what did."""
        _log.warning("rotation.bad", gateway=self.deployment.gateway, reason=shortfalls[0].failure.reason)
        moved = self._moved()
        if any(self.todo.back_to[one].stored is not None for one in moved):
            return await self._moved_back(moved, shortfalls)
        if self._is_written and self.stored is not None and (last := await self._last_good()) is not None:
            return self._returned(await self._material_back(self.stored, last), shortfalls, None)
        return unproven(self._reported(), shortfalls, is_changed=self.has_changed)

    async def _moved_back(self, moved: Sequence[Binding], shortfalls: Sequence[Shortfall]) -> DeploymentReport:
        report = self._returned(await self._bindings_back(moved), shortfalls, self._latest_old())
        if report.reason == ROLLED_BACK and self.stored is not None:
            await is_retired(self.gateway, self.stored, moved)
        return report

    def _returned(
        self, returned: Sequence[BindingResult], shortfalls: Sequence[Shortfall], old: Stored | None
    ) -> DeploymentReport:
        for one in returned:
            self.heard(one)
        by_binding = {one.binding: one for one in returned}
        self.results = tuple(_with_first_failure(by_binding.get(one.binding, one), one) for one in self.results)
        return attempted(rolled_back(self._reported(), shortfalls, returned, old))

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

    async def _bindings_back(self, moved: Sequence[Binding]) -> Sequence[BindingResult]:
        """To the old stored certificate, whose key never left the cloud."""
        back_to = self.todo.back_to
        results = [BindingResult(one, "failed", _FROM_NOWHERE) for one in moved if back_to[one].stored is None]
        of_old = defaultdict[Stored, list[Binding]](list)
        for one in moved:
            if (old := back_to[one].stored) is not None:
                of_old[old].append(one)
        for old, bindings in of_old.items():
            found = await self._attached(old, [back_to[one].as_it_was for one in bindings], None, _unheard)
            results += [BindingResult(one, it.state, it.failure) for one, it in zip(bindings, found, strict=True)]
        return await self._settled(tuple(results), lambda them, seen: put_back(them, seen, back_to), elsewhere=True)

    async def _last_good(self) -> Bundle | None:
        """What was replaced, where it is kept: an older one may be one that had to go."""
        try:
            last = None if self.last_good is None else await self.last_good()
        except RotationError as error:
            _log.error("previous.unreadable", reason=error.reason, error=error.message)
            return None
        return last if last is not None and is_previous(last.leaf, self.todo.previous) else None

    async def _material_back(self, bad: Stored, last: Bundle) -> Sequence[BindingResult]:
        """The last good material in the place of the one that turned out bad."""
        bindings = [one.binding for one in self.results if one.state != "failed"]
        try:
            stored = await self.gateway.replace(self.deployment, Modify(bad), last)
        except RotationError as error:
            return [BindingResult(one, "failed", Failure.of(error)) for one in bindings]

        def judge(results: Sequence[BindingResult], observed: Observed) -> tuple[BindingResult, ...]:
            return confirmed(results, observed, last.leaf)

        shown = await self._settled(await self._attached(stored, bindings, last, _unheard), judge)
        return [one if one.state == "failed" else BindingResult(one.binding, ROLLED_BACK) for one in shown]

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


def _unheard(_result: BindingResult) -> None:
    """No progress of the rotation."""


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
