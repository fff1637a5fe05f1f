"""Certificates from PEM, read eagerly and once; and the facts of a leaf."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning

from worker.core.bundle import Leaf
from worker.core.errors import RefusedError
from worker.core.pem import certificates_in

V = TypeVar("V", bound=x509.ExtensionType)

# What cryptography raises besides ValueError for input that it cannot read. Where warnings are errors, it also raises
# what it warns of.
UNREADABLE: Final = (
    CryptographyDeprecationWarning,
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def chain_in(chain_pem: str) -> Sequence[x509.Certificate]:
    """The leaf and its intermediates, each once, without the root.

    Reasons: those of `pem.certificates_in`, and `cert_unparseable`.
    """
    return _without_root(_parsed(certificates_in(chain_pem)))


def all_readable(pem: str) -> str:
    """The text as nothing but certificates that can be read, of whatever kind. Errors as `chain_in`."""
    blocks = certificates_in(pem)
    for number, block in enumerate(blocks, 1):
        try:
            x509.load_pem_x509_certificate(block.encode())
        except UNREADABLE:
            raise RefusedError("cert_unparseable", f"chain: certificate {number} cannot be read") from None
    return "".join(blocks)


def _parsed(blocks: Sequence[str]) -> list[x509.Certificate]:
    """Every certificate, read eagerly: the library parses lazily, and would raise in the middle of a rule."""
    certificates = []
    for number, block in enumerate(blocks, 1):
        try:
            certificates.append(_read(block))
        except UNREADABLE:
            raise RefusedError("cert_unparseable", f"chain: certificate {number} cannot be read") from None
    return certificates


@lru_cache(maxsize=128)
def _read(block: str) -> x509.Certificate:
    """Kept, because most chains have the same few intermediates; what is in them is public."""
    certificate = x509.load_pem_x509_certificate(block.encode())
    _touch(certificate)
    return certificate


def _touch(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        _ = extension.value
    _ = (certificate.subject, certificate.issuer, certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    _ = (certificate.public_key(), certificate.serial_number, certificate.signature_hash_algorithm)
    if certificate.version is not x509.Version.v3 or certificate.serial_number <= 0:
        raise ValueError


def _without_root(chain: Sequence[x509.Certificate]) -> Sequence[x509.Certificate]:
    """Repeats and roots go: clients have the root, and the gateway does not want it. The leaf stays."""
    distinct = list(dict.fromkeys(chain))
    return [distinct[0], *(one for one in distinct[1:] if not _is_root(one))]


def _is_root(one: x509.Certificate) -> bool:
    """A CA may issue to itself under another key: then it has its own name, and another's signature."""
    if one.issuer != one.subject:
        return False
    try:
        one.verify_directly_issued_by(one)
    except InvalidSignature:
        return False
    except UNREADABLE:
        return True  # signed in a way of long ago
    return True


def extension(certificate: x509.Certificate, kind: type[V]) -> V | None:
    """None where the certificate has none of the kind."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def names_of(leaf: x509.Certificate) -> tuple[str, ...]:
    """DNS names, then addresses, lower-case."""
    san = extension(leaf, x509.SubjectAlternativeName)
    if san is None:
        return ()
    dns = [name.lower() for name in san.get_values_for_type(x509.DNSName)]
    return (*dns, *(str(address) for address in san.get_values_for_type(x509.IPAddress)))


def leaf_facts(leaf: x509.Certificate, *, public_key_sha256: str | None = None) -> Leaf:
    """Raises one of UNREADABLE."""
    return Leaf(
        serial_number=leaf.serial_number,
        fingerprint_sha256=sha256(leaf.public_bytes(Encoding.DER)).hexdigest(),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        names=names_of(leaf),
        public_key_sha256=public_key_sha256,
    )


def public_bytes(holder: PrivateKeyTypes | x509.Certificate) -> bytes:
    """The public key as DER."""
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
