"""The use case: observe, plan, replace, attach, read back, verify, report."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial, reduce
from typing import Final, assert_never

import structlog

from worker.canary import arranged
from worker.carrying import Carrying
from worker.core.bundle import Bundle, Leaf
from worker.core.covering import check_listed, refusal_in
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.errors import Failure, RefusedError, RotationError
from worker.core.further import Further
from worker.core.moving import in_order
from worker.core.outcome import DeploymentReport, Report
from worker.core.past import Placed
from worker.core.planning import Modify, Plan, Superseded
from worker.core.progress import Progress
from worker.core.proof import NOT_LOOKED, Asked, Looking, Reach, Shortfall, Unasked, Verifier, nobody, unverified
from worker.core.recognition import recognised
from worker.core.reporting import not_planned
from worker.core.schedule import Schedule
from worker.core.snapshot import Snapshot
from worker.core.strategies import plan, with_client_ca
from worker.core.urgency import ORDINARY, Urgency
from worker.core.waiting import Gate, Step, at_once, is_superseded
from worker.effort import current_effort, spending
from worker.expiry_lookup import with_expiry
from worker.forecast import Forecast, Work, stand
from worker.gateways.base import Gateway
from worker.gateways.together import together
from worker.going_back import WayBack, unkept
from worker.in_parts import give_way
from worker.kept import Kept
from worker.looking_back import LookingBack
from worker.proving import Carried, Proving, crashed
from worker.reminding import reminding
from worker.settling import Settling
from worker.snapshots import Snapshots
from worker.under_way import UnderWay, Unwatched, Watcher
from worker.wall_clock import utc_now

_log = structlog.get_logger()
NOT_KEPT: Final = "previous_not_kept"
LEFT_ALONE: Final = "left_alone"
_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Rotator:
    """Rotates one certificate at all of its deployments. Expected failures are results, bugs are exceptions."""

    gateways: Mapping[str, Gateway]
    verify: Verifier = unverified
    settle_seconds: Mapping[str, float] = field(default_factory=dict)
    """By gateway: how long it may take until what it accepted can be read."""
    watcher: Watcher = field(default_factory=Unwatched)
    claimed: frozenset[tuple[str, str]] = frozenset()
    """Gateway, and certificate id or name in lower case, of every deployment of the settings: none is ever retired."""
    forecast: Forecast = field(default_factory=Forecast)
    kept: Mapping[str, Kept] = field(default_factory=dict)
    """By certificate, for those whose proven material is kept, to be put back."""
    utc_now: Callable[[], datetime] = utc_now
    looks: Looking = nobody
    """Before a change that may have to go back."""
    asked: Asked | None = None
    """None: nobody knows what an endpoint is asked for."""
    unasked: Unasked | None = None
    chance: Callable[[], float] = in_order
    _snapshots: Snapshots = field(default_factory=Snapshots)

    async def rotate(
        self,
        certificate: Certificate,
        bundle: Bundle | None,
        *,
        urgency: Urgency = ORDINARY,
        gate: Gate = at_once,
        past: Sequence[Placed] = (),
    ) -> Report:
        """Everything about one renewal; `bundle` is None where the platform holds the certificate.

        `past`: what was put there before. Raises what `gate` does.
        """
        effort = current_effort()
        with spending(effort):
            try:
                report = await self._rotate(certificate, bundle, urgency, gate, past)
            except asyncio.CancelledError:
                effort.left = self._snapshots.left(certificate, None if bundle is None else bundle.leaf)
                raise
        if not any(failure.transient for failure in report.failures):
            self._snapshots.forget(certificate)
        later = {one.deployment.gateway for one in report.deployments if any(each.transient for each in one.failures)}
        self.forecast.put_off({name: self.gateways[name].account for name in later})
        warnings = (*(() if bundle is None else bundle.warnings), *report.warnings)
        return replace(report, gateway_calls=effort.calls, warnings=warnings)

    async def _rotate(
        self,
        certificate: Certificate,
        bundle: Bundle | None,
        urgency: Urgency,
        gate: Gate,
        past: Sequence[Placed],
    ) -> Report:
        leaf = None if bundle is None else bundle.leaf
        with self.forecast.reading(self.gateways, certificate.deployments):
            try:
                steps = await self.plans(certificate, leaf, urgency, past)
            except RefusedError as error:
                return Report.refused(Failure.of(error), leaf)
            if (uncovered := refusal_in(steps)) is not None:
                return Report.refused(uncovered, leaf)
            gate(steps)
            proving = await self._proving(certificate, bundle, steps, urgency)
        carried = await together(
            [
                self._carried(deployment, step, proving)
                for deployment, step in zip(certificate.deployments, proving.steps, strict=True)
            ]
        )
        report = _with_left_alone(await proving.concluded(carried), steps)
        self._snapshots.learn(leaf, report.deployments, proving.proven_for_good(carried))
        self._snapshots.learn_short(leaf, report)
        return await self._with_kept(certificate, bundle, report) if report.outcome == "succeeded" else report

    async def _proving(
        self, certificate: Certificate, bundle: Bundle | None, steps: Sequence[Step], urgency: Urgency
    ) -> Proving:
        """Once for all deployments, because what one of them changes may be asked for another.

        What does not answer is nothing to begin with.
        """
        proving = Proving(
            self.verify, certificate, bundle, steps, self.looks, urgency, asked=self.asked, unasked=self.unasked
        )
        is_kept = certificate.name in self.kept
        has_looked = any(isinstance(step, Plan) and _is_looked_at(step, is_kept=is_kept) for step in steps)
        if not has_looked:
            return proving
        reach = await proving.reach_before()
        return replace(proving, reach=reach, steps=await self.arranged(certificate, steps, reach))

    async def plans(
        self,
        certificate: Certificate,
        leaf: Leaf | None,
        urgency: Urgency = ORDINARY,
        past: Sequence[Placed] = (),
    ) -> Sequence[Step]:
        """What is to be done at each deployment, or why nothing can be; by reading only. `past` as in `rotate`.

        Raises RefusedError(`name_not_covered`) for what needs no reading.
        """
        check_listed(certificate, leaf)
        steps = await self._planned(certificate, leaf, urgency, past)
        if urgency.undo_until is not None and any(is_superseded(step) for step in steps):
            # A certificate that was issued after those to be undone is there. Gateways that tell no beginnings may
            # have it too, and cannot be asked.
            steps = await self._planned(certificate, leaf, replace(urgency, undo_until=None), past)
        return await self.arranged(certificate, steps)

    async def arranged(
        self, certificate: Certificate, steps: Sequence[Step], reach: Reach | None = None
    ) -> Sequence[Step]:
        """What can be proven first. `reach`: of endpoints, by a look right now; None: by the one that is noted."""
        if reach is None:
            reach = reduce(Reach.joined, (one.reach for one in steps if isinstance(one, Plan)), NOT_LOOKED)
        return steps if self.asked is None else await arranged(certificate, steps, self.asked, reach)

    async def _planned(
        self, certificate: Certificate, leaf: Leaf | None, urgency: Urgency, past: Sequence[Placed]
    ) -> list[Step]:
        schedule = Schedule() if urgency.is_urgent else certificate.schedule
        return await together([self._plan(one, leaf, urgency, schedule, past) for one in certificate.deployments])

    async def _plan(
        self,
        deployment: Deployment,
        leaf: Leaf | None,
        urgency: Urgency,
        schedule: Schedule,
        past: Sequence[Placed],
    ) -> Step:
        gateway, snapshot = self._gateway(deployment), self._snapshots.of(deployment, leaf)
        try:
            with reminding(lambda: stand(deployment.gateway, gateway.account, None)):
                found = await gateway.observe(deployment, leaf, known=snapshot.certificates)
            planned = snapshot.planned_in(found, urgency)
            observed = Further(deployment, leaf, urgency, self.claimed, planned).left_out(found)
            await give_way(len(observed.bound))
            seen, known = snapshot.before(observed), snapshot.known_to(urgency)
            if leaf is not None and urgency.undo_until is None and not gateway.tells_beginnings:
                seen = recognised(seen, past, leaf, snapshot)
            is_short = self._snapshots.is_short(deployment, leaf)
            bad, claimed = snapshot.condemned_in(seen, urgency), self.claimed
            step = plan(
                deployment, seen, leaf, urgency=known, claimed=claimed, is_short=is_short, past=past, condemned=bad
            )
            await give_way(len(observed.bound))
            step = await with_expiry(gateway, deployment, step, observed, schedule)
            told = snapshot.told(step, urgency)
            return with_client_ca(deployment, told) if snapshot.has_client_ca and isinstance(told, Plan) else told
        except RotationError as error:
            return error

    def tells_beginnings(self, certificate: Certificate) -> bool:
        """Whether what is stored says everywhere how old it is. What the platform holds itself need not."""
        named = (one.gateway for one in certificate.deployments if one.strategy != "rebind")
        return all(self.gateways[name].tells_beginnings for name in named)

    def recall(self, leaf: Leaf, notes: Mapping[str, Snapshot]) -> None:
        """By deployment, what another worker kept before it changed anything for this leaf."""
        self._snapshots.recall(leaf, notes)

    def aside(self) -> "Rotator":
        """Alike, for a look beside the attempts: what it recalls is none of theirs."""
        return replace(self, _snapshots=Snapshots())

    def inherit(self, idle: float) -> None:
        """Another worker was at the same gateways until `idle` seconds ago: their limits hold for both together."""
        for gateway in self.gateways.values():
            gateway.account.inherit(idle)

    def check_open(self, gateways: Collection[str]) -> None:
        """Raises NotAskedError where none of them would be asked anything: nothing could be reached."""
        accounts = {name: self.gateways[name].account for name in gateways}
        refusals = [one for one in (account.refusal() for account in accounts.values()) if one is not None]
        try:
            if len(refusals) == len(accounts):
                self.forecast.put_off(accounts)
                raise min(refusals, key=lambda refusal: refusal.hold)
        finally:
            del refusals  # what is raised holds its frames: held by one of them, it would wait for the collector

    def _gateway(self, deployment: Deployment) -> Gateway:
        return self.gateways[deployment.gateway]

    async def _carried(self, deployment: Deployment, step: Step, proving: Proving) -> Carried:
        match step:
            case RotationError() as error:
                before = self._snapshots.replaced(deployment, proving.leaf)
                return not_planned(deployment, Failure.of(error), before), None
            case Superseded(stored):
                return DeploymentReport(deployment, "superseded", "downgrade", stored.certificate_id), None
            case Plan():
                return await self._contained(deployment, step, proving)
            case _:
                assert_never(step)

    async def _contained(self, deployment: Deployment, todo: Plan, proving: Proving) -> Carried:
        """A bug at one deployment does not undo what is being told of the others."""
        try:
            return await self._follow(deployment, todo, proving)
        except Exception as bug:  # noqa: BLE001 - told as what it is
            return crashed(deployment, bug), None

    async def _follow(self, deployment: Deployment, todo: Plan, proving: Proving) -> Carried:
        await give_way(len(todo.attach))
        is_kept = proving.certificate.name in self.kept
        has_looked = _is_looked_at(todo, is_kept=is_kept)
        reach = proving.reach if has_looked else todo.reach
        noted = proving.reach_noted(todo) if has_looked else todo.reach
        if not todo.bad:
            with current_effort().queueing():  # a broker that takes no note is no standstill of the gateway's
                await self._snapshots.keep(deployment, proving.leaf, todo, noted, is_kept=is_kept)
        under_way = UnderWay(self._gateway(deployment), deployment, self.forecast, self.watcher)
        with under_way.along(todo) as work:
            _tell(deployment, todo, work)
            proven = self._snapshots.proven(deployment, proving.leaf, todo)
            begun = Progress(todo, reach=reach, has_looked=has_looked, proven=proven)
            carrying = self._carrying(deployment, begun, proving, under_way)
            work.is_stored = lambda: carrying.progress.stored is not None
            with self._snapshots.so_far(deployment, proving.leaf, lambda: carrying.progress):
                return await proving.forth(carrying), carrying

    def _carrying(self, deployment: Deployment, begun: Progress, proving: Proving, under_way: UnderWay) -> Carrying:
        name, seconds = proving.certificate.name, self.settle_seconds.get(deployment.gateway, 15.0)
        # What the platform renewed itself is another certificate than the message may bring for other deployments.
        leaf = None if deployment.strategy == "rebind" else proving.leaf
        settling = Settling(self._gateway(deployment), deployment, leaf, seconds)
        last_good = partial(self.kept[name].last, name) if name in self.kept else unkept
        condemn = partial(self._condemn, deployment, proving.leaf)
        looks = LookingBack(self.verify, self.asked, proving.certificate, deployment, proving.steps, proving.leaf)
        heard, back = under_way.heard, partial(under_way.along, goes_back=True)
        way = WayBack(settling, last_good, condemn, heard, self.utc_now, proving.urgency, looks, back)
        return Carrying(settling, proving.bundle, proving, way, heard, begun, chance=self.chance)

    async def _condemn(
        self, deployment: Deployment, leaf: Leaf | None, moved: Sequence[Binding], shortfalls: Sequence[Shortfall]
    ) -> None:
        with current_effort().queueing():
            await self._snapshots.condemn(deployment, leaf, moved, shortfalls)

    async def _with_kept(self, certificate: Certificate, bundle: Bundle | None, report: Report) -> Report:
        """What is proven is the last good material from now on. That it could not be kept is no failure of today's."""
        kept = self.kept.get(certificate.name)
        if bundle is None or kept is None:
            return report
        try:
            await kept.keep(certificate.name, bundle)
        except RotationError as error:
            _log.error("previous.not_kept", reason=error.reason, error=error.message)
            return replace(report, warnings=(*report.warnings, NOT_KEPT))
        return report


