"""The ways back at one deployment: bindings to their old stored certificate, or the old material to its place."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import structlog

from worker.core.bundle import Bundle
from worker.core.deployment import Binding
from worker.core.errors import Failure, RotationError
from worker.core.outcome import BindingResult, DeploymentReport, attempted
from worker.core.planning import Keep, Modify, Observed, Plan, Stored, is_previous
from worker.core.progress import Progress
from worker.core.proof import Shortfall
from worker.core.readback import confirmed, put_back
from worker.core.reporting import KEY_EXPOSED, NOTHING_BACK, OLD_EXPIRED, ROLLED_BACK, rolled_back, unproven
from worker.core.urgency import ORDINARY, Urgency
from worker.gateways.base import OnResult
from worker.settling import Settling, attached, is_retired, unheard

_log = structlog.get_logger()
_FROM_NOWHERE: Final = Failure("binding_failed", "nothing was bound there before, to go back to", transient=False)
_EXPIRED: Final = Failure("binding_failed", "the certificate before has expired", transient=True)
_MOST_NAMES: Final = 20
Condemn = Callable[[Sequence[Binding], Sequence[Shortfall]], Awaitable[None]]


async def _unnoted(_moved: Sequence[Binding], _shortfalls: Sequence[Shortfall]) -> None:
    """Where nobody goes on with it."""


async def unkept() -> None:
    """Where no material is kept."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class WayBack:
    """From what a plan has changed there, in this attempt or in one before."""

    settling: Settling
    kept: Callable[[], Awaitable[Bundle | None]] = unkept
    """The material that was proven last, where it is kept."""
    condemn: Condemn = _unnoted
    """Notes that it is bad, and what has moved, for whoever goes on with it."""
    heard: OnResult = unheard
    utc_now: Callable[[], datetime] = _utc_now
    urgency: Urgency = ORDINARY

    async def taken(self, done: Progress, shortfalls: Sequence[Shortfall]) -> DeploymentReport:
        """Everything that this renewal moved goes back to where it was; the report says what did.

        That it is to go back is noted before: half way, nothing else tells.
        """
        settling, moved, todo = self.settling, done.moved, done.todo
        _log.warning("rotation.bad", gateway=settling.deployment.gateway, reason=shortfalls[0].failure.reason)
        if self.urgency.is_key_exposed:
            return self._left(done, shortfalls, KEY_EXPOSED)
        if todo.returned or any(self._leads_from(todo, one) for one in moved):
            await self._condemned(todo, moved, shortfalls)
            return await self._moved_back(done, shortfalls)
        if done.is_written_at(settling.deployment) and done.stored is not None:
            last = await self._last_good(todo)
            if last is not None:
                await self._condemned(todo, (), shortfalls)
                return await self._written_back(done, done.stored, last, shortfalls)
        why = OLD_EXPIRED if any(self._is_expired(todo, one) for one in moved) else NOTHING_BACK
        return self._left(done, shortfalls, why)

    def _left(self, done: Progress, shortfalls: Sequence[Shortfall], why: str) -> DeploymentReport:
        report = done.reported(self.settling.deployment)
        return unproven(report, shortfalls, why=why)

    async def _condemned(self, todo: Plan, moved: Sequence[Binding], shortfalls: Sequence[Shortfall]) -> None:
        if not todo.bad:
            await self.condemn(moved, shortfalls)

    async def _moved_back(self, done: Progress, shortfalls: Sequence[Shortfall]) -> DeploymentReport:
        old = {place.stored.certificate_id: place.stored for place in done.todo.back_to.values() if place.stored}
        returned = await self._of_bindings(done.todo, done.moved)
        report = self._returned(done, returned, shortfalls, next(iter(old.values()), None), None)
        self._tell(done.todo, returned, report, shortfalls)
        if report.reason == ROLLED_BACK and done.stored is not None:
            await is_retired(self.settling.gateway, done.stored, done.moved)
        return report

    async def _written_back(
        self, done: Progress, bad: Stored, last: Bundle, shortfalls: Sequence[Shortfall]
    ) -> DeploymentReport:
        returned, failure = await self._of_material(done.todo, bad, last, done.good)
        report = self._returned(done, returned, shortfalls, replace(bad, not_after=last.leaf.not_after), failure)
        self._tell(done.todo, returned, report, shortfalls, bad.certificate_id)
        return report

    def _returned(
        self,
        done: Progress,
        returned: Sequence[BindingResult],
        shortfalls: Sequence[Shortfall],
        old: Stored | None,
        failure: Failure | None,
    ) -> DeploymentReport:
        for one in returned:
            self.heard(one)
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
        back = [one.binding for one in report.bindings if one.state == ROLLED_BACK]
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
        """Whether there is anything that it can go back to."""
        return todo.back_to[binding].stored is not None and not self._is_expired(todo, binding)

    def _is_expired(self, todo: Plan, binding: Binding) -> bool:
        """Whether what it would go back to is no use to anybody any more."""
        return _has_ended(todo.back_to[binding].stored, self.utc_now())

    async def _of_bindings(self, todo: Plan, moved: Sequence[Binding]) -> Sequence[BindingResult]:
        """To the old stored certificate, whose key never left the cloud."""
        settling, back_to = self.settling, todo.back_to
        results, of_old = list(self._stuck(todo, moved)), defaultdict[Stored, list[Binding]](list)
        for one in moved:
            if (old := back_to[one].stored) is not None and self._leads_from(todo, one):
                of_old[old].append(one)
        for old, bindings in of_old.items():
            as_they_were = [back_to[one].as_it_was for one in bindings]
            found = await attached(settling.gateway, settling.deployment, old, as_they_were, None)
            results += [BindingResult(one, it.state, it.failure) for one, it in zip(bindings, found, strict=True)]
        if not of_old:
            return results
        return await settling.settled(tuple(results), lambda them, seen: put_back(them, seen, back_to), elsewhere=True)

    def _stuck(self, todo: Plan, moved: Sequence[Binding]) -> Iterator[BindingResult]:
        for one in moved:
            if not self._leads_from(todo, one):
                yield BindingResult(one, "failed", _EXPIRED if self._is_expired(todo, one) else _FROM_NOWHERE)

    async def _last_good(self, todo: Plan) -> Bundle | None:
        """What was replaced, where it is kept and still good: an older one may be one that had to go."""
        try:
            last = await self.kept()
        except RotationError as error:
            _log.error("previous.unreadable", reason=error.reason, error=error.message)
            return None
        if last is None or last.leaf.not_after <= self.utc_now():
            return None
        return last if is_previous(last.leaf, todo.previous) else None

    async def _of_material(
        self, todo: Plan, bad: Stored, last: Bundle, bindings: Sequence[Binding]
    ) -> tuple[Sequence[BindingResult], Failure | None]:
        """The last good material in the place of the one that turned out bad; why it is not there, where it is not."""
        gateway, deployment = self.settling.gateway, self.settling.deployment
        try:
            stored = bad if _is_back(todo) else await gateway.replace(deployment, Modify(bad), last)
        except RotationError as error:
            failure = Failure.of(error)
            return [BindingResult(one, "failed", failure) for one in bindings], failure

        def judge(results: Sequence[BindingResult], observed: Observed) -> tuple[BindingResult, ...]:
            return confirmed(results, observed, last.leaf)

        answered = await attached(gateway, deployment, stored, bindings, last)
        shown = await self.settling.settled(answered, judge)
        return [one if one.state == "failed" else BindingResult(one.binding, ROLLED_BACK) for one in shown], None


def _is_back(todo: Plan) -> bool:
    """Whether an earlier attempt has brought the material back: what is there is not the bad one."""
    return bool(todo.bad) and not isinstance(todo.replacement, Keep)


def _has_ended(stored: Stored | None, now: datetime) -> bool:
    return stored is not None and stored.not_after is not None and stored.not_after <= now


def _with_first_failure(now: BindingResult, before: BindingResult) -> BindingResult:
    """That it went back does not say that it had gone well."""
    return now if now.failure is not None else replace(now, failure=before.failure)
