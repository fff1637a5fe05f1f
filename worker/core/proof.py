"""What is to be proven by handshakes after bindings were attached, and what was found wanting."""

from collections.abc import Awaitable, Callable, Sequence
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
    is_previous_known: bool = True
    """Whether that is all there was: an attempt that finds the new one there already may not know what it replaced."""
    expiries: frozenset[datetime] = frozenset()
    """Of what only the platform holds."""
    is_whole: bool = True
    """Also the endpoints that belong to no binding."""
    waiting: frozenset[str] = frozenset()
    """Names of bindings that have not moved: their turn is yet to come, they could not, or something newer is there.

    An endpoint of theirs is nobody else's, be it under his wildcard; and what serves such a name is no proof of those
    of the same name that have moved.
    """
    answered: frozenset[str] = frozenset()
    """Of its endpoints, those that answered a handshake before what they serve was changed."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Something that is not served as it shall be.

    Reasons: `not_reachable`, `still_old`, `other_certificate`, `chain_incomplete`, `client_verification_changed`. The
    message names server name, address and port.
    """

    failure: Failure
    binding: Binding | None
    """None: of an endpoint that belongs to no binding."""
    endpoint: str
    """`host:port`, as the settings or the domain say it."""
    is_blind: bool = False
    """Nothing at all was reached that was asked: that may be the worker's own network, and nothing goes back for it.

    Not where there is a way to an endpoint that answered before the change, and does not now.
    """


class UnseenError(Exception):
    """Whoever proves could reach nothing at all: not a word about what is served."""

    def __init__(self, shortfalls: Sequence[Shortfall]) -> None:
        super().__init__("nothing that was asked could be reached")
        self.shortfalls = shortfalls


class Verifier(Protocol):
    """Proves what clients are served: one shortfall for each endpoint, and each binding behind it, that falls short."""

    async def __call__(self, served: Served, /) -> Sequence[Shortfall]: ...


Answering = Callable[[Served], Awaitable[frozenset[str]]]
"""Which of the first endpoints that would be asked answer a handshake now, whatever they serve."""


async def nobody(_served: Served, /) -> frozenset[str]:
    """Where nobody looks before a change."""
    return frozenset()


async def unverified(_served: Served, /) -> Sequence[Shortfall]:
    """Where nobody asked for a proof."""
    return ()
