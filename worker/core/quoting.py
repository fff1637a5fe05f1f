"""Whether what is told of a message quotes a private key: compared with those that the message brings itself."""

import base64
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, assert_never

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from worker.core.errors import RefusedError, unchained
from worker.core.key_kind import quickly_loaded
from worker.core.likeness import SHORTEST_CUT, cuts_in, encoded, looks_of
from worker.core.pem import LONGEST_KEY
from worker.core.secret import Secret

_BLOCK: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,20}PRIVATE KEY-----[^-]+-----END [A-Z0-9 ]{0,20}PRIVATE KEY-----")
_NAME: Final = "PRIVATE KEY"
_PART: Final = re.compile(r"[A-Za-z0-9]+")
_MOST_KEYS: Final = 8
_LONGEST_NUMBER: Final = 1024
"""Bytes: Python writes no longer ones in decimal, and no key that the worker takes has one."""
_BETWEEN: Final = "|"


def quotes(text: str, keys: Sequence[Secret]) -> bool:
    """Whether twelve letters or digits of one of them stand there: in PEM, base64, hex or decimal, however grouped."""
    return bool(those_quoting([text], keys))


def those_quoting(texts: Sequence[str | None], keys: Sequence[Secret]) -> Collection[str]:
    """Those of the texts of which that is so. The keys are read once, and only for texts that are long enough."""
    letters = {text: "".join(_PART.findall(text)) for text in texts if text is not None}
    long = {text: one for text, one in letters.items() if len(one) >= SHORTEST_CUT}
    looks = _BETWEEN.join(_look(one) for one in keys) if long else ""
    return {text for text, one in long.items() if cuts_in(one, looks) or cuts_in(one.lower(), looks)}


def _look(key: Secret) -> str:
    text = key.reveal()
    numbers = [one for one in _numbers(text) if len(one) <= _LONGEST_NUMBER]
    pieces = [piece for number in numbers for piece in (str(int.from_bytes(number)), *encoded(number))]
    return _BETWEEN.join(["".join(_PART.findall(piece)) for piece in pieces] + [looks_of([text])])


@unchained
def _numbers(text: str) -> Sequence[bytes]:
    """Those that nobody else has: of PEM, or of a JWK's `d`. None of what cannot be read.

    A file may have a curve, a blank line or a byte order mark in front of its key: each block is read by itself.
    """
    if blocks := _BLOCK.findall(text):
        return [number for block in blocks for number in _numbers_of(block)]
    with suppress(ValueError):
        return [base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))]
    return []


@unchained
def _numbers_of(block: str) -> Sequence[bytes]:
    try:
        key = quickly_loaded(block)
    except RefusedError:
        return []
    match key:
        case ec.EllipticCurvePrivateKey():
            return [_bytes_of(key.private_numbers().private_value)]
        case rsa.RSAPrivateKey():
            secret = key.private_numbers()
            return [_bytes_of(one) for one in (secret.d, secret.p, secret.q)]
        case unreachable:
            assert_never(unreachable)


def _bytes_of(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def keys_in(document: Mapping[str, object]) -> Sequence[Secret] | None:
    """The private keys in the open of a message, wherever they stand in it: blocks of PEM, and JWKs.

    None where there are more or longer ones than are compared with anything.
    """
    keys = tuple(islice(_keys(document), _MOST_KEYS + 1))
    return keys if len(keys) <= _MOST_KEYS and all(len(one.reveal()) <= LONGEST_KEY for one in keys) else None


def _keys(document: Mapping[str, object]) -> Iterator[Secret]:
    """All of the document is read: nothing harmless that is put in front hides what comes behind it."""
    waiting: list[object] = [document]
    while waiting:
        match waiting.pop():
            case str() as text if _NAME in text:
                yield from map(Secret, _BLOCK.findall(text.replace("\\n", "\n")))
            case list() as many:
                waiting += many
            case dict() as fields:
                if isinstance(number := fields.get("d"), str) and len(number) >= SHORTEST_CUT:
                    yield Secret(number)
                waiting += fields.values()
