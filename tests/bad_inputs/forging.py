"""Keys and certificates that no honest tool makes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.bad_inputs.der import NULL, bits, integer, octets, oid, parts_of, pem, sequence, tlv
from worker.sandbox.ca import Authority, Issued

SHA1_ECDSA: Final = sequence(oid("1.2.840.10045.4.1"))
SHA256_ECDSA: Final = sequence(oid("1.2.840.10045.4.3.2"))
MD5_RSA: Final = sequence(oid("1.2.840.113549.1.1.4"), NULL)
RSA: Final = sequence(oid("1.2.840.113549.1.1.1"), NULL)
RSA_PSS: Final = sequence(oid("1.2.840.113549.1.1.10"))
SAN: Final = "2.5.29.17"
_PRIME_FIELD: Final = oid("1.2.840.10045.1.1")
_DSA: Final = oid("1.2.840.10040.4.1")
_DH: Final = oid("1.2.840.113549.1.3.1")
_EC: Final = oid("1.2.840.10045.2.1")


@dataclass(frozen=True, slots=True)
class Numbers:
    """An RSA key, sound or not."""

    p: int
    q: int
    e: int
    d: int

    @property
    def n(self) -> int:
        return self.p * self.q

    @property
    def spki(self) -> bytes:
        return sequence(RSA, bits(sequence(integer(self.n), integer(self.e))))

    @property
    def der(self) -> bytes:
        exponents = (self.d % (self.p - 1), self.d % (self.q - 1), _inverse(self.q, self.p))
        return sequence(*map(integer, (0, self.n, self.e, self.d, self.p, self.q, *exponents)))

    @property
    def pem(self) -> str:
        return pem("RSA PRIVATE KEY", self.der)


def _inverse(value: int, modulus: int) -> int:
    try:
        return pow(value, -1, modulus)
    except ValueError:
        return 1


def of_size(size: int, e: int = 65537) -> Numbers:
    """Of factors that are merely odd: nothing that looks at sizes alone knows."""
    half = size // 2
    p, q = (3 << (size - half - 2)) + 1, (3 << (half - 2)) + 3
    return Numbers(p, q, e, 65537)


def mersenne(first: int, second: int) -> Numbers:
    """Of two of Mersenne's primes: sound, of any size, and endless work to be tested."""
    p, q = 2**first - 1, 2**second - 1
    return Numbers(p, q, 65537, pow(65537, -1, (p - 1) * (q - 1)))


@cache
def sound() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def numbers_of(key: rsa.RSAPrivateKey) -> Numbers:
    found = key.private_numbers()
    return Numbers(found.p, found.q, found.public_numbers.e, found.d)


def with_wrong_exponent() -> Numbers:
    good = numbers_of(sound())
    return Numbers(good.p, good.q, good.e, good.d + 2)


def with_exponent(e: int) -> Numbers:
    """The sound one's factors under another public exponent."""
    good = numbers_of(sound())
    return Numbers(good.p, good.q, e, e)


@cache
def composite() -> Numbers:
    """One of its two factors is a product itself; otherwise all is well with it."""
    while True:
        small = numbers_of(rsa.generate_private_key(65537, 1024))
        p, q = small.n, numbers_of(sound()).p
        order = (small.p - 1) * (small.q - 1) * (q - 1)
        if (p * q).bit_length() == 2048:
            return Numbers(p, q, 65537, pow(65537, -1, order))


@dataclass(frozen=True, slots=True)
class Forged:
    """A chain and a key as texts: what is in them may be unreadable."""

    chain_pem: str
    private_key_pem: str


def forged(
    issued: Issued, authority: Authority, change: Callable[[list[bytes]], list[bytes]], algorithm: bytes = SHA256_ECDSA
) -> Forged:
    """The leaf with other content, signed anew: `change` sees the parts of what is signed.

    They are version, serial number, algorithm, issuer, validity, subject, public key, extensions.
    """
    leaf = resigned(issued.certificate, authority.key, change, algorithm)
    return Forged(leaf + pem_of(authority.intermediate), issued.private_key_pem)


def resigned(
    certificate: x509.Certificate,
    key: PrivateKeyTypes,
    change: Callable[[list[bytes]], list[bytes]],
    algorithm: bytes = SHA256_ECDSA,
) -> str:
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    parts = list(parts_of(certificate.tbs_certificate_bytes))
    parts[2] = algorithm
    signed = sequence(*change(parts))
    digest = hashes.SHA1() if algorithm == SHA1_ECDSA else hashes.SHA256()  # noqa: S303 - to be refused
    return pem("CERTIFICATE", sequence(signed, algorithm, bits(key.sign(signed, ec.ECDSA(digest)))))


def unchanged(parts: list[bytes]) -> list[bytes]:
    return parts


def replaced(number: int, part: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda parts: [*parts[:number], part, *parts[number + 1 :]]


def with_key(spki: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return replaced(6, spki)


def with_extension(dotted: str, value: bytes, *, instead: bool = False) -> Callable[[list[bytes]], list[bytes]]:
    """One more extension; or one in place of that which is there."""

    def change(parts: list[bytes]) -> list[bytes]:
        known: Sequence[bytes] = parts_of(parts_of(parts[7])[0])
        kept = [one for one in known if not (instead and parts_of(one)[0] == oid(dotted))]
        more = sequence(oid(dotted), octets(value))
        return [*parts[:7], tlv(0xA3, sequence(*kept, more))]

    return change


def san(*names: bytes) -> bytes:
    return sequence(*(tlv(0x82, name) for name in names))


def spki_of(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pss(key: rsa.RSAPrivateKey) -> tuple[bytes, str]:
    """Public and private half under the name of RSA-PSS."""
    public = sequence(RSA_PSS, parts_of(spki_of(key.public_key()))[1])
    return public, pem("PRIVATE KEY", sequence(integer(0), RSA_PSS, octets(numbers_of(key).der)))


def dsa_of(size: int) -> str:
    """Of numbers that are merely odd; its public half is for the library to compute."""
    numbers = sequence(*map(integer, ((1 << size) - 24691, (1 << size - 1) + 1, 3)))
    return pem("PRIVATE KEY", sequence(integer(0), sequence(_DSA, numbers), octets(integer((1 << size - 2) + 1))))


def dh_of(size: int) -> str:
    numbers = sequence(integer((1 << size) - 24691), integer(2))
    return pem("PRIVATE KEY", sequence(integer(0), sequence(_DH, numbers), octets(integer((1 << size - 2) + 1))))


def explicit(key: PrivateKeyTypes) -> tuple[bytes, str]:
    """Both halves of a P-256 key whose curve is spelled out instead of named."""
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    x = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
    y = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5
    base = b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
    curve = sequence(octets((p - 3).to_bytes(32, "big")), octets(b.to_bytes(32, "big")))
    field = sequence(_PRIME_FIELD, integer(p))
    algorithm = sequence(_EC, sequence(integer(1), field, curve, octets(base), integer(order), integer(1)))
    point = parts_of(spki_of(key.public_key()))[1]
    secret = octets(key.private_numbers().private_value.to_bytes(32, "big"))
    private = sequence(integer(1), secret, tlv(0xA1, point))
    return sequence(algorithm, point), pem("PRIVATE KEY", sequence(integer(0), algorithm, octets(private)))


def pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def any_key_pem(key: PrivateKeyTypes) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
