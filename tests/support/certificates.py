"""Certificates as CAs issue them, and as none does: the parts that the sandbox's CA does not offer."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from ssl import DER_cert_to_PEM_cert
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from worker.core.bundle import Bundle
from worker.core.certificate import Rules, check
from worker.core.errors import RefusedError
from worker.core.secret import Secret
from worker.sandbox.ca import Authority, Issued

AUTHORITY = Authority.create()
STRANGER = Authority.create("Stranger")
NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = ["a.example.com", "*.b.example.com"]
SOUND = AUTHORITY.issue(NAMES)
RSA = rsa.generate_private_key(65537, 2048)
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def checked(
    issued: Issued, *, before: Any = (), is_key_exposed: bool = False, renewal_id: str | None = None, **rules: Any
) -> Bundle:
    key, asked = Secret(issued.private_key_pem), Rules(**rules)
    return check(
        issued.chain_pem, key, now=NOW, rules=asked, before=before, is_key_exposed=is_key_exposed, renewal_id=renewal_id
    )


def refused(issued: Issued, **rules: Any) -> str:
    """The reason. Neither the text nor what caused it shows the certificate."""
    with pytest.raises(RefusedError) as told:
        checked(issued, **rules)
    assert "BEGIN" not in told.value.message
    assert told.value.__cause__ is None
    return told.value.reason


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def signed(
    algorithm: Any = None,
    *,
    key: Any = AUTHORITY.key,
    without: tuple[type, ...] = (),
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    subject: x509.Name | None = None,
) -> Issued:
    """The sound one, signed in another way, or with other extensions (each with whether it is critical)."""
    sound = SOUND.certificate
    ends = (sound.not_valid_before_utc, sound.not_valid_after_utc)
    builder = x509.CertificateBuilder(
        sound.issuer, sound.subject if subject is None else subject, sound.public_key(), sound.serial_number, *ends
    )
    for extension in sound.extensions:
        if not isinstance(extension.value, without):
            builder = builder.add_extension(extension.value, extension.critical)
    for value, is_critical in extra:
        builder = builder.add_extension(value, is_critical)
    return chained(builder.sign(key, algorithm))


def chained(certificate: x509.Certificate | str) -> Issued:
    """In the place of the sound one."""
    text = certificate if isinstance(certificate, str) else pem(certificate)
    parsed = SOUND.certificate if isinstance(certificate, str) else certificate
    return replace(SOUND, certificate=parsed, chain_pem=text + pem(AUTHORITY.intermediate))


def timestamps(*logs: int) -> x509.UnrecognizedExtension:
    """Signed certificate timestamps (RFC 6962) of these logs, as a certificate carries them; nobody signed them."""
    each = [b"\0" + bytes([log]) * 32 + bytes(8) + bytes(2) + b"\x04\x03" + b"\0\x01\0" for log in logs]
    listed = b"".join(len(one).to_bytes(2, "big") + one for one in each)
    return x509.UnrecognizedExtension(_SCTS, _der(0x04, len(listed).to_bytes(2, "big") + listed))


def patched(certificate: x509.Certificate, old: bytes, new: bytes) -> str:
    """The certificate with other bytes in it, under its own signature algorithm, signed anew by `AUTHORITY`."""
    tbs = certificate.tbs_certificate_bytes
    assert tbs.count(old) == 1
    assert len(old) == len(new)
    tbs = tbs.replace(old, new)
    assert isinstance(AUTHORITY.key, ec.EllipticCurvePrivateKey)
    signature = AUTHORITY.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    ecdsa_sha256 = bytes.fromhex("300a06082a8648ce3d040302")
    return _assembled(tbs, ecdsa_sha256, signature)


def signed_by_rsa(digest: hashes.HashAlgorithm) -> str:
    """A certificate whose signature, of PKCS #1 with this digest, is right: the library makes none with weak ones."""
    numbers = {"sha1": 5, "md5": 4}
    oid, other = (bytes.fromhex("300d06092a864886f70d0101") + bytes([one]) + b"\x05\0" for one in (11, 0))
    weak = other[:-3] + bytes([numbers[digest.name]]) + b"\x05\0"
    tbs = signed(hashes.SHA256(), key=RSA).certificate.tbs_certificate_bytes
    assert tbs.count(oid) == 1
    tbs = tbs.replace(oid, weak)
    return _assembled(tbs, weak, RSA.sign(tbs, padding.PKCS1v15(), digest))


def _assembled(tbs: bytes, algorithm: bytes, signature: bytes) -> str:
    return DER_cert_to_PEM_cert(_der(0x30, tbs + algorithm + _der(0x03, b"\0" + signature)))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
