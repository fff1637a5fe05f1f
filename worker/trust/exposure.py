"""Whether a message holds a private key in the open, in a form that can be told from anything else.

What this does not find may still be one: a number of 32 bytes is a key, and looks like nothing. What is kept is decided
by `keeping`, and not here.
"""

import base64
import re
from collections.abc import Iterator
from typing import Final

from worker.core.message import LONGEST_BODY

_DEEPEST: Final = 3
"""A signed message's payload, a field of it, and what that field is in base64 of."""
# How PKCS#8, SEC 1 and PKCS#1 begin in DER, and no certificate does: a sequence of a version and something else.
_DER: Final = re.compile(rb"\x30(?:[\x00-\x7f]|\x81.|\x82..)\x02\x01[\x00\x01][\x30\x04\x02]", re.DOTALL)
_ESCAPE: Final = re.compile(rb"(?<!\\)\\++(?:u00([0-9A-Fa-f]{2})|([nrt/]))")
_WHITE: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
# PEM, however it goes on; a JWK; and the field of the contract that is for nothing else.
_NAMED: Final = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ )?(?<!ENCRYPTED )PRIVATE KEY"
    rb'|"d"\s{0,9}:\s{0,9}"[A-Za-z0-9_-]{42,}"'
    rb'|"private_key_pem"\s{0,9}:\s{0,9}"[^"]'
)
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_SHORTEST: Final = 40
# Each run is tried where it begins and nowhere else: what is a letter too short is looked through once.
_ENCODED: Final = re.compile(
    rb"[A-Za-z0-9+/](?<![A-Za-z0-9+/].)(?<![A-Za-z0-9+/]\s.)(?:[A-Za-z0-9+/]|\s(?=[A-Za-z0-9+/])){%d,}+"
    rb"|[A-Za-z0-9_-](?<![A-Za-z0-9_-].)[A-Za-z0-9_-]{%d,}+" % (_SHORTEST - 1, _SHORTEST - 1),
    re.DOTALL,
)


def holds_open_key(body: bytes) -> bool:
    """Also one in base64, escaped, in UTF-16, or in what somebody has signed; nothing is inflated."""
    level = [body[: 2 * LONGEST_BODY]]
    for _ in range(_DEEPEST):
        level = [_unescaped(one) for one in level]
        if any(_NAMED.search(one) for one in level):
            return True
        level = [decoded for one in level for decoded in _decoded(one)]
        if any(_DER.match(one) for one in level):
            return True
    return False


def _unescaped(content: bytes) -> bytes:
    def undone(found: re.Match[bytes]) -> bytes:
        return bytes.fromhex(found[1].decode()) if found[1] else _WHITE.get(found[2], found[2])

    return _ESCAPE.sub(undone, content.replace(b"\0", b""))


def _decoded(content: bytes) -> Iterator[bytes]:
    for found in _ENCODED.finditer(content):
        run = found[0].translate(_STANDARD)
        # Lines of one text, or words of which one is a key.
        for text in {b"".join(run.split()), *run.split()}:
            if len(text) >= _SHORTEST:
                yield base64.b64decode(text[: len(text) // 4 * 4])
