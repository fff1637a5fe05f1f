"""The end of a rotation: proven as a whole, then what was replaced is retired; or what was moved goes back."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain
from typing import Final

import structlog

from worker.carrying import Carrying
from worker.core.bundle import Bundle, Leaf
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.errors import Failure, failure_of
from worker.core.further import shown_in
from worker.core.outcome import BindingResult, DeploymentReport, Previous, Report, conclude
from worker.core.planning import Create, Keep, Plan, UploadEach
from worker.core.progress import Progress
from worker.core.proof import (
    NOT_LOOKED,
    Asked,
    Looking,
    Reach,
    Served,
    Shortfall,
    Unasked,
    UnseenError,
    Verifier,
    nobody,
)
from worker.core.reporting import NOTHING_BACK, ROLLED_BACK, unproven
from worker.core.urgency import ORDINARY, Urgency
from worker.core.waiting import Step, names_at
from worker.gateways.together import together

_log = structlog.get_logger()
WILDCARD_UNPROVEN: Final = "wildcard_unproven"
Carried = tuple[DeploymentReport, Carrying | None]
"""None where nothing was to be carried out."""


@dataclass(frozen=True, slots=True)
class Proving:
    """Of one certificate's rotation."""

    verify: Verifier
    certificate: Certificate
    bundle: Bundle | None
    steps: Sequence[Step] = ()
    """Of all its deployments."""
    looks: Looking = nobody
    urgency: Urgency = ORDINARY
    reach: Reach = NOT_LOOKED
    """Before the first change, where this attempt has looked."""
    asked: Asked | None = None
    """None: nobody knows what will be."""
    unasked: Unasked | None = None
    """None: nobody knows what was not."""

    @property
    def leaf(self) -> Leaf | None:
        return None if self.bundle is None else self.bundle.leaf

    async def of_wave(self, done: Progress, *, is_last: bool) -> Sequence[Shortfall]:
        """Of one deployment's bindings; with the last, what belongs to no binding too, if it can be no other's.

        Raises UnseenError where nothing could be reached.
        """
        served = self.served_in_wave(done.todo, done.good, is_last=is_last)
        shortfalls = await self.verify(replace(served, reach=done.reach))
        if _is_blind(shortfalls):
            raise UnseenError(shortfalls)
        return shortfalls

    async def reach_of(self, done: Progress, bindings: Sequence[Binding]) -> Reach:
        """Before these are moved too, of the endpoints that will be asked, with all that is known.

        What is dead and has moved already, in whichever attempt, may be so for that.
        """
        served = replace(self.served_in_wave(done.todo, [*done.good, *bindings], is_last=False), reach=done.reach)
        asked = {} if self.asked is None else self.asked(served)
        if self.urgency.is_key_exposed or (done.has_looked and all(map(done.reach.knows, asked))):
            return done.reach
        fresh = frozenset(bindings).difference(done.todo.moved)
        old = [one for one, behind in asked.items() if not behind or not fresh.issuperset(behind)]
        now = await self.looks(served)
        return done.reach.joined(Reach(now.answered) if self.asked is None else now.without(old))

    def has_seen(self, done: Progress, shortfalls: Sequence[Shortfall]) -> bool:
        """Whether anything that was asked in a wave did not fall short: each has one for all that is behind it."""
        if self.asked is None:
            return len(done.good) > len(shortfalls)
        asked = self.asked(self.served_in_wave(done.todo, done.good, is_last=False))
        return sum(len(behind) or 1 for behind in asked.values()) > len(shortfalls)

    def reach_noted(self, todo: Plan) -> Reach:
        """For whoever goes on: first of those that the first wave is asked for, then of the deployment's own."""
        if self.asked is None:
            return self.reach.noted(())
        rows = ([*todo.unchanged, *todo.rounds[0]], [*todo.unchanged, *todo.attach])
        return self.reach.noted(
            [one for row in rows for one in self.asked(self.served_in_wave(todo, row, is_last=False))]
        )

    async def reach_before(self) -> Reach:
        """As `reach_of`, before the first change of all: whatever is asked in the end."""
        if self.urgency.is_key_exposed:
            return NOT_LOOKED
        plans = [one for one in self.steps if isinstance(one, Plan)]
        every = [binding for one in plans for binding in (*one.unchanged, *one.attach)]
        return await self.looks(Served(self.certificate.name, self.bundle, every))

    async def forth(self, carrying: Carrying) -> DeploymentReport:
        """The plan carried out, for as long as anything of it can be seen."""
        try:
            return await carrying.forth()
        except UnseenError as error:
            carrying.progress = replace(carrying.progress, is_blind=True)
            return unseen(carrying, error.shortfalls)

    def served_in_wave(self, todo: Plan, bindings: Sequence[Binding], *, is_last: bool) -> Served:
        """What a wave is asked to prove, of all that has moved by then."""
        is_whole = is_last and len(self.certificate.deployments) == 1
        previous, waiting = _serials([todo.previous]), _waiting(todo, bindings) | self._beside(todo)
        is_known, name = _is_previous_known(todo), self.certificate.name
        return Served(name, self.bundle, bindings, previous, is_known, is_whole=is_whole, waiting=waiting)

    def shared_in(self, todo: Plan, bindings: Sequence[Binding]) -> Sequence[Binding]:
        """What waves leave to the proof of the whole: another deployment serves that name too, and may be met."""
        beside = self._beside(todo)
        return [one for one in bindings if one.name in beside]

    def proven_in(self, todo: Plan, bindings: Sequence[Binding]) -> Sequence[Binding]:
        """What waves prove, of these."""
        beside = self._beside(todo)
        return [one for one in bindings if one.name not in beside]

    def _beside(self, todo: Plan) -> frozenset[str]:
        """Names of other deployments where something else was bound when they were looked at."""
        others = zip(self.certificate.deployments, self.steps, strict=False)
        return frozenset(chain.from_iterable(_lacking(one, step) for one, step in others if step is not todo))

    async def of_all(self, report: Report, carried: Sequence[Carried]) -> Sequence[Shortfall]:
        """What the waves have not proven.

        Where something did not go well, only of what was changed, and not proven since: it may be bad all the same.
        What belongs to no binding may be where it did not go well then.
        """
        remaining = _unproven(report, carried)
        is_whole = report.outcome == "succeeded"
        progress = [one.progress for one in remaining]
        bindings = [one for each in progress for one in (each.good if is_whole else each.unproven)]
        by_waves = [one for _, one in carried if one is not None and one.progress.is_proven and not one.is_bad]
        bindings += chain.from_iterable(self.shared_in(one.todo, one.progress.good) for one in by_waves)
        if not remaining and not bindings and (len(carried) == 1 or not is_whole):
            return ()
        held = (told.not_after for told in report.deployments if told.deployment.strategy == "rebind")
        served = Served(
            self.certificate.name,
            self.bundle,
            bindings,
            _serials(told.previous for told in report.deployments),
            all(_is_previous_known(one.todo) for _, one in carried if one is not None),
            frozenset(at for at in held if at is not None),
            is_whole,
            frozenset(self._not_there(carried)),
            reduce(Reach.joined, (one.progress.reach for _, one in carried if one is not None), NOT_LOOKED),
            proven=list(chain.from_iterable(self.proven_in(one.todo, one.progress.good) for one in by_waves)),
        )
        return await self.verify(served) if bindings or is_whole else ()

    def proven_for_good(self, carried: Sequence[Carried]) -> Iterator[tuple[Deployment, frozenset[Binding]]]:
        """What later attempts need not prove again unless they change it: no name of which an older one may be met."""
        not_there = frozenset(self._not_there(carried))
        for _, one in carried:
            if one is not None and not one.is_bad:
                left = not_there | self._beside(one.todo)  # waves do not ask for what others serve too
                yield one.deployment, frozenset(each for each in one.progress.proven if each.name not in left)

    def _not_there(self, carried: Sequence[Carried]) -> Iterator[str]:
        """Names of what does not have the certificate in the end, at one of the deployments at least."""
        for at, (told, carrying) in enumerate(carried):
            yield from (one.binding.name for one in told.bindings if one.state in ("failed", ROLLED_BACK))
            if carrying is None:
                yield from _lacking(told.deployment, self.steps[at] if at < len(self.steps) else None)
            elif carrying.is_bad:
                yield from (one.binding.name for one in told.bindings)
            else:
                yield from _waiting(carrying.todo, (*carrying.todo.attach, *carrying.todo.unchanged))

    async def concluded(self, carried: Sequence[Carried]) -> Report:
        """The report of all. Whatever was changed is proven now, also where something else is to be tried again."""
        report = conclude(self.leaf, [told for told, _ in carried])
        remaining, shortfalls = _unproven(report, carried), await self.of_all(report, carried)
        is_worse = any(not one.is_as_before for one in shortfalls)
        if _is_blind(shortfalls):
            return _left(report, shortfalls)
        if is_worse or any(one.binding is None for one in _known_bad(carried)):
            return await _put_back(report, carried, shortfalls)
        if shortfalls:
            return _left(report, shortfalls)
        for one in remaining:
            one.progress = replace(one.progress, is_proven=True, proven=frozenset(one.progress.good))
        for _, carrying in carried:
            if carrying is not None and carrying.progress.is_proven and _may_retire(report, carrying):
                await carrying.retire()
        is_proven = report.outcome != "succeeded" or not self._unproven_names(carried)
        return report if is_proven else replace(report, warnings=(*report.warnings, WILDCARD_UNPROVEN))

    def _unproven_names(self, carried: Sequence[Carried]) -> Collection[str]:
        """Of what is there by now, and nobody was asked for."""
        good = [binding for _, one in carried if one is not None for binding in one.progress.good]
        return () if self.unasked is None else self.unasked(Served(self.certificate.name, self.bundle, good))


