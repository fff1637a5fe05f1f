"""The end of a rotation: proven as a whole, then what was replaced is retired; or what was moved goes back."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import structlog

from worker.carrying import Carrying
from worker.core.bundle import Bundle, Leaf
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.errors import Failure, failure_of
from worker.core.outcome import BindingResult, DeploymentReport, Previous, Report, conclude
from worker.core.planning import Create, Plan, Superseded, UploadEach
from worker.core.progress import Progress
from worker.core.proof import Answering, Served, Shortfall, UnseenError, Verifier, nobody
from worker.core.reporting import KEY_EXPOSED, NOTHING_BACK, ROLLED_BACK, unproven
from worker.core.urgency import ORDINARY, Urgency
from worker.core.waiting import Step
from worker.gateways.together import together

_log = structlog.get_logger()
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
    looks: Answering = nobody
    urgency: Urgency = ORDINARY

    @property
    def leaf(self) -> Leaf | None:
        return None if self.bundle is None else self.bundle.leaf

    async def of_wave(self, done: Progress, *, is_last: bool) -> Sequence[Shortfall]:
        """Of one deployment's bindings; with the last, what belongs to no binding too, if it can be no other's.

        Raises UnseenError where nothing could be reached.
        """
        served = self.served_in_wave(done.todo, done.good, is_last=is_last)
        shortfalls = await self.verify(replace(served, answered=done.answered))
        if _is_blind(shortfalls):
            raise UnseenError(shortfalls)
        return shortfalls

    async def answering(self, todo: Plan, bindings: Sequence[Binding]) -> frozenset[str]:
        """Before these are moved: which of the endpoints that will be asked answer a handshake."""
        if self.urgency.is_key_exposed:
            return frozenset()
        return await self.looks(self.served_in_wave(todo, bindings, is_last=False))

    async def answering_before(self, todo: Plan) -> frozenset[str]:
        """As `answering`, before the first change of a plan."""
        if todo.waves or self.urgency.is_key_exposed:
            return await self.answering(todo, [*todo.unchanged, *todo.rounds[0]])
        return await self.looks(Served(self.certificate.name, self.bundle, [*todo.unchanged, *todo.attach]))

    async def forth(self, carrying: Carrying) -> DeploymentReport:
        """The plan carried out, for as long as anything of it can be seen."""
        try:
            return await carrying.forth()
        except UnseenError as error:
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

    def _beside(self, todo: Plan) -> frozenset[str]:
        """Names of other deployments where something else was bound when they were looked at."""
        others = zip(self.certificate.deployments, self.steps, strict=False)
        return frozenset(chain.from_iterable(_lacking(one, step) for one, step in others if step is not todo))

    async def of_all(self, report: Report, carried: Sequence[Carried]) -> Sequence[Shortfall]:
        """What the waves have not proven.

        Where something did not go well, only of what was changed: it may be bad all the same. What belongs to no
        binding may be where it did not go well then.
        """
        remaining = _unproven(report, carried)
        is_whole = report.outcome == "succeeded"
        bindings = [one for carrying in remaining for one in carrying.progress.good]
        bindings += self._left_by_waves(carried)
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
            frozenset(chain.from_iterable(one.progress.answered for _, one in carried if one is not None)),
        )
        return await self.verify(served) if bindings or is_whole else ()

    def _left_by_waves(self, carried: Sequence[Carried]) -> Iterator[Binding]:
        for _, carrying in carried:
            if carrying is not None and carrying.progress.is_proven and not carrying.is_bad:
                yield from self.shared_in(carrying.todo, carrying.progress.good)

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
        """The report of all; what is to be tried again is proven then, but where something is bad already."""
        report = conclude(self.leaf, [told for told, _ in carried])
        if not _may_be_proven(report, carried):
            return report
        remaining, shortfalls = _unproven(report, carried), await self.of_all(report, carried)
        if _is_blind(shortfalls):
            return _left(report, shortfalls)
        if shortfalls or any(one.binding is None for one in _known_bad(carried)):
            return await _put_back(report, carried, shortfalls)
        for one in remaining:
            one.progress = replace(one.progress, is_proven=True)
        for _, carrying in carried:
            if carrying is not None and carrying.progress.is_proven and _may_retire(report, carrying):
                await carrying.retire()
        return report


def _lacking(deployment: Deployment, step: Step | None) -> Iterable[str]:
    """Names of a deployment's bindings that have another certificate, or may have."""
    if isinstance(step, Plan):
        return _waiting(step, step.unchanged)
    if isinstance(step, Superseded) and step.seen is not None:
        return (one.binding.name for one in step.seen.bound)
    return (one.name for one in deployment.bindings or ())


