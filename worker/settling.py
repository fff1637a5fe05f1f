"""Attaching and deleting at one deployment, and reading until what was accepted is shown."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import structlog

from worker.core.bundle import Bundle, Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure, RotationError
from worker.core.outcome import BindingResult
from worker.core.planning import Observed, Stored
from worker.core.readback import is_complete
from worker.core.reporting import unconfirmed
from worker.effort import current_effort
from worker.gateways.base import NOWHERE, Gateway, OnResult
from worker.in_parts import give_way

_log = structlog.get_logger()
Judge = Callable[[Sequence[BindingResult], Observed], tuple[BindingResult, ...]]
"""The results as what was read shows them."""


def unheard(_result: BindingResult) -> None:
    """No progress of the rotation."""


async def attached(
    gateway: Gateway,
    deployment: Deployment,
    to: Stored | None,
    bindings: Sequence[Binding],
    bundle: Bundle | None,
    on_result: OnResult = unheard,
) -> tuple[BindingResult, ...]:
    """As the gateway answers; each that succeeds is booked to the effort."""
    heard = _booked(on_result)
    return tuple(await gateway.attach(deployment, to, bindings, bundle, heard)) if bindings else ()


async def detached(
    gateway: Gateway, stored: Stored, bindings: Sequence[Binding], on_result: OnResult = unheard
) -> Sequence[BindingResult]:
    """As the gateway answers; each that succeeds is booked to the effort."""
    return await gateway.detach(stored, bindings, _booked(on_result))


def _booked(on_result: OnResult) -> OnResult:
    effort = current_effort()

    def heard(result: BindingResult) -> None:
        effort.changes += result.state == "attached"
        on_result(result)

    return heard


async def is_retired(gateway: Gateway, stored: Stored, moved: Mapping[Binding, str] = NOWHERE) -> bool:
    """Deleted, if nothing is bound to it alone. What does not come off is told by the log alone."""
    try:
        is_gone = await gateway.retire(stored, moved)
    except RotationError as error:
        _log.warning("certificate.not_retired", certificate_id=stored.certificate_id, reason=error.reason)
        return False
    current_effort().changes += is_gone
    _log.info("certificate.retired", certificate_id=stored.certificate_id, gone=is_gone)
    return is_gone


@dataclass(frozen=True, slots=True)
class Settling:
    """Of one deployment, after changes to it."""

    gateway: Gateway
    deployment: Deployment
    leaf: Leaf | None
    seconds: float
    """How long it may take until what the gateway accepted can be read."""

    async def settled(
        self,
        results: tuple[BindingResult, ...],
        judge: Judge,
        *,
        elsewhere: bool = False,
        known: Collection[str] = (),
    ) -> tuple[BindingResult, ...]:
        """Reads until all is as it shall be, or the gateway has had its time: it may show changes late.

        `elsewhere` and `known` as the gateway's `observe` has them.
        """
        pause, waited, longest = 1.0, 0.0, self.seconds
        while True:
            try:
                observed = await self.gateway.observe(self.deployment, self.leaf, elsewhere=elsewhere, known=known)
            except RotationError as error:
                return unconfirmed(results, Failure.of(error))
            await give_way(len(results))
            shown = judge(results, observed)
            await give_way(len(results))
            if is_complete(shown, results) or waited >= longest:
                return shown
            pause = min(pause, longest - waited)
            await asyncio.sleep(pause)
            waited, pause = waited + pause, pause * 2
