"""What is to be proven by handshakes after bindings were attached, and what was found wanting."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from worker.core.bundle import Bundle
from worker.core.deployment import Binding
from worker.core.errors import Failure


@dataclass(frozen=True, slots=True)
class Served:
    """What clients shall be served from now on."""

    certificate: str
    """Its name in the settings."""
    bundle: Bundle | None
    """None where the platform holds it."""
    bindings: Sequence[Binding]
    """Attached, or found right, each with the client-verification flag that it shall have."""
    previous: Sequence[str] = ()
    """Serial numbers of what was there before."""
    expiries: frozenset[datetime] = frozenset()
    """Of what only the platform holds."""
    is_whole: bool = True
    """Also the endpoints that belong to no binding."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Something that is not served as it shall be; `binding` is None for an endpoint of no binding."""

    failure: Failure
    binding: Binding | None
    endpoint: str


class Verifier(Protocol):
    """Proves what clients are served."""

    async def __call__(self, served: Served, /) -> Sequence[Shortfall]: ...


async def unverified(_served: Served, /) -> Sequence[Shortfall]:
    """Where nobody asked for a proof."""
    return ()
