"""The ways back at one deployment: bindings to their old stored certificate, or the old material to its place."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from worker.core.bundle import Bundle
from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure, RotationError
from worker.core.outcome import BindingResult
from worker.core.planning import Keep, Modify, Observed, Plan, Stored, is_previous
from worker.core.readback import confirmed, put_back
from worker.core.reporting import ROLLED_BACK
from worker.gateways.base import Gateway
from worker.settling import Settling, attached

_log = structlog.get_logger()
_FROM_NOWHERE: Final = Failure("binding_failed", "nothing was bound there before, to go back to", transient=False)
_EXPIRED: Final = Failure("binding_failed", "the certificate before has expired", transient=True)


@dataclass(frozen=True, slots=True)
class WayBack:
    """Of what a plan has changed, in this attempt or in one before."""

    gateway: Gateway
    deployment: Deployment
    todo: Plan
    settling: Settling
    kept: Callable[[], Awaitable[Bundle | None]] | None
    """The material that was proven last, where it is kept."""
    utc_now: Callable[[], datetime]

    def leads_from(self, binding: Binding) -> bool:
        """Whether there is anything that it can go back to."""
        return self.todo.back_to[binding].stored is not None and not self.is_expired(binding)

    def is_expired(self, binding: Binding) -> bool:
        """Whether what it would go back to is no use to anybody any more."""
        return _has_ended(self.todo.back_to[binding].stored, self.utc_now())

    async def of_bindings(self, moved: Sequence[Binding]) -> Sequence[BindingResult]:
        """To the old stored certificate, whose key never left the cloud."""
        back_to = self.todo.back_to
        stuck, of_old = list(self._stuck(moved)), defaultdict[Stored, list[Binding]](list)
        for one in moved:
            if (old := back_to[one].stored) is not None and self.leads_from(one):
                of_old[old].append(one)
        results = stuck
        for old, bindings in of_old.items():
            as_they_were = [back_to[one].as_it_was for one in bindings]
            found = await attached(self.gateway, self.deployment, old, as_they_were, None)
            results += [BindingResult(one, it.state, it.failure) for one, it in zip(bindings, found, strict=True)]
        if not of_old:
            return results
        return await self.settling.settled(
            tuple(results), lambda them, seen: put_back(them, seen, back_to), elsewhere=True
        )

    def _stuck(self, moved: Sequence[Binding]) -> Iterator[BindingResult]:
        for one in moved:
            if not self.leads_from(one):
                yield BindingResult(one, "failed", _EXPIRED if self.is_expired(one) else _FROM_NOWHERE)

    async def last_good(self) -> Bundle | None:
        """What was replaced, where it is kept and still good: an older one may be one that had to go."""
        try:
            last = None if self.kept is None else await self.kept()
        except RotationError as error:
            _log.error("previous.unreadable", reason=error.reason, error=error.message)
            return None
        if last is None or last.leaf.not_after <= self.utc_now():
            return None
        return last if is_previous(last.leaf, self.todo.previous) else None

    async def of_material(self, bad: Stored, last: Bundle, bindings: Sequence[Binding]) -> Sequence[BindingResult]:
        """The last good material in the place of the one that turned out bad."""
        try:
            stored = bad if self._is_back else await self.gateway.replace(self.deployment, Modify(bad), last)
        except RotationError as error:
            return [BindingResult(one, "failed", Failure.of(error)) for one in bindings]

        def judge(results: Sequence[BindingResult], observed: Observed) -> tuple[BindingResult, ...]:
            return confirmed(results, observed, last.leaf)

        answered = await attached(self.gateway, self.deployment, stored, bindings, last)
        shown = await self.settling.settled(answered, judge)
        return [one if one.state == "failed" else BindingResult(one.binding, ROLLED_BACK) for one in shown]

    @property
    def _is_back(self) -> bool:
        """Whether an earlier attempt has brought the material back: what is there is not the bad one."""
        return bool(self.todo.bad) and not isinstance(self.todo.replacement, Keep)


def _has_ended(stored: Stored | None, now: datetime) -> bool:
    return stored is not None and stored.not_after is not None and stored.not_after <= now
