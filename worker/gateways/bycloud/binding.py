"""Binding a certificate to one listener, and what its 409 means."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Literal

from worker.core.backoff import jittered
from worker.core.deployment import Binding
from worker.core.errors import PermanentError, RotationError, TransientError
from worker.gateways.bycloud.client import ByCloudClient
from worker.gateways.bycloud.sight import Sight, check_active, pauses
from worker.gateways.bycloud.wire import Binding as Bound
from worker.gateways.transport import AmbiguousError

_BROKEN: Final = frozenset({"error", "failed"})
_LEFT: Final = 0.1
"""Of the patience, once a listener has waited in vain: enough for the next to show that it is well."""


@dataclass(slots=True)
class Binder:
    """Binds the listeners of one load balancer to a certificate, one after the other.

    `patience`: seconds that a busy load balancer or a slow binding may take. A load balancer that is stuck costs it
    once, not once for each of its listeners.
    """

    client: ByCloudClient
    sight: Sight
    patience: float
    chance: Callable[[], float]
    _left: float = field(init=False)
    """Of the patience, for the next listener."""
    _waited: float = 0.0

    def __post_init__(self) -> None:
        self._left = self.patience

    async def bind(self, listener: Binding) -> Literal["attached", "unchanged"]:
        """Bound and active at the end; TransientError or PermanentError otherwise."""
        self._waited = 0.0
        try:
            state = await self._bind(listener)
        except RotationError:
            self._left *= _LEFT if self._waited else 1
            raise
        self._left = self.patience
        return state

    async def _bind(self, listener: Binding) -> Literal["attached", "unchanged"]:
        for tries in count(1):
            try:
                bound = await self.client.bind(self.sight.certificate_id, listener)
            except RotationError as refusal:
                if not _is_in_doubt(refusal):
                    raise
                if await self._is_bound_already(listener):
                    return "unchanged" if tries == 1 and not isinstance(refusal, AmbiguousError) else "attached"
                await self._pause(refusal, tries)
            else:
                await self._until_active(listener, bound)
                break
        return "attached"

    async def _pause(self, refusal: RotationError, tries: int) -> None:
        """Waits before the next try; raises when there shall be none."""
        busy = TransientError("busy", refusal.message, status=refusal.status, attempts=tries)
        if isinstance(refusal, AmbiguousError):
            busy.reason, busy.hold = refusal.reason, refusal.hold
        pause = max(busy.hold, jittered(tries, self.chance()))
        if self._waited + pause > self._left:
            raise busy from None
        await self._wait(pause)

    async def _wait(self, seconds: float) -> None:
        self._waited += seconds
        await asyncio.sleep(seconds)

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
        waiting = pauses(self._left)
        while not _is_active_at(listener, bound):
            pause = next(waiting, None)
            if pause is None:
                raise TransientError("binding_failed", "the binding does not become active")
            await self._wait(pause)
            bound = (await self.sight.fresh()).at(listener.name, sni=listener.sni)


def _is_in_doubt(refusal: RotationError) -> bool:
    """Whether only reading tells what came of it."""
    return isinstance(refusal, AmbiguousError) or refusal.reason == "conflict"


def _is_active_at(listener: Binding, bound: Bound | None) -> bool:
    """An answer about another listener, or about none, proves nothing."""
    if bound is None or not bound.is_at(listener.name, sni=listener.sni):
        return False
    if bound.status in _BROKEN:
        raise PermanentError("binding_failed", "the binding is in error: the cloud's console says why")
    return bound.is_active
