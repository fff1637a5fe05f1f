"""A checked certificate with its key, ready to be stored at a gateway."""

from dataclasses import dataclass
from datetime import datetime

from worker.core.secret import Secret


@dataclass(frozen=True, slots=True)
class Leaf:
    """Facts of the end-entity certificate. Times are aware UTC datetimes in whole seconds."""

    serial_number: int
    fingerprint_sha256: str
    """Lower-case hex of the SHA-256 of the DER."""
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    """DNS names and IP addresses of the SAN, lower-case, in the certificate's order."""
    public_key_sha256: str | None = None
    """Lower-case hex of the SHA-256 of its public key (DER); None where nobody asked."""


@dataclass(frozen=True, slots=True)
class UsedKey:
    """Which certificate has which public key, both as in `Leaf`, and which renewal brought it."""

    fingerprint_sha256: str
    public_key_sha256: str
    renewal_id: str | None = None
    is_told: bool = True
    """As succeeded; otherwise it was put at some places."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Canonical PEM: the leaf, its intermediates (root stripped), and the key as unencrypted PKCS#8."""

    leaf: Leaf
    leaf_pem: str
    intermediates_pem: str
    private_key_pem: Secret
    has_rsa_key: bool
    """It was compared with the leaf, and not validated: that is slow. An EC key was, by being loaded."""
    warnings: tuple[str, ...] = ()
    """Reasons of the rules that it breaks and that only warn."""

    @property
    def chain_pem(self) -> str:
        """Leaf first, then the intermediates."""
        return self.leaf_pem + self.intermediates_pem