def _is_looked_at(todo: Plan, *, is_kept: bool) -> bool:
    """Whether it is about to make its first change, and that may have to go back."""
    is_begun = todo.was_replaced or todo.moved or todo.bad or todo.is_nothing
    return not is_begun and (bool(todo.waves) or (is_kept and isinstance(todo.replacement, Modify)))


def _with_left_alone(report: Report, steps: Sequence[Step]) -> Report:
    """With a warning of domains that are listed without their instance, and stay with another certificate on some."""
    seen = (one.seen for one in steps if isinstance(one, Plan | Superseded))
    left = [binding for one in seen if one is not None for binding in one.left_alone]
    if not left:
        return report
    places = [f"{one.name} on {one.instance_id}" for one in left[:_MOST_NAMED]]
    _log.warning("bindings.left_alone", bindings=len(left), first=places)
    return replace(report, warnings=(*report.warnings, LEFT_ALONE))


def _tell(deployment: Deployment, todo: Plan, work: Work) -> None:
    if not todo.is_nothing:
        seconds = round(work.seconds_left(), 1)
        _log.info(
            "rotation.planned",
            gateway=deployment.gateway,
            strategy=deployment.strategy,
            bindings=work.bindings,
            calls=work.calls,
            seconds=seconds,
        )
    if todo.is_canary_asked is False:
        _log.warning("canary.unproven", gateway=deployment.gateway, bindings=len(todo.rounds[0]))
