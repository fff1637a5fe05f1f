"""What is to be proven by handshakes after bindings were attached, and what was found wanting."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from worker.core.bundle import Bundle
from worker.core.deployment import Binding
from worker.core.errors import Failure


@dataclass(frozen=True, slots=True)
class Reach:
    """What could be reached before a change, of the endpoints that are asked after it."""

    answered: frozenset[str] = frozenset()
    """Endpoints that came to a handshake."""
    unreached: frozenset[str] = frozenset()
    """As `place_at` has them: of endpoints, all addresses that did not; and those of which none did, as a whole."""

    def joined(self, other: "Reach") -> "Reach":
        return Reach(self.answered | other.answered, self.unreached | other.unreached)

    def knows(self, endpoint: str) -> bool:
        return endpoint in self.answered or self.is_dead(endpoint)

    def is_dead(self, endpoint: str) -> bool:
        """None of its addresses came to a handshake."""
        return place_at(endpoint) in self.unreached

    def without(self, endpoints: Collection[str]) -> "Reach":
        """That these did not answer says nothing."""
        return Reach(self.answered, frozenset(one for one in self.unreached if _endpoint_of(one) not in endpoints))

    def noted(self, endpoints: Sequence[str]) -> "Reach":
        """What a note has room for: of these rather than of others, the first ones first."""
        mine = dict.fromkeys(one for one in endpoints if one in self.answered)
        answered = [*mine, *sorted(self.answered.difference(mine))][:_MOST_ANSWERED]
        own = frozenset(endpoints)
        dead = sorted((one for one in self.unreached if self._is_telling(one)), key=lambda one: _rank(one, own))
        return Reach(frozenset(answered), frozenset(dead[:_MOST_UNREACHED]))

    def _is_telling(self, place: str) -> bool:
        """Where none of an endpoint's addresses answered, that says all of it."""
        whole = place_at(_endpoint_of(place))
        return place == whole or whole not in self.unreached


def place_at(endpoint: str, address: str = "") -> str:
    """One address of an endpoint; of none: the endpoint as a whole."""
    return f"{endpoint} {address}"


def _endpoint_of(place: str) -> str:
    return place.rpartition(" ")[0]


def _rank(place: str, own: Collection[str]) -> tuple[bool, str]:
    return _endpoint_of(place) not in own, place


NOT_LOOKED: Final = Reach()
_MOST_ANSWERED: Final = 20
"""Endpoints that are noted to have answered before a change: one that stays dumb after it is enough to know."""
_MOST_UNREACHED: Final = 1000
"""Places that are noted not to have answered: who has more is told of a change that was none."""


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
    reach: Reach = NOT_LOOKED
    """Of its endpoints, before what they serve was changed."""
    serials: frozenset[str] | None = None
    """Of what is to be served again, where that is all that is known; `expiries` are of those whose serial is not."""
    proven: Sequence[Binding] = ()
    """What waves have proven: their endpoints belong to a binding, and are not asked again."""


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
    is_as_before: bool = False
    """Nothing but addresses that did not answer before the change either: nothing goes back for these alone."""


class UnseenError(Exception):
    """Whoever proves could reach nothing at all: not a word about what is served."""

    def __init__(self, shortfalls: Sequence[Shortfall]) -> None:
        super().__init__("nothing that was asked could be reached")
        self.shortfalls = shortfalls


class Verifier(Protocol):
    """Proves what clients are served: one shortfall for each endpoint, and each binding behind it, that falls short."""

    async def __call__(self, served: Served, /) -> Sequence[Shortfall]: ...


Looking = Callable[[Served], Awaitable[Reach]]
"""Which of the endpoints that would be asked come to a handshake now, whatever they serve; but for those known."""
Asked = Callable[[Served], Mapping[str, Collection[Binding]]]
"""By endpoint that would be asked, as `Reach` has them: the bindings for which it would."""


Unasked = Callable[[Served], Collection[str]]
"""Names of what should be asked for and cannot be."""


async def nobody(_served: Served, /) -> Reach:
    """Where nobody looks before a change."""
    return NOT_LOOKED


async def unverified(_served: Served, /) -> Sequence[Shortfall]:
    """Where nobody asked for a proof."""
    return ()