def _lacking(deployment: Deployment, step: Step | None) -> Iterable[str]:
    """Names of a deployment's bindings that have another certificate, or may have."""
    return names_at(deployment, step, but=step.unchanged if isinstance(step, Plan) else ())


def _waiting(todo: Plan, good: Sequence[Binding]) -> frozenset[str]:
    """Names of what has not moved: it is not its turn, it could not, or something newer is there, or another's."""
    there = {one.place for one in good}
    bound = () if todo.seen is None else shown_in(todo.seen)
    return frozenset(one.name for one in chain(todo.attach, bound) if one.place not in there)


def _is_blind(shortfalls: Sequence[Shortfall]) -> bool:
    return any(one.is_blind for one in shortfalls)


def _whole(shortfalls: Sequence[Shortfall]) -> Failure | None:
    """Of an endpoint that belongs to no binding."""
    return next((one.failure for one in shortfalls if one.binding is None), None)


def unseen(carrying: Carrying, shortfalls: Sequence[Shortfall]) -> DeploymentReport:
    """Of a wave of which nothing could be reached: all stays as it is, to be looked at again."""
    known = {one.binding for one in carrying.progress.results}
    every = (*carrying.todo.unchanged, *carrying.todo.attach)
    rest = [BindingResult(one, "unchanged") for one in every if one not in known]
    told = replace(carrying.progress, results=(*carrying.progress.results, *rest)).reported(carrying.deployment)
    told, whole = unproven(told, shortfalls, why=""), _whole(shortfalls)
    return told if whole is None else replace(told, outcome="failed", reason=whole.reason, failure=whole)


