"""Old stored certificates that were kept for a while after they were replaced: deleted when their time is over."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from worker.broker.base import BrokerError
from worker.core.deployment import Certificate, Deployment
from worker.core.errors import RotationError
from worker.core.moving import Replaced, replaced_ones
from worker.core.past import Placed
from worker.core.planning import Stored
from worker.core.retirement import is_claimed, was_proven
from worker.effort import Effort, spending
from worker.gateways.together import together
from worker.rotation import Rotator
from worker.settling import is_retired
from worker.sweep import Past

_log = structlog.get_logger()
_FIRST_POLL: Final = 0.5
_POLL: Final = 15.0
"""Seconds: so often it is asked which worker is the active one."""
_LONGEST_TURN: Final = 60.0
"""Seconds: a rotation of the certificate waits no longer than that for a deletion."""
_FIRST_PAUSE: Final = 60.0
_LONGEST_PAUSE: Final = 21_600.0
Turn = Callable[[str, Effort], AbstractAsyncContextManager[None]]
"""A certificate's, which its rotations take too."""


def keeping(certificates: Mapping[str, Certificate]) -> Mapping[str, Certificate]:
    """Those that keep old stored certificates for a while, with the deployments that do."""
    those = {name: [one for one in it.deployments if _keeps(one)] for name, it in certificates.items()}
    return {name: Certificate(name, deployments) for name, deployments in those.items() if deployments}


def _keeps(deployment: Deployment) -> bool:
    return deployment.strategy == "blue_green" and deployment.retire_after_seconds > 0


@dataclass(frozen=True, slots=True)
class Found:
    """What a deployment keeps."""

    deployment: Deployment
    kept: Replaced


@dataclass(slots=True)
class Retiring:
    """Beside the consumer of a running worker; what it misses is found by the next rotation.

    What it knows is in memory: a worker that becomes the active one looks at all of them. Seconds of the loop's clock.
    """

    rotator: Rotator
    certificates: Mapping[str, Certificate]
    """As `keeping` has them."""
    turn: Turn
    is_active: Callable[[], Awaitable[bool]]
    """Standbys leave it to the active consumer."""
    past: Past
    retired: Callable[[str], None] = lambda _gateway: None
    """Hears of the gateway where something was deleted."""
    _due: dict[str, float] = field(default_factory=dict)
    """By certificate: when it is looked at next."""
    _pauses: dict[str, float] = field(default_factory=dict)
    """By certificate that could not be dealt with: how long it was left alone."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def ended(self, certificate: str | None, outcome: str) -> None:
        """A renewal of that certificate has its outcome."""
        if outcome == "succeeded" and certificate is not None and certificate in self.certificates:
            self._pauses.pop(certificate, None)
            self._look_in(
                certificate, min(one.retire_after_seconds for one in self.certificates[certificate].deployments)
            )

    async def run(self) -> None:
        """For ever."""
        while self.certificates:
            await self._is_this_one()
            for name in sorted(self.certificates):
                self._look_in(name, 0.0)
            while await self.is_active():
                await self._next()
            self._due.clear()

    async def _is_this_one(self) -> None:
        """Returns once this worker is the active one."""
        pause = _FIRST_POLL
        while not await self.is_active():
            await asyncio.sleep(pause)
            pause = min(pause * 2, _POLL)

    def _look_in(self, certificate: str, seconds: float) -> None:
        at = asyncio.get_running_loop().time() + seconds
        self._due[certificate] = min(at, self._due.get(certificate, at))
        self._news.set()

    async def _next(self) -> None:
        """Looks at the certificate that is due, or waits until one may be."""
        name, at = min(self._due.items(), key=lambda item: item[1], default=("", float("inf")))
        wait = min(at - asyncio.get_running_loop().time(), _POLL)
        if wait > 0:
            self._news.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), wait)
            return
        del self._due[name]
        seconds = await self._one(name)
        if seconds is not None:
            self._look_in(name, seconds)

    async def _one(self, name: str) -> float | None:
        """Seconds until it is to be looked at again; None where nothing is kept."""
        with structlog.contextvars.bound_contextvars(certificate=name):
            try:
                return await self._look_at(self.certificates[name])
            except (RotationError, BrokerError, TimeoutError) as error:
                reason = error.reason if isinstance(error, RotationError) else type(error).__name__
                _log.warning("retiring.put_off", reason=reason)
            except Exception as bug:  # noqa: BLE001 - it goes on with the next
                _log.error("retiring.crashed", exc_info=bug)
        return self._put_off(name)

    def _put_off(self, name: str) -> float:
        pause = min(self._pauses.get(name, _FIRST_PAUSE / 2) * 2, _LONGEST_PAUSE)
        self._pauses[name] = pause
        return pause

    async def _look_at(self, certificate: Certificate) -> float | None:
        """As `_one`: by reading only, and behind everything else that waits for the gateways, until one is due."""
        with spending(Effort(is_background=True)):
            found = await self._found(certificate)  # by when they were stored: no earlier than by their success
        if not any(one.kept.over for one in found):
            return _soonest(found)
        # No longer behind everything else: a rotation of this certificate may wait for its turn.
        effort = Effort(fence=self._is_this_one)
        async with self.turn(certificate.name, effort), asyncio.timeout(_LONGEST_TURN):
            with spending(effort):
                return await self._retire(certificate)

    async def _retire(self, certificate: Certificate) -> float | None:
        """In the certificate's turn. Looks again: a rotation may have had it before.

        What is not proven yet is looked at again when its rotation has ended.
        """
        past = await self.past(certificate.name)
        found = await self._found(certificate, past)
        proven = [one for one in found if was_proven(one.kept.present, past)]
        if len(proven) < len(found):
            _log.info("retiring.unproven")
        gone = [await self._is_gone(one, stored) for one in proven for stored in self._unclaimed(one)]
        return _soonest(proven) if all(gone) else self._put_off(certificate.name)

    def _unclaimed(self, one: Found) -> Sequence[Stored]:
        """Those whose time is over."""
        claims = self.rotator.claimed
        return [stored for stored in one.kept.over if not is_claimed(stored, one.deployment, claims, moves=True)]

    async def _is_gone(self, one: Found, stored: Stored) -> bool:
        gateway = one.deployment.gateway
        moved = dict.fromkeys(one.kept.moved, one.kept.present.certificate_id)
        is_gone = await is_retired(self.rotator.gateways[gateway], stored, moved)
        if is_gone:
            self.retired(gateway)
        return is_gone

    async def _found(self, certificate: Certificate, past: Sequence[Placed] = ()) -> Sequence[Found]:
        self.rotator.check_open({one.gateway for one in certificate.deployments})
        found = await together([self._kept(one, past) for one in certificate.deployments])
        return [one for one in found if one is not None]

    async def _kept(self, deployment: Deployment, past: Sequence[Placed]) -> Found | None:
        observed = await self.rotator.gateways[deployment.gateway].observe(deployment, None, elsewhere=False)
        kept = replaced_ones(deployment, observed, past)
        return None if kept is None else Found(deployment, kept)


def _soonest(found: Sequence[Found]) -> float | None:
    """Seconds until the next of those that are still kept."""
    return min((left for one in found for _, left in one.kept.waiting if left > 0), default=None)