def _waiting(todo: Plan, good: Sequence[Binding]) -> frozenset[str]:
    """Names of what has not moved: it is not its turn, it could not, or something newer is there already."""
    there = {_place(one) for one in good}
    bound = () if todo.seen is None else (one.binding for one in todo.seen.bound)
    return frozenset(one.name for one in chain(todo.attach, bound) if _place(one) not in there)


def _place(binding: Binding) -> tuple[str, str | None, str | None, bool]:
    """The binding whatever its flag."""
    return binding.name, binding.instance_id, binding.domain_id, binding.sni


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


def _may_be_proven(report: Report, carried: Sequence[Carried]) -> bool:
    is_bad = any(carrying is not None and carrying.is_bad for _, carrying in carried)
    return is_bad or not any(failure.transient for failure in report.failures)


def _unproven(report: Report, carried: Sequence[Carried]) -> Sequence[Carrying]:
    is_well = report.outcome == "succeeded"
    return [
        one
        for _, one in carried
        if one is not None and not one.progress.is_proven and not one.is_bad and (is_well or one.progress.has_changed)
    ]


def _known_bad(carried: Sequence[Carried]) -> Sequence[Shortfall]:
    """By waves, or by earlier attempts."""
    return [one for _, carrying in carried if carrying is not None for one in carrying.progress.bad]


def _may_retire(report: Report, carrying: Carrying) -> bool:
    """What may have to come back is kept until all is well; an upload for a single domain is no use to any other."""
    return report.outcome != "failed" or isinstance(carrying.todo.replacement, UploadEach)


def _is_previous_known(todo: Plan) -> bool:
    """Whether a handshake tells what was replaced: by its serial number, or because there was nothing."""
    if todo.previous is not None:
        return todo.previous.serial_number is not None
    return isinstance(todo.replacement, Create)


def _serials(previous: Iterable[Previous | None]) -> Sequence[str]:
    return [one.serial_number for one in previous if one is not None and one.serial_number is not None]


async def _put_back(report: Report, carried: Sequence[Carried], shortfalls: Sequence[Shortfall]) -> Report:
    told = conclude(report.leaf, await together(_back(one, carrying, shortfalls) for one, carrying in carried))
    whole = _whole((*shortfalls, *_known_bad(carried)))
    if whole is None:
        return told
    is_back = any(one.reason == ROLLED_BACK for one in told.deployments)
    tried = [one for _, one in carried if one is not None]
    message = whole.message + ("" if is_back or not tried else _nothing_back(tried))
    failure = replace(whole, message=message, transient=whole.transient and not is_back)
    reason = told.reason if told.outcome == "failed" else whole.reason
    return replace(told, outcome="failed", reason=reason, failure=failure)


def _nothing_back(tried: Sequence[Carrying]) -> str:
    return KEY_EXPOSED if any(one.way.urgency.is_key_exposed for one in tried) else NOTHING_BACK


async def _back(told: DeploymentReport, carrying: Carrying | None, shortfalls: Sequence[Shortfall]) -> DeploymentReport:
    """Of one deployment: what belongs to no binding may be any deployment's."""
    if carrying is None or carrying.is_bad:
        return told
    bindings = {one.binding for one in carrying.progress.results}
    mine = [one for one in shortfalls if one.binding is None or one.binding in bindings]
    try:
        return await carrying.back(mine) if mine else told
    except Exception as bug:  # noqa: BLE001 - told as what it is, and the others go back all the same
        return crashed(carrying.deployment, bug)


def crashed(deployment: Deployment, bug: Exception) -> DeploymentReport:
    """Of an exception that nobody expected, at one deployment."""
    _log.error("deployment.crashed", gateway=deployment.gateway, exc_info=bug)
    failure = failure_of(bug)
    return DeploymentReport(deployment, "failed", failure.reason, deployment.certificate_id, failure=failure)
