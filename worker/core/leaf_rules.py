"""The rules about the first certificate. Each says what is wrong in words, or None."""

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from worker.core.case import Case
from worker.core.exposed import in_use
from worker.core.names import is_address, is_domain
from worker.core.reading import extension, public_bytes

_MOST_NAMES: Final = 200
_RSA_SIZES: Final = frozenset({2048, 3072, 4096})
_SMALLEST_EXPONENT: Final = 65537
_CURVES: Final = frozenset({"secp256r1", "secp384r1"})
_OPTIONAL_CURVE: Final = "secp521r1"
_END_OF_TIME: Final = datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)
# How many logs browsers ask for, by the certificate's lifetime: https://googlechrome.github.io/CertificateTransparency
_SHORT_LIFE: Final = timedelta(days=180)
_LOGS_OF_A_SHORT_LIFE: Final = 2
_LOGS_OF_A_LONG_LIFE: Final = 3


def is_a_ca(case: Case) -> str | None:
    constraints = extension(case.leaf, x509.BasicConstraints)
    return "the first certificate is a CA's" if constraints is not None and constraints.ca else None


def is_a_precertificate(case: Case) -> str | None:
    is_poisoned = extension(case.leaf, x509.PrecertPoison) is not None
    return "the first certificate is a precertificate" if is_poisoned else None


def is_for_no_server(case: Case) -> str | None:
    usage = extension(case.leaf, x509.ExtendedKeyUsage)
    if usage is None or ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        return "the certificate is not for TLS servers"
    return "the certificate is for any usage" if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage else None


def names_nothing(case: Case) -> str | None:
    return None if case.names else "the certificate names no domain in its SAN"


def names_too_much(case: Case) -> str | None:
    return f"the certificate has over {_MOST_NAMES} names" if len(case.names) > _MOST_NAMES else None


def has_unsound_names(case: Case) -> str | None:
    """An address among the DNS names is none: it would pass for one of the addresses."""
    san = extension(case.leaf, x509.SubjectAlternativeName)
    for number, name in enumerate([] if san is None else san.get_values_for_type(x509.DNSName), 1):
        if not is_domain(name.lower()) or is_address(name):
            return f"name {number} of the certificate is no domain name"
    return None


def has_a_strange_key(case: Case) -> str | None:
    if not isinstance(case.key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return "the key is neither RSA nor EC"
    # The library also reads RSA-PSS and curves that are spelled out, of which it keeps nothing; clients read the bytes.
    is_plain = public_bytes(case.leaf) in case.leaf.tbs_certificate_bytes
    return None if is_plain else "the key is written as no client takes it"


def has_a_weak_key(case: Case) -> str | None:
    is_weak = isinstance(case.key, rsa.RSAPublicKey) and case.key.key_size not in _RSA_SIZES
    return "the RSA key has not 2048, 3072 or 4096 bits" if is_weak else None


def has_a_weak_exponent(case: Case) -> str | None:
    if not isinstance(case.key, rsa.RSAPublicKey):
        return None
    exponent = case.key.public_numbers().e
    is_weak = exponent < _SMALLEST_EXPONENT or exponent % 2 == 0
    return "the RSA key's exponent is not odd and at least 65537" if is_weak else None


def is_on_another_curve(case: Case) -> str | None:
    if not isinstance(case.key, ec.EllipticCurvePublicKey):
        return None
    curve = case.key.curve.name
    is_known = curve in _CURVES or (case.rules.allow_p521 and curve == _OPTIONAL_CURVE)
    return None if is_known else "the EC key is not on P-256 or P-384, nor on P-521 where that is allowed"


def outlives_the_gateway(case: Case) -> str | None:
    is_late = case.rules.expires_before_2038 and case.leaf.not_valid_after_utc >= _END_OF_TIME
    return "the gateway takes no certificate that expires after 2038-01-19" if is_late else None


def demands_stapling(case: Case) -> str | None:
    demands = extension(case.leaf, x509.TLSFeature) is not None
    return "the certificate demands OCSP stapling, which the gateways do not promise" if demands else None


def is_not_logged(case: Case) -> str | None:
    """What is embedded is counted, by log, and not verified: which logs count changes from month to month."""
    stamps = extension(case.leaf, x509.PrecertificateSignedCertificateTimestamps)
    logs = {stamp.log_id for stamp in stamps or ()}
    is_short = case.leaf.not_valid_after_utc - case.leaf.not_valid_before_utc <= _SHORT_LIFE
    asked = _LOGS_OF_A_SHORT_LIFE if is_short else _LOGS_OF_A_LONG_LIFE
    return None if len(logs) >= asked else f"the certificate has the timestamps of {len(logs)} logs, not of {asked}"


def has_another_common_name(case: Case) -> str | None:
    common_names = case.leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    is_known = all(str(one.value).lower() in case.names for one in common_names)
    return None if is_known else "the certificate's common name is not among its names"


def keeps_its_key(case: Case) -> str | None:
    """The same certificate once more is no new one with an old key, unless that key is exposed.

    What this very renewal brought before, and brings again, is not what it was sent against.
    """
    told = [one for one in case.before if one.is_told]
    is_there = any(one.fingerprint_sha256 == case.used.fingerprint_sha256 for one in told)
    if is_there and not case.is_key_exposed:
        return None
    others = in_use(case.before, case.used) if case.is_key_exposed else told
    is_kept = any(one.public_key_sha256 == case.used.public_key_sha256 for one in others)
    return "the key is that of a certificate before" if is_kept else None
