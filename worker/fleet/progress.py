"""How far the rotations are that run in this process."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from worker.core.deployment import Certificate, Deployment
from worker.core.outcome import BindingResult
from worker.effort import Effort
from worker.fleet.values import Phase, Running, Step
from worker.forecast import Work
from worker.under_way import Unwatched, Watcher

_AT_ONCE: Final = 16
"""Rotations looked at in one go; those that are estimated one by one, where a thousand are under way."""
_ESTIMATED: Final = 64
"""The oldest: each estimate asks all that is under way at its gateway."""


@dataclass(slots=True)
class _Part:
    """A plan at one deployment, once there is one."""

    work: Work
    failed: int = 0

    @property
    def phase(self) -> Phase:
        work = self.work
        if work.goes_back:
            return "rolling back"
        if not work.left:
            return "verifying"
        is_replacing = work.replaces and work.left == work.bindings and not work.is_stored()
        return "replacing" if is_replacing else "attaching"

    @property
    def seconds_left(self) -> float:
        return self.work.seconds_left() if self.work in self.work.beside else 0.0


@dataclass(slots=True, eq=False)
class _Rotation:
    certificate: Certificate
    renewal_id: str
    attempt: int
    effort: Effort
    since: datetime
    parts: dict[str, _Part] = field(default_factory=dict)
    """By the deployment's key."""

    def running(self, *, is_estimated: bool = True) -> Running:
        return Running(
            self.certificate.name,
            self.renewal_id if self.effort.is_compared else None,
            self.since,
            self.attempt,
            self.effort.urgent,
            self.effort.calls,
            [self._step(one, is_estimated=is_estimated) for one in self.certificate.deployments],
        )

    def _step(self, deployment: Deployment, *, is_estimated: bool) -> Step:
        part, refusal = self.parts.get(deployment.key), self.effort.refusal(deployment.gateway)
        if part is None:
            phase: Phase = "observing" if self.effort.calls else "queueing"
            return Step(deployment.key, deployment.gateway, phase, refusal=refusal)
        work, is_estimated = part.work, is_estimated and (refusal is None or refusal.is_throttling)
        done, left = work.bindings - work.left, part.seconds_left if is_estimated else None
        return Step(deployment.key, deployment.gateway, part.phase, done, part.failed, work.bindings, left, refusal)


@dataclass(slots=True, eq=False)
class RunningRotations:
    """Hears of every rotation, and of each binding of it. `moved` is called with the certificate's name."""

    certificates: Mapping[str, Certificate]
    now: Callable[[], datetime]
    moved: Callable[[str], None] = lambda _certificate: None
    also: Watcher = field(default_factory=Unwatched)
    """Whoever else wants to hear of bindings."""
    _rotations: dict[str, _Rotation] = field(default_factory=dict)
    """By certificate: each has one at a time."""
    _owners: dict[str, str] = field(default_factory=dict)
    """By the deployment's key, its certificate."""

    def __post_init__(self) -> None:
        self.keep_to(self.certificates)

    def keep_to(self, certificates: Mapping[str, Certificate]) -> None:
        """These are the settings' from now on."""
        self.certificates = certificates
        self._owners = {to.key: name for name, one in certificates.items() for to in one.deployments}

    def __contains__(self, certificate: str) -> bool:
        return certificate in self._rotations

    @contextmanager
    def rotating(self, certificate: str, renewal_id: str, attempt: int, effort: Effort) -> Iterator[None]:
        known = self.certificates.get(certificate) or Certificate(certificate, ())
        self._rotations[certificate] = _Rotation(known, renewal_id, attempt, effort, self.now())
        self.moved(certificate)
        try:
            yield
        finally:
            del self._rotations[certificate]
            self.moved(certificate)

    def planned(self, deployment: Deployment, work: Work) -> None:
        self.also.planned(deployment, work)
        rotation = self._of(deployment)
        if rotation is not None:
            rotation.parts[deployment.key] = _Part(work)
            self.moved(rotation.certificate.name)

    def bound(self, deployment: Deployment, result: BindingResult) -> None:
        self.also.bound(deployment, result)
        rotation = self._of(deployment)
        part = None if rotation is None else rotation.parts.get(deployment.key)
        if rotation is not None and part is not None:
            part.failed += result.state == "failed"
            self.moved(rotation.certificate.name)

    def _of(self, deployment: Deployment) -> _Rotation | None:
        return self._rotations.get(self._owners.get(deployment.key, ""))

    def of(self, certificate: str) -> Sequence[Running]:
        """Of one certificate: what runs, or nothing."""
        rotation = self._rotations.get(certificate)
        return [] if rotation is None else [rotation.running()]

    async def running(self) -> Sequence[Running]:
        """Those that are under way when it returns, oldest first; others have their turns in between."""
        found: dict[_Rotation, Running] = {}
        for number, rotation in enumerate(list(self._rotations.values()), 1):
            found[rotation] = rotation.running(is_estimated=number <= _ESTIMATED)
            if number <= _ESTIMATED or number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        # Some have ended in those turns, and others begun.
        return [found.get(one) or one.running(is_estimated=False) for one in self._rotations.values()]
