"""The rules that a certificate must pass before any cloud hears of it: ordered pure checks, each with a reason."""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from worker.core.bundle import Bundle, Leaf
from worker.core.clock import SKEW
from worker.core.errors import RefusedError
from worker.core.names import is_address, is_domain
from worker.core.pem import certificates_in, private_key_in
from worker.core.secret import Secret

V = TypeVar("V", bound=x509.ExtensionType)

_MOST_NAMES: Final = 200
_RSA_SIZES: Final = frozenset({2048, 3072, 4096})
_SMALLEST_EXPONENT: Final = 65537
_CURVES: Final = frozenset({"secp256r1", "secp384r1"})
_HASHES: Final = frozenset({"sha256", "sha384", "sha512"})
_STAGING: Final = ("(staging)", "fake le", "pebble", "happy hacker")
_END_OF_TIME: Final = datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)
# What cryptography raises besides ValueError for input that it cannot read. Where warnings are errors, it also raises
# what it warns of.
UNREADABLE: Final = (
    CryptographyDeprecationWarning,
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is asked beyond the fixed rules. `roots` None: no path to a root is asked for. Seconds."""

    roots: Sequence[x509.Certificate] | None = field(default=None, repr=False)
    allow_staging: bool = False
    minimum_remaining: float = 0.0
    expires_before_2038: bool = False
    store: Store | None = field(init=False, repr=False, compare=False)
    """The roots as the verifier takes them, made once: there may be hundreds."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "store", Store(list(self.roots)) if self.roots else None)


@dataclass(frozen=True, slots=True)
class _Case:
    """What every rule looks at. `chain` is the leaf and its intermediates, without roots and repeats."""

    chain: Sequence[x509.Certificate]
    names: Sequence[str]
    """Of the leaf, as its facts have them."""
    now: datetime
    rules: Rules
    path: Sequence[x509.Certificate] = ()
    """From the leaf up to a trusted root, every signature in it verified; empty where there is none."""

    @property
    def leaf(self) -> x509.Certificate:
        return self.chain[0]


def check(chain_pem: str, private_key_pem: Secret, *, now: datetime, rules: Rules) -> Bundle:
    """The certificate and its key in canonical form, after every rule; RefusedError with the first rule's reason.

    The key is compared with the leaf, not validated: for a crafted one that takes 45 seconds, and is done elsewhere.
    """
    chain = _without_root(_parsed(certificates_in(chain_pem)))
    names = _names(chain[0])
    case = _Case(chain, names, now, rules, _verified(chain, names, now, rules))
    for rule in _RULES:
        rule(case)
    key = _matching_key(private_key_in(private_key_pem.reveal()), case.leaf)
    return Bundle(
        leaf=leaf_facts(case.leaf),
        leaf_pem=_pem(case.leaf),
        intermediates_pem="".join(_pem(one) for one in case.chain[1:]),
        private_key_pem=key,
        has_rsa_key=isinstance(case.leaf.public_key(), rsa.RSAPublicKey),
    )


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


def _verified(
    chain: Sequence[x509.Certificate], names: Sequence[str], now: datetime, rules: Rules
) -> Sequence[x509.Certificate]:
    """The path that the library's verifier finds; why there is none, the rules tell in our own words."""
    if rules.store is None or not names:
        return ()
    try:
        # Clocks differ: what begins within the skew that the rules allow has begun.
        begun = max(now, *(min(one.not_valid_before_utc, now + SKEW) for one in chain))
        policy = PolicyBuilder().store(rules.store).time(begun).max_chain_depth(4)
        return policy.build_server_verifier(_verifiable_name(names)).verify(chain[0], list(chain[1:]))
    except (VerificationError, *UNREADABLE):
        return ()


def _touch(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        _ = extension.value
    _ = (certificate.subject, certificate.issuer, certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    _ = (certificate.public_key(), certificate.serial_number, certificate.signature_hash_algorithm)
    if certificate.version is not x509.Version.v3 or certificate.serial_number <= 0:
        raise ValueError


def _without_root(chain: Sequence[x509.Certificate]) -> Sequence[x509.Certificate]:
    """Repeats and self-issued roots go: clients have the root, and the gateway does not want it. The leaf stays."""
    distinct = list(dict.fromkeys(chain))
    return [distinct[0], *(one for one in distinct[1:] if one.issuer != one.subject)]


def _is_no_ca(case: _Case) -> None:
    constraints = _extension(case.leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise RefusedError("leaf_is_ca", "the first certificate is a CA's")
    if _extension(case.leaf, x509.PrecertPoison) is not None:
        raise RefusedError("precert", "the first certificate is a precertificate")


def _serves_tls(case: _Case) -> None:
    usage = _extension(case.leaf, x509.ExtendedKeyUsage)
    if usage is None or ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        raise RefusedError("eku_no_serverauth", "the certificate is not for TLS servers")


def _has_sound_names(case: _Case) -> None:
    if not case.names:
        raise RefusedError("no_san", "the certificate names no domain in its SAN")
    if len(case.names) > _MOST_NAMES:
        raise RefusedError("too_many_sans", f"the certificate has over {_MOST_NAMES} names")
    dns = _extension(case.leaf, x509.SubjectAlternativeName)
    for number, name in enumerate([] if dns is None else dns.get_values_for_type(x509.DNSName), 1):
        if not is_domain(name.lower()):
            raise RefusedError("domain_syntax", f"name {number} of the certificate is no domain name")


def _has_strong_key(case: _Case) -> None:
    key = case.leaf.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in _RSA_SIZES:
            raise RefusedError("weak_key", "the RSA key has not 2048, 3072 or 4096 bits")
        exponent = key.public_numbers().e
        if exponent < _SMALLEST_EXPONENT or exponent % 2 == 0:
            raise RefusedError("rsa_exponent", "the RSA key's exponent is not odd and at least 65537")
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in _CURVES:
            raise RefusedError("ec_curve", "the EC key is not on P-256 or P-384")
    else:
        raise RefusedError("key_type", "the key is neither RSA nor EC")


def _is_signed_well(case: _Case) -> None:
    for number, certificate in enumerate(case.chain, 1):
        algorithm = certificate.signature_hash_algorithm
        if algorithm is None or algorithm.name not in _HASHES:
            raise RefusedError("sig_hash", f"certificate {number} is not signed with SHA-256, SHA-384 or SHA-512")


def _is_valid_now(case: _Case) -> None:
    for number, certificate in enumerate(case.chain, 1):
        if certificate.not_valid_before_utc > case.now + SKEW:
            raise RefusedError("not_yet_valid", f"certificate {number} is not valid yet")
        if certificate.not_valid_after_utc <= case.now:
            raise RefusedError("expired", f"certificate {number} has expired")
    end = min(certificate.not_valid_after_utc for certificate in case.chain)
    if end - case.now < timedelta(seconds=case.rules.minimum_remaining):
        raise RefusedError("expires_too_soon", "the certificate expires sooner than the settings allow")
    if case.rules.expires_before_2038 and case.leaf.not_valid_after_utc >= _END_OF_TIME:
        raise RefusedError("provider_limits", "the gateway takes no certificate that expires after 2038-01-19")


def _is_linked(case: _Case) -> None:
    """Each certificate was issued by the next one."""
    if tuple(case.path[: len(case.chain)]) == tuple(case.chain):
        return
    for number, (issued, issuer) in enumerate(zip(case.chain, case.chain[1:], strict=False), 1):
        if issued.issuer != issuer.subject:
            known = any(issued.issuer == other.subject for other in case.chain)
            reason = "chain_order" if known or len(case.chain) > number + 1 else "chain_extra"
            raise RefusedError(reason, f"certificate {number} was not issued by the one behind it")
        try:
            issued.verify_directly_issued_by(issuer)
        except (InvalidSignature, *UNREADABLE):
            raise RefusedError("chain_signature", f"certificate {number}: its issuer's signature is wrong") from None


def _is_from_production(case: _Case) -> None:
    if case.rules.allow_staging:
        return
    for certificate in case.chain:
        for attribute in [*certificate.issuer, *certificate.subject]:
            if str(attribute.value).lower().startswith(_STAGING):
                raise RefusedError("staging_issuer", "the issuer is a CA for tests")


def _is_staple_free(case: _Case) -> None:
    if _extension(case.leaf, x509.TLSFeature) is not None:
        raise RefusedError("must_staple", "the certificate demands OCSP stapling, which the gateways do not promise")


def _leads_to_a_root(case: _Case) -> None:
    roots = case.rules.roots
    if roots is None or case.path:
        return
    last = case.chain[-1]
    if roots and not any(root.subject == last.issuer for root in roots):
        reason = "chain_incomplete" if len(case.chain) == 1 else "chain_untrusted"
        raise RefusedError(reason, f"the issuer of certificate {len(case.chain)} is neither sent nor trusted")
    raise RefusedError("chain_untrusted", "the chain does not verify up to a trusted root")


def _verifiable_name(names: Sequence[str]) -> x509.DNSName | x509.IPAddress:
    """Any of the leaf's own names that the verifier can take: it knows no wildcard and no underscore."""
    name = next((name for name in names if "_" not in name), names[0])
    if is_address(name):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name.replace("*.", "any.", 1))


_RULES: Final[Sequence[Callable[[_Case], None]]] = (
    _is_no_ca,
    _serves_tls,
    _has_sound_names,
    _has_strong_key,
    _is_signed_well,
    _is_valid_now,
    _is_linked,
    _is_from_production,
    _is_staple_free,
    _leads_to_a_root,
)


def _matching_key(block: str, leaf: x509.Certificate) -> Secret:
    """The key as unencrypted PKCS#8, if it is the leaf's.

    An RSA key is loaded without its slow validation, and nothing is computed with it: it is compared and written again.
    """
    try:
        key = load_pem_private_key(block.encode(), None, unsafe_skip_rsa_key_validation=True)
    except UNREADABLE:
        raise RefusedError("key_unparseable", "key: cannot be read") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise RefusedError("key_type", "key: neither RSA nor EC")
    if _public_bytes(key) != _public_bytes(leaf):
        raise RefusedError("key_mismatch", "key: is not the certificate's")
    try:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    except UNREADABLE:
        raise RefusedError("key_unparseable", "key: cannot be written again") from None
    return Secret(pem.decode())


def _public_bytes(holder: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | x509.Certificate) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _extension(certificate: x509.Certificate, kind: type[V]) -> V | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    """DNS names, then addresses, lower-case."""
    san = _extension(leaf, x509.SubjectAlternativeName)
    if san is None:
        return ()
    dns = [name.lower() for name in san.get_values_for_type(x509.DNSName)]
    return (*dns, *(str(address) for address in san.get_values_for_type(x509.IPAddress)))


def leaf_facts(leaf: x509.Certificate) -> Leaf:
    """Raises one of UNREADABLE."""
    return Leaf(
        serial_number=leaf.serial_number,
        fingerprint_sha256=sha256(leaf.public_bytes(Encoding.DER)).hexdigest(),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        names=_names(leaf),
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
