"""Every private key that is made in this process, and how it would look if it came out.

Imported before all else: whoever takes a generator by its name must take the one that notes.
"""

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, wraps
from typing import Final, ParamSpec, TypeVar

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey
P = ParamSpec("P")
K = TypeVar("K", bound=Key)
MADE: Final[list[Key]] = []
# Base64 of twelve bytes: a PEM line is four of them, so that a line cut in two still holds a whole one.
_PIECE: Final = 16
_MOST_OPEN_BYTES: Final = 4
_SUSPECT: Final = re.compile(rf"[A-Za-z0-9+/=_-]{{{_PIECE},}}")


def _noting(make: Callable[P, K]) -> Callable[P, K]:
    @wraps(make)
    def noted(*args: P.args, **kwargs: P.kwargs) -> K:
        MADE.append(key := make(*args, **kwargs))
        return key

    return noted


def _note_all() -> None:
    session = pytest.MonkeyPatch()  # never undone: it ends with the process
    for place in (ec, rsa):
        session.setattr(place, "generate_private_key", _noting(place.generate_private_key))
    for kind in (ed25519.Ed25519PrivateKey, x25519.X25519PrivateKey):
        session.setattr(kind, "generate", staticmethod(_noting(kind.generate)))


_note_all()


@lru_cache(maxsize=1024)
def traces(key: Key) -> frozenset[str]:
    """Of these texts none may be found: the secret numbers in each notation, pieces of PEM, and of PEM in base64."""
    numbers = _numbers(key)
    pieces = {piece for der in _ders(key) for piece in _pieces(der, numbers)}
    return frozenset([*pieces, *(text for one in pieces for text in _wrapped(one)), *_notations(numbers)])


def traces_of(private_key_pem: str) -> frozenset[str]:
    key = load_pem_private_key(private_key_pem.encode(), None)
    assert isinstance(key, Key)
    return traces(key)


def raw(key: Key) -> Iterable[bytes]:
    """As it would lie in a file that is no text."""
    return _numbers(key)


def is_told(text: str, keys: Iterable[Key]) -> bool:
    """Whether anything of these keys is in the text."""
    # Nearly all texts have no word that is long enough, and most of the others little of such.
    suspect = "\n".join(set(_SUSPECT.findall(text)))
    return bool(suspect) and any(trace in suspect for key in keys for trace in traces(key))


def _numbers(key: Key) -> list[bytes]:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return [key.private_numbers().private_value.to_bytes((key.key_size + 7) // 8, "big")]
    if isinstance(key, rsa.RSAPrivateKey):
        secret = key.private_numbers()
        numbers = (secret.d, secret.p, secret.q, secret.dmp1, secret.dmq1, secret.iqmp)
        return [one.to_bytes((one.bit_length() + 7) // 8, "big") for one in numbers]
    return [key.private_bytes_raw()]


def _ders(key: Key) -> Iterator[bytes]:
    yield key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        yield key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _pieces(der: bytes, numbers: Iterable[bytes]) -> Iterator[str]:
    """Of its base64, what is secret: the headers are alike in all keys, and the public half is in certificates."""
    text = base64.b64encode(der).decode()
    size = _PIECE // 4 * 3
    for number in numbers:
        begins = der.find(number)
        first, last = begins - _MOST_OPEN_BYTES, begins + len(number) + _MOST_OPEN_BYTES
        for at in range(0, len(der), size):
            if first <= at and at + size <= last:
                yield text[at // 3 * 4 :][:_PIECE]


def _wrapped(piece: str) -> Iterator[str]:
    """Inside base64, as a signed message's payload is: at each of the three places where it may begin."""
    for before in range(3):
        text = base64.b64encode(b"\0" * before + piece.encode()).decode()
        yield text[4 if before else 0 : (before + _PIECE) // 3 * 4]


def _notations(numbers: Iterable[bytes]) -> Iterator[str]:
    for number in numbers:
        yield from (number.hex(), number.hex().upper(), str(int.from_bytes(number, "big")))
        yield base64.b64encode(number).decode().rstrip("=")
        yield base64.urlsafe_b64encode(number).decode().rstrip("=")
