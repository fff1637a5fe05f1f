"""Binding a certificate to one listener, and what its 409 means."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from worker.core.backoff import jittered
from worker.core.deployment import Binding
from worker.core.errors import PermanentError, TransientError
from worker.gateways.bycloud.client import ByCloudClient
from worker.gateways.bycloud.wire import ACTIVE, PENDING, Certificate
from worker.gateways.bycloud.wire import Binding as Bound
from worker.gateways.redaction import shown
from worker.gateways.transport import AmbiguousError

_BROKEN: Final = frozenset({"error", "failed"})


@dataclass(frozen=True, slots=True)
class Binder:
    """Binds listeners to one certificate. `patience`: seconds that a busy load balancer or a slow binding may take."""

    client: ByCloudClient
    certificate_id: str
    patience: float
    chance: Callable[[], float]

    async def bind(self, listener: Binding) -> Literal["attached", "unchanged"]:
        """Bound and active at the end; TransientError or PermanentError otherwise."""
        tries, waited = 0, 0.0
        while True:
            tries += 1
            try:
                bound = await self.client.bind(self.certificate_id, listener)
            except PermanentError as error:
                if error.reason != "conflict":
                    raise
                if await self._is_bound_already(listener):
                    return "unchanged"
                busy = TransientError("busy", error.message, status=error.status, attempts=tries)
            except AmbiguousError as error:
                if await self._is_bound_already(listener):
                    return "attached"
                busy = TransientError(error.reason, error.message, status=error.status, attempts=tries)
            else:
                await self._until_active(listener, bound)
                return "attached"
            pause = jittered(tries, self.chance())
            if waited + pause > self.patience:
                raise busy
            waited += pause
            await asyncio.sleep(pause)

    async def _is_bound_already(self, listener: Binding) -> bool:
        """A 409 is success when the binding is there, failure when the certificate is not active, else it is busy."""
        certificate = await self.client.show(self.certificate_id)
        check_active(certificate)
        bound = certificate.at(listener.name, sni=listener.sni)
        if bound is None:
            return False
        await self._until_active(listener, bound)
        return True

    async def _until_active(self, listener: Binding, bound: Bound | None) -> None:
        """201 does not prove that the listener serves it: the binding's status does. Looks seldom: calls are few."""
        pause, waited = 1.0, 0.0
        while bound is None or bound.status not in (ACTIVE, None):
            if bound is not None and bound.status in _BROKEN:
                raise PermanentError("binding_failed", shown(bound.error_message or "the binding is in error", ()))
            if waited > self.patience:
                raise TransientError("binding_failed", "the binding does not become active")
            await asyncio.sleep(pause)
            waited, pause = waited + pause, pause * 2
            bound = (await self.client.show(self.certificate_id)).at(listener.name, sni=listener.sni)


def check_active(certificate: Certificate) -> None:
    """Raises `certificate_not_active`: worth another try while it is pending, final otherwise."""
    if certificate.status in PENDING:
        raise TransientError("certificate_not_active", "the certificate is not active yet")
    if certificate.status != ACTIVE:
        raise PermanentError("certificate_not_active", "the certificate is expired, revoked or in error")
