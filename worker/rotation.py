"""The use case: observe, plan, replace, attach, read back, verify, report."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol, assert_never

import structlog

from worker.core.bundle import Bundle, Leaf
from worker.core.covering import check_covered, check_names
from worker.core.deployment import Certificate, Deployment
from worker.core.errors import Failure, RefusedError, RotationError, is_exhaustion
from worker.core.outcome import BindingResult, DeploymentReport, Report, attempted, conclude
from worker.core.planning import (
    Create,
    Keep,
    Modify,
    Plan,
    Stored,
    Superseded,
    UploadEach,
    plan,
)
from worker.core.readback import confirmed, is_complete, moved_flags, put_right
from worker.core.reporting import not_planned, not_replaced, reported, unconfirmed
from worker.core.snapshot import Snapshot
from worker.effort import current_effort, spending
from worker.forecast import Forecast, Work
from worker.gateways.base import Gateway
from worker.gateways.together import together
from worker.snapshots import Snapshots

_log = structlog.get_logger()
INTERNAL: Final = Failure("internal_error", "a bug of the worker: see its log", transient=False)
EXHAUSTED: Final = Failure("worker_exhausted", "the worker's machine had no room left: see its log", transient=True)


class Watcher(Protocol):
    """Hears how a rotation gets on, for progress bars and tables."""

    def planned(self, deployment: Deployment, work: Work) -> None: ...

    def bound(self, deployment: Deployment, result: BindingResult) -> None: ...


class Unwatched:
    """Nobody looks."""

    def planned(self, deployment: Deployment, work: Work) -> None: ...

    def bound(self, deployment: Deployment, result: BindingResult) -> None: ...


class Verifier(Protocol):
    """Proves what clients are served after a rotation; the failures of all probes of a certificate."""

    async def __call__(self, certificate: str, bundle: Bundle | None, report: Report, /) -> Sequence[Failure]: ...


async def unverified(_certificate: str, _bundle: Bundle | None, _report: Report, /) -> Sequence[Failure]:
    """Where nobody asked for a proof."""
    return ()


def failure_of(bug: Exception) -> Failure:
    """Of an exception that nobody expected."""
    return EXHAUSTED if is_exhaustion(bug) else INTERNAL


Step = Plan | Superseded | RotationError


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
    _snapshots: Snapshots = field(default_factory=Snapshots)

    async def rotate(
        self,
        certificate: Certificate,
        bundle: Bundle | None,
        *,
        undo_until: datetime | None = None,
        stored_after: datetime | None = None,
    ) -> Report:
        """Everything about one renewal; `bundle` is None where the platform holds the certificate.

        `undo_until`: a newer certificate that was issued until then may be replaced too. `stored_after`: what was
        stored until then is replaced although its date alone would let it pass for the renewed one.
        """
        effort = current_effort()
        with spending(effort):
            report = await self._rotate(certificate, bundle, undo_until, stored_after)
        if not any(failure.transient for failure in report.failures):
            self._snapshots.forget(certificate)
        return replace(report, gateway_calls=effort.calls, warnings=() if bundle is None else bundle.warnings)

    async def _rotate(
        self,
        certificate: Certificate,
        bundle: Bundle | None,
        undo_until: datetime | None,
        stored_after: datetime | None,
    ) -> Report:
        leaf = None if bundle is None else bundle.leaf
        try:
            steps = await self.plans(certificate, leaf, undo_until=undo_until, stored_after=stored_after)
            _refuse_uncovered(steps)
        except RefusedError as error:
            return Report.refused(Failure.of(error), leaf)
        reports = await together(
            [
                self._carry_out(deployment, step, bundle)
                for deployment, step in zip(certificate.deployments, steps, strict=True)
            ]
        )
        report = conclude(leaf, reports)
        return await self._proven(certificate, bundle, report) if report.outcome == "succeeded" else report

    async def plans(
        self,
        certificate: Certificate,
        leaf: Leaf | None,
        *,
        undo_until: datetime | None = None,
        stored_after: datetime | None = None,
    ) -> Sequence[Step]:
        """What is to be done at each deployment, or why nothing can be; by reading only.

        Raises RefusedError(`name_not_covered`) for what needs no reading.
        """
        _check_listed_names(certificate, leaf)
        steps = await self._planned(certificate, leaf, undo_until, stored_after)
        if undo_until is not None and any(_is_superseded(step) for step in steps):
            # A certificate that was issued after those to be undone is there. Gateways that tell no beginnings may
            # have it too, and cannot be asked.
            return await self._planned(certificate, leaf, None, stored_after)
        return steps

    async def _planned(
        self, certificate: Certificate, leaf: Leaf | None, undo_until: datetime | None, stored_after: datetime | None
    ) -> list[Step]:
        return await together(
            [self._plan(deployment, leaf, undo_until, stored_after) for deployment in certificate.deployments]
        )

    async def _plan(
        self, deployment: Deployment, leaf: Leaf | None, undo_until: datetime | None, stored_after: datetime | None
    ) -> Step:
        try:
            observed = await self._gateway(deployment).observe(deployment, leaf)
            snapshot = self._snapshots.of(deployment, leaf)
            seen, after = snapshot.before(observed), snapshot.proof(stored_after)
            return snapshot.told(plan(deployment, seen, leaf, undo_until=undo_until, stored_after=after))
        except RotationError as error:
            return error

    def recall(self, leaf: Leaf, notes: Mapping[str, Snapshot]) -> None:
        """By deployment, what another worker kept before it changed anything for this leaf."""
        self._snapshots.recall(leaf, notes)

    def inherit(self, idle: float) -> None:
        """Another worker was at the same gateways until `idle` seconds ago: their limits hold for both together."""
        for gateway in self.gateways.values():
            gateway.account.inherit(idle)

    def check_open(self, gateways: Collection[str]) -> None:
        """Raises NotAskedError where none of them would be asked anything: nothing could be reached."""
        refusals = [refusal for name in gateways if (refusal := self.gateways[name].account.refusal()) is not None]
        if len(refusals) == len(gateways):
            raise min(refusals, key=lambda refusal: refusal.hold)

    def _gateway(self, deployment: Deployment) -> Gateway:
        return self.gateways[deployment.gateway]

    async def _carry_out(self, deployment: Deployment, step: Step, bundle: Bundle | None) -> DeploymentReport:
        match step:
            case RotationError() as error:
                return not_planned(deployment, Failure.of(error))
            case Superseded(stored):
                return DeploymentReport(deployment, "superseded", "downgrade", stored.certificate_id)
            case Plan():
                return await self._contained(deployment, step, bundle)
            case _:
                assert_never(step)

    async def _contained(self, deployment: Deployment, todo: Plan, bundle: Bundle | None) -> DeploymentReport:
        """A bug at one deployment does not undo what is being told of the others."""
        try:
            return await self._follow(deployment, todo, bundle)
        except Exception as bug:  # noqa: BLE001 - told as what it is
            _log.error("deployment.crashed", gateway=deployment.gateway, exc_info=bug)
            failure = failure_of(bug)
            return DeploymentReport(deployment, "failed", failure.reason, deployment.certificate_id, failure=failure)

    async def _follow(self, deployment: Deployment, todo: Plan, bundle: Bundle | None) -> DeploymentReport:
        with current_effort().queueing():  # a broker that takes no note is no standstill of the gateway's
            await self._snapshots.keep(deployment, None if bundle is None else bundle.leaf, todo)
        with self.forecast.of(self._gateway(deployment), deployment, todo) as work:
            self._tell(deployment, todo, work)
            # The gateway was there when it was observed: what fails now is an attempt, whatever it fails of.
            return attempted(await self._done(deployment, todo, bundle, work))

    def _tell(self, deployment: Deployment, todo: Plan, work: Work) -> None:
        self.watcher.planned(deployment, work)
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

    async def _done(self, deployment: Deployment, todo: Plan, bundle: Bundle | None, work: Work) -> DeploymentReport:
        unchanged = tuple(BindingResult(binding, "unchanged") for binding in todo.unchanged)
        try:
            stored = await self._replace(deployment, todo, bundle)
        except RotationError as error:
            return not_replaced(deployment, todo, unchanged, Failure.of(error))
        attached = await self._attach(deployment, stored, todo, bundle, work)
        results = unchanged + attached
        if not todo.is_nothing:
            results = await self._read_back(deployment, stored, results, bundle)
        await self._retire(deployment, todo, results)
        return reported(deployment, todo, stored, results)

    async def _replace(self, deployment: Deployment, todo: Plan, bundle: Bundle | None) -> Stored | None:
        match todo.replacement:
            case Keep(stored):
                return stored
            case UploadEach():
                return None
            case Modify() | Create() as how:
                if bundle is None:
                    raise RefusedError("material_missing", "the renewal brings no certificate")
                stored = await self._gateway(deployment).replace(deployment, how, bundle)
                current_effort().changes += 1
                return stored
            case _:
                assert_never(todo.replacement)

    async def _attach(
        self, deployment: Deployment, stored: Stored | None, todo: Plan, bundle: Bundle | None, work: Work
    ) -> tuple[BindingResult, ...]:
        if not todo.attach:
            return ()

        effort = current_effort()

        def heard(result: BindingResult) -> None:
            effort.changes += result.state == "attached"
            work.left -= 1
            self.watcher.bound(deployment, result)

        return tuple(await self._gateway(deployment).attach(deployment, stored, todo.attach, bundle, heard))

    async def _read_back(
        self, deployment: Deployment, stored: Stored | None, results: tuple[BindingResult, ...], bundle: Bundle | None
    ) -> tuple[BindingResult, ...]:
        """What the gateway shows decides, not what it answered; a flag that moved is put right, and still told."""
        # What the platform renewed itself is another certificate than the message may bring for other deployments.
        leaf = None if bundle is None or deployment.strategy == "rebind" else bundle.leaf
        shown = await self._settled(deployment, results, leaf)
        moved = moved_flags(shown)
        if not moved:
            return shown
        _log.warning("client_verification.moved", gateway=deployment.gateway, bindings=len(moved))
        again = await self._gateway(deployment).attach(deployment, stored, moved, bundle, lambda _result: None)
        return put_right(shown, await self._settled(deployment, tuple(again), leaf))

    async def _settled(
        self, deployment: Deployment, results: tuple[BindingResult, ...], leaf: Leaf | None
    ) -> tuple[BindingResult, ...]:
        """Reads until all is as it shall be, or the gateway has had its time: it may show changes late."""
        observe = self._gateway(deployment).observe
        pause, waited, longest = 1.0, 0.0, self.settle_seconds.get(deployment.gateway, 15.0)
        while True:
            try:
                shown = confirmed(results, await observe(deployment, leaf, elsewhere=False), leaf)
            except RotationError as error:
                return unconfirmed(results, Failure.of(error))
            if is_complete(shown, results) or waited >= longest:
                return shown
            pause = min(pause, longest - waited)
            await asyncio.sleep(pause)
            waited, pause = waited + pause, pause * 2

    async def _retire(self, deployment: Deployment, todo: Plan, results: Sequence[BindingResult]) -> None:
        """Quotas fill otherwise. What cannot be deleted now is found again by its name at the next rotation."""
        # Nothing that is bound is deleted: of uploads for single domains, those of the sound ones can go in any case.
        if any(result.state == "failed" for result in results) and not isinstance(todo.replacement, UploadEach):
            return
        for stored in todo.retire:
            if self.claimed & {(deployment.gateway, one.lower()) for one in (stored.certificate_id, stored.name)}:
                continue
            try:
                is_gone = await self._gateway(deployment).retire(stored)
            except RotationError as error:
                _log.warning("certificate.not_retired", certificate_id=stored.certificate_id, reason=error.reason)
            else:
                current_effort().changes += is_gone
                _log.info("certificate.retired", certificate_id=stored.certificate_id, gone=is_gone)

    async def _proven(self, certificate: Certificate, bundle: Bundle | None, report: Report) -> Report:
        failures = await self.verify(certificate.name, bundle, report)
        if not failures:
            return report
        return replace(report, outcome="failed", reason=failures[0].reason, failure=failures[0])


def _is_superseded(step: Step) -> bool:
    return isinstance(step, Superseded) or (isinstance(step, Plan) and step.superseded_by is not None)


def _check_listed_names(certificate: Certificate, leaf: Leaf | None) -> None:
    """What the settings list needs no call to be known."""
    if leaf is None:
        return
    check_covered(certificate.name, certificate.names, leaf)
    for deployment in certificate.deployments:
        if deployment.strategy != "per_domain":
            check_names(deployment, deployment.bindings or (), leaf)


def _refuse_uncovered(steps: Sequence[Step]) -> None:
    """A certificate that does not cover a bound name anywhere is refused everywhere, before anything is changed."""
    for step in steps:
        if isinstance(step, RefusedError) and step.reason == "name_not_covered":
            raise step
