"""One plan at one deployment, the way forth: replaced, attached wave by wave, read back, proven."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, assert_never

import structlog

from worker.core.bundle import Bundle, Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure, PermanentError, RefusedError, RotationError
from worker.core.moving import Wave, drawn, in_order, next_wave
from worker.core.outcome import BindingResult, DeploymentReport, attempted
from worker.core.planning import Create, Keep, Modify, Observed, Plan, Stored, UploadEach
from worker.core.progress import Progress
from worker.core.proof import Reach, Shortfall
from worker.core.readback import FLAG_MOVED, confirmed, is_in_doubt, moved_flags, put_right
from worker.core.reporting import ROLLED_BACK, STRAYED, not_replaced
from worker.effort import current_effort
from worker.gateways.base import Gateway, OnResult
from worker.going_back import WayBack
from worker.settling import Settling, attached, is_retired, unheard

_log = structlog.get_logger()
_NOT_NEXT: Final = Failure(
    "binding_failed", "left where it is, with the exposed key: what has moved before it is not proven", transient=True
)


class Proof(Protocol):
    """Of what was attached at one deployment, or is about to be."""

    async def of_wave(self, done: Progress, *, is_last: bool) -> Sequence[Shortfall]:
        """What is not served as it shall be."""
        ...

    async def reach_of(self, done: Progress, bindings: Sequence[Binding]) -> Reach:
        """Before these move too, of the endpoints that will be asked."""
        ...

    def has_seen(self, done: Progress, shortfalls: Sequence[Shortfall]) -> bool:
        """Whether anything that was asked did not fall short."""
        ...


@dataclass(slots=True)
class Carrying:
    """A plan being carried out. `forth` first; then `back`, or `retire` once all of the certificate is proven."""

    settling: Settling
    bundle: Bundle | None
    proof: Proof
    way: WayBack
    heard: OnResult
    progress: Progress
    stayed: str = ""
    """Why nothing that is bad here could go back, as messages end with it."""
    chance: Callable[[], float] = in_order
    """From 0 to below 1."""

    @property
    def todo(self) -> Plan:
        return self.progress.todo

    @property
    def gateway(self) -> Gateway:
        return self.settling.gateway

    @property
    def deployment(self) -> Deployment:
        return self.settling.deployment

    @property
    def is_bad(self) -> bool:
        return bool(self.progress.bad)

    async def forth(self) -> DeploymentReport:
        """Everything but what has to wait for the proof of the whole certificate."""
        # The gateway was there when it was observed: what fails now is an attempt, whatever it fails of.
        return attempted(await (self._back_again() if self.todo.bad else self._forth()))

    async def back(self, shortfalls: Sequence[Shortfall]) -> DeploymentReport:
        """What can go back goes; the report says what did."""
        self.progress = replace(self.progress, bad=shortfalls)
        told, self.stayed = await self.way.taken(self.progress, shortfalls)
        return told

    async def _back_again(self) -> DeploymentReport:
        """What an earlier attempt found bad goes back before anything else does."""
        replacement = self.todo.replacement
        known = {one: BindingResult(one, ROLLED_BACK) for one in self.todo.returned}
        known |= {one: BindingResult(one, "failed", STRAYED) for one in self.todo.strayed}
        every = (*self.todo.attach, *self.todo.unchanged)
        results = tuple(known.get(one, BindingResult(one, "unchanged")) for one in every)
        stored = replacement.stored if isinstance(replacement, Keep | Modify) else None
        self.progress = replace(self.progress, stored=stored, results=results)
        return await self.back(self.todo.bad)

    async def _forth(self) -> DeploymentReport:
        results = tuple(BindingResult(binding, "unchanged") for binding in self.todo.unchanged)
        self.progress = replace(self.progress, results=results)
        try:
            stored = await self._replaced()
        except RotationError as error:
            failure, how = Failure.of(error), self.todo.replacement
            if failure.reason == FLAG_MOVED and isinstance(how, Modify) and (results or not self.deployment.moves):
                return await self._back_from_written(how.stored, failure)
            return not_replaced(self.deployment, self.todo, results, failure)
        self.progress = replace(self.progress, stored=stored)
        return await self._in_waves() if self.todo.waves else await self._at_once()

    async def _back_from_written(self, stored: Stored, failure: Failure) -> DeploymentReport:
        """What was written has lost its client CA: it is there all the same, and bad wherever it is bound."""
        current_effort().changes += 1
        here = tuple(BindingResult(one, "unchanged") for one in self.todo.attach)
        results = self._not_next(self.todo.attach) if self.deployment.moves else here
        self.progress = replace(self.progress, stored=stored, results=self.progress.results + results)
        own = [one for one in self.todo.attach if one not in self.todo.back_to]
        bound = self.todo.unchanged if self.deployment.moves else own
        return await self.back([Shortfall(failure, one, one.name) for one in bound] or [Shortfall(failure, None, "")])

    async def _at_once(self) -> DeploymentReport:
        await self._move(self.todo.attach)
        return self.progress.reported(self.deployment)

    async def _in_waves(self) -> DeploymentReport:
        """What an earlier attempt has moved may not have been proven: that comes before anything else moves.

        Until something has moved and was proven, what moves is no more than the first wave, and the next so many after
        it, however many are in vain: what is gone for good shall not keep the others from being renewed. They are drawn
        by chance. Where it is forbidden to attach them, it is one at a time, and not for ever.
        """
        todo, at, forbidden = self.todo, 0, 0
        if not frozenset(self.todo.moved).isdisjoint(self.todo.unchanged):
            shortfalls = await self._unproven(is_last=False)
            if shortfalls:
                return await self._back_from(shortfalls, todo.attach)
        while (wave := next_wave(todo, at, has_canary=self._has_canary, is_alone=forbidden > 0)) is not None:
            at += len(wave.bindings)
            ended = await self._wave(wave, todo.attach[at:])
            if ended is not None:
                return ended
            if not self.progress.good:
                failure = _forbidden(self.progress.results[-len(wave.bindings) :])
                forbidden += failure is not None
                ahead = drawn(todo, at, self.chance(), forbidden)
                if ahead is None and failure is not None:
                    return self._left(todo.attach[at:], _untried(failure, forbidden))
                todo = ahead or todo
            else:
                forbidden = 0
        self.progress = replace(self.progress, is_proven=not self.progress.is_dim)
        return self.progress.reported(self.deployment)

    @property
    def _has_canary(self) -> bool:
        """Something has moved, and whoever can tell could be asked; where there is nobody, that is told beforehand."""
        return bool(self.progress.good) and (not self.progress.is_dark or self.todo.is_canary_asked is False)

    async def _wave(self, wave: Wave, waiting: Sequence[Binding]) -> DeploymentReport | None:
        """The report, where this is the last wave for now.

        It is, too, where none of its bindings could be moved because the gateway is away.
        """
        await self._look_before(wave)
        await self._move(wave.bindings)
        shortfalls = self._without_flag() or await self._unproven(is_last=wave.is_last)
        size, gateway = len(wave.bindings), self.deployment.gateway
        _log.info("wave.finished", gateway=gateway, wave=wave.number, bindings=size, bad=len(shortfalls))
        if shortfalls:
            return await self._back_from(shortfalls, waiting)
        failure = _why_none(self.progress.results[-size:])
        return None if failure is None else self._left(waiting, failure)

    async def _look_before(self, wave: Wave) -> None:
        """What answers no handshake any more after a change does so for the change, if it did before.

        What has moved already and does not answer now may be so for that: only the first attempt knows better.
        """
        self.progress = replace(self.progress, reach=await self.proof.reach_of(self.progress, wave.bindings))

    def _left(self, waiting: Sequence[Binding], failure: Failure) -> DeploymentReport:
        left = tuple(BindingResult(one, "failed", failure) for one in waiting)
        self.progress = replace(self.progress, results=self.progress.results + left)
        return self.progress.reported(self.deployment)

    async def _back_from(self, shortfalls: Sequence[Shortfall], waiting: Sequence[Binding]) -> DeploymentReport:
        self.progress = replace(self.progress, results=self.progress.results + self._not_next(waiting))
        return await self.back(shortfalls)

    def _not_next(self, waiting: Sequence[Binding]) -> tuple[BindingResult, ...]:
        """Those whose turn to move has not come, and does not."""
        is_exposed = self.way.urgency.is_key_exposed
        return tuple(
            BindingResult(one, "failed", _NOT_NEXT) if is_exposed else BindingResult(one, "unchanged")
            for one in waiting
        )

    def _without_flag(self) -> Sequence[Shortfall]:
        """No handshake has to show this: the gateway does not let them be as they were."""
        failures = {one.binding: one.failure for one in self.progress.results}
        named = [(one, failures[one]) for one in self.progress.lost]
        return [Shortfall(failure, one, one.name) for one, failure in named if failure is not None]

    async def _unproven(self, *, is_last: bool) -> Sequence[Shortfall]:
        """Empty also where all that is wrong was so before: that is told at the end, and stops nothing."""
        found = await self.proof.of_wave(self.progress, is_last=is_last) if self.progress.good else ()
        if any(not one.is_as_before for one in found):
            return found
        proven = self.progress.proven if found else frozenset(self.progress.good)
        is_dark = bool(found) and not self.proof.has_seen(self.progress, found)
        is_dim = self.progress.is_dim or bool(found)
        self.progress = replace(self.progress, is_dim=is_dim, is_dark=is_dark, proven=proven)
        return ()

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
        """Attached and read back, with all that was attached before: what has failed already needs no proof."""
        stored = self.progress.stored
        found = await attached(self.gateway, self.deployment, stored, bindings, self.bundle, self.heard)
        reached = tuple(one.binding for one in found if one.failure is None or one.failure.transient)
        results = self.progress.results + found
        self.progress = replace(self.progress, results=results, reached=self.progress.reached + reached)
        if not self.todo.is_nothing and (self.progress.good or any(map(is_in_doubt, results))):
            shown = await self._read_back(results)
            self.progress = replace(self.progress, results=shown)

    @property
    def _leaf(self) -> Leaf | None:
        return self.settling.leaf

    async def _read_back(self, results: tuple[BindingResult, ...]) -> tuple[BindingResult, ...]:
        """What the gateway shows decides, not what it answered; a flag that moved is put right, and still told."""

        def judge(results: Sequence[BindingResult], observed: Observed) -> tuple[BindingResult, ...]:
            return confirmed(results, observed, self._leaf)

        shown = await self.settling.settled(results, judge)
        self.progress, moved = replace(self.progress, lost=()), moved_flags(shown)
        if not moved:
            return shown
        _log.warning("client_verification.moved", gateway=self.deployment.gateway, bindings=len(moved))
        again = await self.gateway.attach(self.deployment, self.progress.stored, moved, self.bundle, unheard)
        found = await self.settling.settled(tuple(again), judge)
        lost = tuple(one for one in moved_flags(found) if self._had_flag(one))
        self.progress = replace(self.progress, lost=lost)
        return put_right(shown, found)

    def _had_flag(self, binding: Binding) -> bool:
        """Where it has moved from: what was not so there is no reason to go back there."""
        was = self.todo.back_to.get(binding)
        return was is not None and was.client_verification == binding.client_verification

    async def retire(self) -> None:
        """Quotas fill otherwise. What cannot be deleted now is found again by its name at the next rotation."""
        # Nothing that is bound is deleted: of uploads for single domains, those of the sound ones can go in any case.
        is_failed = any(result.state == "failed" for result in self.progress.results)
        if is_failed and not isinstance(self.todo.replacement, UploadEach):
            return
        for stored in self.todo.retire:
            await is_retired(self.gateway, stored, self._bound())

    def _bound(self) -> Mapping[Binding, str]:
        """To what replaces the old: where bindings move they may be shown with both."""
        stored = self.progress.stored
        return dict.fromkeys(self.progress.good, stored.certificate_id) if stored and self.deployment.moves else {}


def _why_none(wave: Sequence[BindingResult]) -> Failure | None:
    """Why nothing at all of a wave was reached, where that may pass."""
    failures = [one.failure for one in wave if one.failure is not None]
    passing = [one for one in failures if one.transient]
    return passing[0] if passing and len(failures) == len(wave) else None


def _forbidden(wave: Sequence[BindingResult]) -> Failure | None:
    """Of what the account may not do."""
    failures = (one.failure for one in wave)
    return next((one for one in failures if one is not None and one.reason == "forbidden"), None)


def _untried(failure: Failure, waves: int) -> Failure:
    return replace(failure, message=f"not tried, because {waves} attempts with others were refused: {failure.message}")
