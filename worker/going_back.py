"""The ways back at one deployment: bindings to their old stored certificate, or the old material to its place."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import structlog

from worker.core import way_back
from worker.core.bundle import Bundle
from worker.core.deployment import Binding
from worker.core.errors import Failure, RotationError
from worker.core.outcome import BindingResult, DeploymentReport, attempted
from worker.core.planning import Bound, Keep, Modify, Observed, Plan, Stored, is_previous
from worker.core.progress import Progress
from worker.core.proof import Served, Shortfall
from worker.core.readback import astray, confirmed, elsewhere, put_back
from worker.core.reporting import (
    KEY_EXPOSED,
    NOTHING_BACK,
    OLD_EXPIRED,
    ROLLED_BACK,
    STRAYED,
    UNKNOWN,
    looked_back,
    rolled_back,
    unproven,
)
from worker.core.urgency import ORDINARY, Urgency
from worker.gateways.base import OnResult
from worker.settling import Settling, attached, detached, is_retired, unheard
from worker.wall_clock import utc_now

_log = structlog.get_logger()
_FROM_NOWHERE: Final = Failure("binding_failed", "nothing was bound there before, to go back to", transient=False)
_ELSEWHERE: Final = Failure("binding_failed", "was bound elsewhere before; it is left here", transient=False)
_NOT_HERE: Final = Failure(
    "binding_failed", "was not bound here before, and this cloud cannot unbind: it is left here", transient=False
)
_EXPIRED: Final = Failure("binding_failed", "the certificate before has expired", transient=True)
_NOTHING_BEFORE: Final = f"{NOTHING_BACK}: nothing was there before"
_CANNOT_UNBIND: Final = f"{NOTHING_BACK}: nothing was bound there before, and this cloud cannot unbind"
_NO_WAY: Final = f"{NOTHING_BACK}: this strategy has no way back"
_MOST_NAMES: Final = 20
Condemn = Callable[[Sequence[Binding], Sequence[Shortfall]], Awaitable[None]]


async def _unnoted(_moved: Sequence[Binding], _shortfalls: Sequence[Shortfall]) -> None:
    """Where nobody goes on with it."""


async def unkept() -> None:
    """Where no material is kept."""


async def unlooked(_served: Served, /) -> bool | None:
    """Where nobody can be asked."""
    return None


@dataclass(frozen=True, slots=True)
class WayBack:
    """From what a plan has changed there, in this attempt or in one before."""

    settling: Settling
    kept: Callable[[], Awaitable[Bundle | None]] = unkept
    """The material that was proven last, where it is kept."""
    condemn: Condemn = _unnoted
    """Notes that it is bad, and what has moved, for whoever goes on with it."""
    heard: OnResult = unheard
    utc_now: Callable[[], datetime] = utc_now
    urgency: Urgency = ORDINARY
    looks: Callable[[Served], Awaitable[bool | None]] = unlooked
    """Whether clients are served again what they were before; None where nobody is asked."""
    under_way: Callable[[Plan], AbstractContextManager[object]] = nullcontext
    """Inside its block what goes back is under way, for whoever looks on."""

    async def taken(self, done: Progress, shortfalls: Sequence[Shortfall]) -> tuple[DeploymentReport, str]:
        """Everything that this renewal moved goes back to where it was; the report says what did.

        With it, why nothing could, as messages end with it; empty where anything was tried. That it is to go back is
        noted before: half way, nothing else tells.
        """
        settling, moved, todo = self.settling, done.moved, done.todo
        _log.warning("rotation.bad", gateway=settling.deployment.gateway, reason=shortfalls[0].failure.reason)
        if self.urgency.is_key_exposed:
            return self._left(done, shortfalls, KEY_EXPOSED)
        if settling.deployment.moves and self._is_begun(todo, moved):
            with self.under_way(way_back.of_bindings(done)):
                await self._condemned(todo, moved, shortfalls)
                return await self._moved_back(done, shortfalls), ""
        if done.is_written_at(settling.deployment) and done.stored is not None:
            last = await self._last_good(todo)
            if isinstance(last, str):
                return self._left(done, shortfalls, f"{NOTHING_BACK}: {last}")
            with self.under_way(way_back.of_material(done, done.stored, is_written=_is_back(todo))):
                await self._condemned(todo, moved, shortfalls)
                return await self._written_back(done, done.stored, last, shortfalls), ""
        return self._left(done, shortfalls, self._why_not(todo, moved))

    def _is_begun(self, todo: Plan, moved: Sequence[Binding]) -> bool:
        """Or can be."""
        return bool(todo.returned or todo.strayed) or any(self._leads_from(todo, one) for one in moved)

    def _why_not(self, todo: Plan, moved: Sequence[Binding]) -> str:
        """Why nothing has a way back."""
        deployment = self.settling.deployment
        if not deployment.moves and deployment.strategy != "in_place":
            return _NO_WAY
        if any(self._is_expired(todo, one) for one in moved):
            return OLD_EXPIRED
        if deployment.moves and moved:
            return _CANNOT_UNBIND
        return UNKNOWN if deployment.moves or isinstance(todo.replacement, Keep) else _NOTHING_BEFORE

    def _left(self, done: Progress, shortfalls: Sequence[Shortfall], why: str) -> tuple[DeploymentReport, str]:
        report = done.reported(self.settling.deployment)
        return unproven(report, shortfalls, why=why), why

    async def _condemned(self, todo: Plan, moved: Sequence[Binding], shortfalls: Sequence[Shortfall]) -> None:
        if not todo.bad:
            await self.condemn(moved, shortfalls)

    async def _moved_back(self, done: Progress, shortfalls: Sequence[Shortfall]) -> DeploymentReport:
        places = (place for one, place in done.todo.back_to.items() if one not in done.todo.strayed)
        old = {place.stored.certificate_id: place.stored for place in places if place.stored is not None}
        returned = await self._of_bindings(done)
        report = self._returned(done, returned, shortfalls, next(iter(old.values()), None), None)
        self._tell(done.todo, returned, report, shortfalls)
        is_served = await self._is_served_again(report, way_back.as_before(done.todo, report))
        if report.reason == ROLLED_BACK and done.stored is not None:
            await is_retired(self.settling.gateway, done.stored, _where(done))
        return looked_back(report, is_served=is_served)

    async def _written_back(
        self, done: Progress, bad: Stored, last: Bundle, shortfalls: Sequence[Shortfall]
    ) -> DeploymentReport:
        returned, failure = await self._of_material(done, bad, last)
        report = self._returned(done, returned, shortfalls, replace(bad, not_after=last.leaf.not_after), failure)
        self._tell(done.todo, returned, report, shortfalls, bad.certificate_id)
        placed = [one for one in way_back.back_in(report) if one not in done.todo.back_to]
        is_served = await self._is_served_again(report, Served("", last, placed))
        return looked_back(report, is_served=is_served)

    async def _is_served_again(self, report: DeploymentReport, served: Served) -> bool | None:
        """The API's word is not enough, and nodes may lag. What is still to go back is looked at once it has."""
        if report.reason != ROLLED_BACK or not served.bindings:
            return None
        is_served = await self.looks(served)
        if is_served is not None:
            tell = _log.info if is_served else _log.warning
            gateway, bindings = self.settling.deployment.gateway, len(served.bindings)
            tell("deployment.looked_back", gateway=gateway, bindings=bindings, served_again=is_served)
        return is_served

    def _returned(
        self,
        done: Progress,
        returned: Sequence[BindingResult],
        shortfalls: Sequence[Shortfall],
        old: Stored | None,
        failure: Failure | None,
    ) -> DeploymentReport:
        by_binding = {one.binding: one for one in returned}
        results = tuple(_with_first_failure(by_binding.get(one.binding, one), one) for one in done.results)
        report = replace(done, results=results).reported(self.settling.deployment)
        return attempted(rolled_back(report, shortfalls, returned, old, failure=failure))

    def _tell(
        self,
        todo: Plan,
        returned: Sequence[BindingResult],
        report: DeploymentReport,
        shortfalls: Sequence[Shortfall],
        place: str | None = None,
    ) -> None:
        """What is back, and to what: `place` where it is one stored certificate whose material was put back."""
        back = way_back.back_in(report)
        if not back:
            return  # the report says why
        origins = [todo.back_to[one].stored for one in back if one in todo.back_to]
        to = [place] if place else list(dict.fromkeys(one.certificate_id for one in origins if one is not None))
        _log.warning(
            "deployment.rolled_back",
            gateway=self.settling.deployment.gateway,
            bindings=len(back),
            names=[one.name for one in back[:_MOST_NAMES]],
            to=to[:_MOST_NAMES],
            left=sum(one.state != ROLLED_BACK for one in returned),
            reason=shortfalls[0].failure.reason,
            why=shortfalls[0].failure.message,
        )

    def _leads_from(self, todo: Plan, binding: Binding) -> bool:
        """Whether it can go back: to nothing only where its cloud has a call for that."""
        is_somewhere = todo.back_to[binding].stored is not None
        return not self._is_expired(todo, binding) if is_somewhere else self.settling.gateway.detaches

    def _is_expired(self, todo: Plan, binding: Binding) -> bool:
        """Whether what it would go back to is no use to anybody any more."""
        return _has_ended(todo.back_to[binding].stored, self.utc_now())

    async def _of_bindings(self, done: Progress) -> Sequence[BindingResult]:
        """To the old stored certificate, whose key never left the cloud; to nothing where nothing was."""
        settling, todo, back_to = self.settling, done.todo, done.todo.back_to
        strayed = await self._astray(done)
        here = [one for one in done.moved if one not in strayed]
        results, of_old = list(self._stuck(todo, here)), defaultdict[Stored | None, list[Binding]](list)
        results += [BindingResult(one, "failed", STRAYED) for one in done.moved if one in strayed]
        self._heard(results)
        for one in here:
            if self._leads_from(todo, one):
                of_old[back_to[one].stored].append(one)
        for old, bindings in of_old.items():
            found = await self._returned_to(old, [back_to[one].as_it_was for one in bindings], done.stored)
            results += [BindingResult(one, it.state, it.failure) for one, it in zip(bindings, found, strict=True)]
        if not of_old:
            return results

        def judge(results: Sequence[BindingResult], observed: Observed) -> tuple[BindingResult, ...]:
            return put_back(results, observed, back_to)

        known = [one.certificate_id for one in of_old if one is not None]
        return await settling.settled(tuple(results), judge, elsewhere=True, known=known)

    async def _astray(self, done: Progress) -> Collection[Binding]:
        """What somebody has bound to something else while it was proven."""
        back_to = done.todo.back_to
        known = {place.stored.certificate_id for place in back_to.values() if place.stored is not None}
        observed = await self._seen(done.moved, known)
        return () if observed is None else astray(observed, done.moved, back_to, done.stored)

    async def _seen(self, bindings: Sequence[Binding], known: Collection[str] = ()) -> Observed | None:
        """None where it cannot be read: that stops no way back."""
        settling = self.settling
        # Each in its own place: what is "attached", or listed without an instance, is shown only where ours is.
        exactly = replace(settling.deployment, bindings=tuple(bindings))
        try:
            return await settling.gateway.observe(exactly, settling.leaf, elsewhere=True, known=known)
        except RotationError:
            return None

    async def _returned_to(
        self, old: Stored | None, bindings: Sequence[Binding], bad: Stored | None
    ) -> Sequence[BindingResult]:
        gateway = self.settling.gateway
        if old is not None:
            return await attached(gateway, self.settling.deployment, old, bindings, None, self._answered)
        if bad is not None:
            return await detached(gateway, bad, bindings, self._answered)
        return [BindingResult(one, "unchanged") for one in bindings]

    def _heard(self, results: Sequence[BindingResult]) -> None:
        for one in results:
            self.heard(one)

    def _answered(self, result: BindingResult) -> None:
        """What the gateway accepts counts as back, for whoever looks on; reading is what tells in the end."""
        is_failed = result.state == "failed"
        self.heard(result if is_failed else BindingResult(result.binding, ROLLED_BACK))

    def _stuck(self, todo: Plan, moved: Sequence[Binding]) -> Iterator[BindingResult]:
        for one in moved:
            if not self._leads_from(todo, one):
                yield BindingResult(one, "failed", _EXPIRED if self._is_expired(todo, one) else _FROM_NOWHERE)

    async def _last_good(self, todo: Plan) -> Bundle | str:
        """What was replaced, where it is kept and still good, or why not: an older one may be one that had to go."""
        try:
            last = await self.kept()
        except RotationError as error:
            _log.error("previous.unreadable", reason=error.reason, error=error.message)
            return f"what is kept cannot be read ({error.reason})"
        if last is None:
            return "nothing is kept"
        if last.leaf.not_after <= self.utc_now():
            return "what is kept has expired"
        return last if is_previous(last.leaf, todo.previous) else "what is kept is not what was replaced"

    async def _of_material(
        self, done: Progress, bad: Stored, last: Bundle
    ) -> tuple[Sequence[BindingResult], Failure | None]:
        """The last good material in the place of the one that turned out bad; why it is not there, where it is not."""
        gateway, deployment, todo = self.settling.gateway, self.settling.deployment, done.todo
        try:
            stored = bad if _is_back(todo) else await gateway.replace(deployment, Modify(bad), last)
        except RotationError as error:
            failure = Failure.of(error)
            return [BindingResult(one, "failed", failure) for one in done.good], failure

        def judge(results: Sequence[BindingResult], observed: Observed) -> tuple[BindingResult, ...]:
            return confirmed(results, observed, last.leaf)

        own, came = way_back.own_in(done), way_back.newcomers_in(done)
        observed = await self._seen([*own, *came])
        strayed = () if observed is None else elsewhere(observed, [*own, *came])
        left = [BindingResult(one, "failed", STRAYED) for one in strayed]
        self._heard(left)
        own, here = ([one for one in those if one not in strayed] for those in (own, came))
        answered = await attached(gateway, deployment, stored, own, last, self._answered)
        shown = await self.settling.settled(answered, judge)
        back = [one if one.state == "failed" else BindingResult(one.binding, ROLLED_BACK) for one in shown]
        return [*back, *left, *await self._of_newcomers(here, todo.back_to, stored)], None

    async def _of_newcomers(
        self, came: Sequence[Binding], back_to: Mapping[Binding, Bound], stored: Stored
    ) -> Sequence[BindingResult]:
        """What this renewal has bound there first: the old material in its place is not what it had before."""
        gateway = self.settling.gateway
        loose = [one for one in came if back_to[one].stored is None]
        results = [BindingResult(one, "failed", _ELSEWHERE) for one in came if back_to[one].stored is not None]
        if not gateway.detaches:
            results += [BindingResult(one, "failed", _NOT_HERE) for one in loose]
        self._heard(results)
        if not gateway.detaches or not loose:
            return results

        def judge(results: Sequence[BindingResult], observed: Observed) -> tuple[BindingResult, ...]:
            return put_back(results, observed, back_to)

        answered = await detached(gateway, stored, loose, self._answered)
        return [*results, *await self.settling.settled(tuple(answered), judge)]


def _where(done: Progress) -> Mapping[Binding, str]:
    """By id, what is bound again to where it came from."""
    origins = ((one, done.todo.back_to[one].stored) for one in done.moved)
    return {one: was.certificate_id for one, was in origins if was is not None}


def _is_back(todo: Plan) -> bool:
    """Whether an earlier attempt has brought the material back: what is there is not the bad one."""
    return bool(todo.bad) and not isinstance(todo.replacement, Keep)


def _has_ended(stored: Stored | None, now: datetime) -> bool:
    return stored is not None and stored.not_after is not None and stored.not_after <= now


def _with_first_failure(now: BindingResult, before: BindingResult) -> BindingResult:
    """That it went back does not say that it had gone well."""
    return now if now.failure is not None else replace(now, failure=before.failure)
