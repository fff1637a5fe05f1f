"""Binding a certificate to one listener, and what its 409 means."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal

from worker.core.backoff import jittered
from worker.core.deployment import Binding
from worker.core.errors import PermanentError, RotationError, TransientError
from worker.gateways.bycloud.client import ByCloudClient
from worker.gateways.bycloud.sight import Sight, check_active, pauses
from worker.gateways.bycloud.wire import Binding as Bound
from worker.gateways.redaction import shown
from worker.gateways.transport import AmbiguousError

_BROKEN: Final = frozenset({"error", "failed"})


@dataclass(frozen=True, slots=True)
class Binder:
    """Binds listeners to one certificate. `patience`: seconds that a busy load balancer or a slow binding may take."""

    client: ByCloudClient
    sight: Sight
    patience: float
    chance: Callable[[], float]

    async def bind(self, listener: Binding) -> Literal["attached", "unchanged"]:
        """Bound and active at the end; TransientError or PermanentError otherwise."""
        spent = 0.0
        for tries in count(1):
            try:
                bound = await self.client.bind(self.sight.certificate_id, listener)
            except RotationError as refusal:
                if not _is_in_doubt(refusal):
                    raise
                if await self._is_bound_already(listener):
                    return "unchanged" if tries == 1 and not isinstance(refusal, AmbiguousError) else "attached"
                spent += await self._pause(refusal, tries, spent)
            else:
                await self._until_active(listener, bound)
                break
        return "attached"

    async def _pause(self, refusal: RotationError, tries: int, spent: float) -> float:
        """Seconds waited before the next try; raises when there shall be none."""
        busy = TransientError("busy", refusal.message, status=refusal.status, attempts=tries)
        if isinstance(refusal, AmbiguousError):
            busy.reason, busy.hold = refusal.reason, refusal.hold
        pause = max(busy.hold, jittered(tries, self.chance()))
        if spent + pause > self.patience:
            raise busy from None
        await asyncio.sleep(pause)
        return pause

    async def _is_bound_already(self, listener: Binding) -> bool:
        """A 409 is success when the binding is there, failure when the certificate is not active, else it is busy."""
        certificate = await self.sight.fresh()
        check_active(certificate)
        bound = certificate.at(listener.name, sni=listener.sni)
        if bound is None:
            return False
        await self._until_active(listener, bound)
        return True

    async def _until_active(self, listener: Binding, bound: Bound | None) -> None:
        """201 does not prove that the listener serves it: the binding's status does."""
        waiting = pauses(self.patience)
        while not _is_active_at(listener, bound):
            pause = next(waiting, None)
            if pause is None:
                raise TransientError("binding_failed", "the binding does not become active")
            await asyncio.sleep(pause)
            bound = (await self.sight.fresh()).at(listener.name, sni=listener.sni)


def _is_in_doubt(refusal: RotationError) -> bool:
    """Whether only reading tells what came of it."""
    return isinstance(refusal, AmbiguousError) or refusal.reason == "conflict"


def _is_active_at(listener: Binding, bound: Bound | None) -> bool:
    """An answer about another listener, or about none, proves nothing."""
    if bound is None or not bound.is_at(listener.name, sni=listener.sni):
        return False
    if bound.status in _BROKEN:
        raise PermanentError("binding_failed", shown(bound.error_message or "the binding is in error", ()))
    return bound.is_active
