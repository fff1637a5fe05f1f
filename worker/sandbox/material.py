"""What the simulated clouds check of a certificate and a key before they store them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

_LAST = datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Refusal:
    """By APIG's code."""

    code: str
    message: str


def judge(chain_pem: object, private_key_pem: object) -> x509.Certificate | Refusal:  # noqa: PLR0911 - one a code
    """The leaf, or why it is not taken."""
    if not isinstance(chain_pem, str) or not isinstance(private_key_pem, str):
        return Refusal("APIG.2012", "Invalid parameter value,parameterName:cert_content")
    if "ENCRYPTED" in private_key_pem:
        return Refusal("APIG.2105", "The private key is encrypted")
    try:
        chain = x509.load_pem_x509_certificates(chain_pem.encode())
        key = load_pem_private_key(private_key_pem.encode(), None, unsafe_skip_rsa_key_validation=True)
        leaf, san = chain[0], _san(chain[0])
        key_bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError):
        return Refusal("APIG.2106", "The certificate is invalid")
    if key_bytes != leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        return Refusal("APIG.2101", "The private key does not match the certificate")
    if leaf.not_valid_after_utc <= datetime.now(UTC):
        return Refusal("APIG.2102", "The certificate has expired")
    if not _is_in_order(chain):
        return Refusal("APIG.2104", "The certificate chain is out of order")
    if not san:
        return Refusal("APIG.2109", "The certificate has no SAN")
    return Refusal("APIG.3148", "The certificate expires too late") if leaf.not_valid_after_utc >= _LAST else leaf


def _is_in_order(chain: list[x509.Certificate]) -> bool:
    try:
        for issued, issuer in pairwise(chain):
            issued.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def names_of(leaf: x509.Certificate) -> list[str]:
    return _san(leaf)


def _san(leaf: x509.Certificate) -> list[str]:
    try:
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*san.get_values_for_type(x509.DNSName), *(str(one) for one in san.get_values_for_type(x509.IPAddress))]
