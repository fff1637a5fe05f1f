"""A private key in the open is seen in a message, however it is dressed; and in what holds none, none is seen."""

import base64
import json
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.trust.test_keeping import DER, HARMLESS, HIDDEN, PEM, sealed, signed, text64, url64
from tests.trust.test_opening import PLAIN, message
from worker.core.message import LONGEST_BODY
from worker.trust.exposure import holds_open_key

SEEN: Final = {
    *("plain", "escaped", "in UTF-16", "in base64", "cut short", "of no known type", "signed", "signed and escaped"),
    *("signed and said not to be", "PEM for a JWE", "base64 of PEM for a JWE", "five parts, of which one is PEM"),
    *("five parts, of which one is DER", "a key for the wrapped key", "a key for the tag", "a key for the header"),
    *("a key in the header", "a private point in the header", "PEM for a chain", "PEM behind a chain"),
    *("base64 of PEM for a chain", "base64 of DER for a chain", "base64 of PEM in an attribute"),
    *("base64 of DER in an attribute", "a JWK in an attribute", "base64 of DER for a file"),
    *("base64 of PEM for a file", "base64 of DER for a path", "a key for the signature", "a key for the signer's name"),
    *("a key for the audience", "a list for the audience", "DER in pieces in an attribute", "DER for an id"),
}
BODIES: Final = {
    "an unknown certificate": message(PLAIN, certificate="unknown").body,
    "no renewal at all": PEM.encode(),
    "DER in lines": b'{"key": "' + base64.encodebytes(DER).replace(b"\n", b"\\n") + b'"}',
    "escaped twice": json.dumps(json.dumps(PEM.replace("/", "\\/"))).encode(),
    "a JWE's place in a signed message": signed(message(sealed(text64(PEM))).body).body,
    "DER for URLs": json.dumps({"k": url64(DER)}).encode(),
    "behind another word": b'"the key ' + text64(DER).encode() + b'"',
    "behind many escapes": b"\\" * LONGEST_BODY + PEM.encode(),
    "behind many runs that are a letter too short": (b"A" * 39 + b"!") * 10 + text64(DER).encode(),
    "behind words and slashes": b"a b c! /" + b"A" * 38 + b"! " + text64(DER).encode(),
    "at the end of a long text": b" " * LONGEST_BODY + PEM.encode(),
}
KEYS: Final[list[ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey]] = [
    ec.generate_private_key(ec.SECP521R1()),
    ed25519.Ed25519PrivateKey.generate(),
    rsa.generate_private_key(65537, 2048),
    rsa.generate_private_key(65537, 4096),
]


@pytest.mark.parametrize("how", sorted(SEEN))
def test_a_key_in_the_open_is_seen_wherever_it_is(how: str) -> None:
    assert holds_open_key(HIDDEN[how].body)


@pytest.mark.parametrize("how", BODIES)
def test_it_is_seen_in_what_is_no_renewal_of_anybodys(how: str) -> None:
    assert holds_open_key(BODIES[how])


def test_keys_of_every_kind_and_form_are_seen() -> None:
    for key in KEYS:
        is_old = isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
        for form in (PrivateFormat.PKCS8, *[PrivateFormat.TraditionalOpenSSL] * is_old):
            assert holds_open_key(text64(key.private_bytes(Encoding.DER, form, NoEncryption())).encode())
            assert holds_open_key(key.private_bytes(Encoding.PEM, form, NoEncryption()))


@pytest.mark.parametrize("how", [*HARMLESS, "garbage", "nothing", "a number for a date", "a JWE in five lines"])
def test_none_is_seen_where_there_is_none(how: str) -> None:
    assert not holds_open_key({**HIDDEN, **HARMLESS}[how].body)


def test_a_key_that_is_encrypted_is_not_in_the_open() -> None:
    encrypted = KEYS[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a password"))
    assert not holds_open_key(encrypted)
