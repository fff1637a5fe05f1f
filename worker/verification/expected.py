"""What shall be served, and how that is told from anything else; pure."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, Protocol

from cryptography import x509

from worker.core.bundle import Bundle, Leaf
from worker.core.names import uncovered
from worker.core.proof import Served
from worker.core.reading import UNREADABLE, leaf_facts

_OF_ANOTHER: Final = frozenset({"still_old", "other_certificate"})
_END: Final = "-----END CERTIFICATE-----\n"


class Expected(Protocol):
    """What shall be served."""

    def shortfall(self, served: Sequence[bytes], server_name: str) -> str | None:
        """The reason why `served`, in DER and leaf first, is not it, if there is one."""
        ...


@dataclass(frozen=True, slots=True)
class ExpectedLeaf:
    """A leaf that is known, with its chain; and how to recognise what was served before."""

    leaf: Leaf
    intermediates: Sequence[bytes]
    """DER, in the order they are sent."""
    previous_serials: Sequence[str]

    @classmethod
    def of(cls, bundle: Bundle, previous_serials: Sequence[str]) -> "ExpectedLeaf":
        blocks = [block + _END for block in bundle.intermediates_pem.split(_END) if block]
        return cls(bundle.leaf, tuple(map(ssl.PEM_cert_to_DER_cert, blocks)), previous_serials)

    def shortfall(self, served: Sequence[bytes], server_name: str) -> str | None:
        if not served:
            return "not_reachable"
        if sha256(served[0]).hexdigest() != self.leaf.fingerprint_sha256:
            return "still_old" if self._is_old(_facts(served[0]), server_name) else "other_certificate"
        # Clients need every intermediate; a root behind them does no harm.
        sent = served[1 : 1 + len(self.intermediates)]
        return None if list(sent) == list(self.intermediates) else "chain_incomplete"

    def _is_old(self, other: Leaf | None, server_name: str) -> bool:
        """The one that was replaced, or any that is older and for the same name."""
        if other is None:
            return False
        is_older = other.not_before < self.leaf.not_before and not uncovered([server_name], other.names)
        return str(other.serial_number) in self.previous_serials or is_older


@dataclass(frozen=True, slots=True)
class ExpectedExpiry:
    """A leaf that only the platform knows: for the name, valid, and expiring when the platform says, where it does."""

    expiries: frozenset[datetime]
    now: datetime

    def shortfall(self, served: Sequence[bytes], server_name: str) -> str | None:
        if not served:
            return "not_reachable"
        other = _facts(served[0])
        if other is None or uncovered([server_name], other.names):
            return "other_certificate"
        if other.not_after <= self.now or (self.expiries and other.not_after < min(self.expiries)):
            return "still_old"
        return None if not self.expiries or other.not_after in self.expiries else "other_certificate"


@dataclass(frozen=True, slots=True)
class ExpectedAgain:
    """What was served before, told by its serial number, or by its end where that is all its gateway tells."""

    serials: frozenset[str]
    expiries: frozenset[datetime]
    bad_serials: Sequence[str]
    """Of what was put in its place."""

    def shortfall(self, served: Sequence[bytes], server_name: str) -> str | None:
        if not served:
            return "not_reachable"
        other = _facts(served[0])
        if other is None or uncovered([server_name], other.names) or str(other.serial_number) in self.bad_serials:
            return "other_certificate"
        return (
            None
            if str(other.serial_number) in self.serials or other.not_after in self.expiries
            else "other_certificate"
        )


@dataclass(frozen=True, slots=True)
class ExpectedEither:
    """One of two; what is wrong is told of the first."""

    first: Expected
    second: Expected

    def shortfall(self, served: Sequence[bytes], server_name: str) -> str | None:
        told = self.first.shortfall(served, server_name)
        if told is None or self.second.shortfall(served, server_name) is None:
            return None
        return told


@dataclass(frozen=True, slots=True)
class OrAnothers:
    """At an endpoint where another certificate of the settings is served for the same name, too: that one is as good.

    Which it is nobody says here: any that is for the name, valid, and not what was replaced. So it is no proof of ours.
    """

    ours: Expected
    previous_serials: Sequence[str]
    now: datetime
    renewed: Leaf | None = None
    """Ours, where nobody knows what it replaced: what may be an older one of the same is no other's then."""

    @classmethod
    def of(cls, ours: Expected, served: Served, now: datetime) -> "OrAnothers":
        renewed = None if served.bundle is None or served.is_previous_known else served.bundle.leaf
        return cls(ours, served.previous, now, renewed)

    def shortfall(self, served: Sequence[bytes], server_name: str) -> str | None:
        told = self.ours.shortfall(served, server_name)
        return None if told in _OF_ANOTHER and self._is_anothers(_facts(served[0]), server_name) else told

    def _is_anothers(self, other: Leaf | None, server_name: str) -> bool:
        if other is None or uncovered([server_name], other.names) or str(other.serial_number) in self.previous_serials:
            return False
        return other.not_before <= self.now < other.not_after and not self._may_be_replaced(other)

    def _may_be_replaced(self, other: Leaf) -> bool:
        """A renewal seldom does more to the names than add some, or drop some."""
        if self.renewed is None or other.not_before > self.renewed.not_before:
            return False
        here, there = _names(self.renewed), _names(other)
        return here <= there or there <= here


def _names(leaf: Leaf) -> frozenset[str]:
    return frozenset(name.lower() for name in leaf.names)


def _facts(leaf: bytes) -> Leaf | None:
    """None for what strangers may serve, and cannot be read."""
    try:
        return leaf_facts(x509.load_der_x509_certificate(leaf))
    except UNREADABLE:
        return None


def expected_of(served: Served, now: datetime) -> Expected:
    """What clients shall be served."""
    if served.serials is not None and served.bundle is None:
        return ExpectedAgain(served.serials, served.expiries, served.previous)
    expiry = ExpectedExpiry(served.expiries, now)
    if served.bundle is None:
        return expiry
    leaf = ExpectedLeaf.of(served.bundle, served.previous)
    # Which endpoint is behind which deployment nobody says: where the platform holds some, either will do.
    return ExpectedEither(leaf, expiry) if served.expiries else leaf