def _left(report: Report, shortfalls: Sequence[Shortfall]) -> Report:
    """As `unseen`, of a whole certificate."""
    told = conclude(report.leaf, [unproven(one, shortfalls, why="") for one in report.deployments])
    whole = _whole(shortfalls)
    return told if whole is None else replace(told, outcome="failed", reason=whole.reason, failure=whole)


def _unproven(report: Report, carried: Sequence[Carried]) -> Sequence[Carrying]:
    is_well = report.outcome == "succeeded"
    found = (one for _, one in carried if one is not None and not one.is_bad)
    return [one for one in found if _is_open(one.progress, is_well=is_well)]


def _is_open(progress: Progress, *, is_well: bool) -> bool:
    """Whether a look is still owed to it in this attempt."""
    if progress.is_proven or progress.is_blind:
        return False
    return is_well or (progress.has_changed and bool(progress.unproven))


def _known_bad(carried: Sequence[Carried]) -> Sequence[Shortfall]:
    """By waves, or by earlier attempts."""
    return [one for _, carrying in carried if carrying is not None for one in carrying.progress.bad]


def _may_retire(report: Report, carrying: Carrying) -> bool:
    """What may have to come back is kept until all is well; an upload for a single domain is no use to any other."""
    return report.outcome != "failed" or isinstance(carrying.todo.replacement, UploadEach)


