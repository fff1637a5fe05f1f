"""Looking at a certificate until it is as it shall be: seldom, and once for all who wait, because calls are few."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from worker.core.errors import PermanentError, RotationError, TransientError
from worker.gateways.bycloud.client import ByCloudClient
from worker.gateways.bycloud.wire import ACTIVE, PENDING, Certificate, known_status

_TO_JOIN: Final = 0.05
"""Seconds before a read begins, for others to join: without them the waiters drift apart, look by look."""


def pauses(patience: float) -> Iterator[float]:
    """Seconds between looks: 1, 2, 4…, in all `patience`."""
    waited, pause = 0.0, 1.0
    while waited < patience:
        pause = min(pause, patience - waited)
        yield pause
        waited, pause = waited + pause, pause * 2


@dataclass(slots=True)
class Sight:
    """One certificate as it is now."""

    client: ByCloudClient
    certificate_id: str
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _begun: int = 0
    _seen: tuple[int, Certificate | RotationError] | None = None
    """With the number of the read that saw it, or failed."""

    async def fresh(self) -> Certificate:
        """As it is after this was asked for. All who ask while a read is under way share the next one.

        Not that one: it began before they asked, perhaps before the change whose effect they ask about. A failure is
        shared too: the transport has tried for long already, and each would try as long again.
        """
        asked = self._begun
        async with self._turn:
            if self._seen is None or self._seen[0] <= asked:
                await asyncio.sleep(_TO_JOIN)
                self._begun += 1
                self._seen = self._begun, await self._look()
            seen = self._seen[1]
        if isinstance(seen, RotationError):
            raise seen
        return seen

    async def _look(self) -> Certificate | RotationError:
        try:
            return await self.client.show(self.certificate_id)
        except RotationError as error:
            return error


def check_active(certificate: Certificate) -> None:
    """Raises `certificate_not_active`: worth another try while it is pending, final otherwise."""
    if certificate.status == ACTIVE:
        return
    told = f"the certificate's status is {known_status(certificate.status)}: the cloud's console says why"
    if certificate.status in PENDING:
        raise TransientError("certificate_not_active", told)
    raise PermanentError("certificate_not_active", told)