def _is_previous_known(todo: Plan) -> bool:
    """Whether a handshake tells what was replaced: by its serial number, or because there was nothing.

    What an attempt that nobody remembers has moved may have had another one than the others still have.
    """
    is_forgotten = isinstance(todo.replacement, Keep) and not todo.was_replaced and bool(todo.unchanged)
    if todo.previous is not None:
        return todo.previous.serial_number is not None and not is_forgotten
    return isinstance(todo.replacement, Create)


def _serials(previous: Iterable[Previous | None]) -> Sequence[str]:
    return [one.serial_number for one in previous if one is not None and one.serial_number is not None]


async def _put_back(report: Report, carried: Sequence[Carried], shortfalls: Sequence[Shortfall]) -> Report:
    told = conclude(report.leaf, await together(_back(one, carrying, shortfalls) for one, carrying in carried))
    whole = _whole((*shortfalls, *_known_bad(carried)))
    if whole is None:
        return told
    is_final = any(one.reason == ROLLED_BACK for one in told.deployments)
    tried, is_back = [one for _, one in carried if one is not None], any(map(_is_back, told.deployments))
    message = whole.message + ("" if is_back or not tried else _nothing_back(tried))
    failure = replace(whole, message=message, transient=whole.transient and not is_final)
    reason = told.reason if told.outcome == "failed" else whole.reason
    each = zip(told.deployments, carried, strict=True)
    ended = [_left_behind(one, failure, carrying) if is_back else one for one, (_, carrying) in each]
    return replace(told, outcome="failed", reason=reason, failure=failure, deployments=ended)


def _is_back(told: DeploymentReport) -> bool:
    """Be it in part."""
    return told.reason == ROLLED_BACK or any(one.state == ROLLED_BACK for one in told.bindings)


def _nothing_back(tried: Sequence[Carrying]) -> str:
    return "".join(dict.fromkeys(one.stayed for one in tried)) or NOTHING_BACK


def _left_behind(told: DeploymentReport, failure: Failure, carrying: Carrying | None) -> DeploymentReport:
    """What stays on what may be bad while others went back: which of them it was, nobody knows."""
    if carrying is None or not carrying.stayed or told.outcome == "failed":
        return told
    mine = replace(failure, message=failure.message + carrying.stayed)
    return replace(told, outcome="failed", reason=failure.reason, failure=mine)


async def _back(told: DeploymentReport, carrying: Carrying | None, shortfalls: Sequence[Shortfall]) -> DeploymentReport:
    """Of one deployment: what belongs to no binding may be any deployment's."""
    if carrying is None or carrying.is_bad:
        return told
    bindings = {one.binding for one in carrying.progress.results}
    mine = [one for one in shortfalls if one.binding is None or one.binding in bindings]
    if all(one.is_as_before for one in mine):
        return unproven(told, mine, why="")
    try:
        return await carrying.back(mine)
    except Exception as bug:  # noqa: BLE001 - told as what it is, and the others go back all the same
        return crashed(carrying.deployment, bug)


def crashed(deployment: Deployment, bug: Exception) -> DeploymentReport:
    """Of an exception that nobody expected, at one deployment."""
    _log.error("deployment.crashed", gateway=deployment.gateway, exc_info=bug)
    failure = failure_of(bug)
    return DeploymentReport(deployment, "failed", failure.reason, deployment.certificate_id, failure=failure)
