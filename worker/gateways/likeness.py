"""What a secret may look like where somebody quotes it: its own letters, and those of it in base64 and in hex."""

import base64
import binascii
import re
import string
from collections.abc import Iterable, Iterator
from typing import Final

from worker.core.errors import unchained

SHORTEST_CUT: Final = 12
"""Letters and digits. What is shorter tells little, and may stand there by chance."""
LETTERS: Final = frozenset(string.ascii_letters + string.digits)
_OTHERS: Final = re.compile(r"[^A-Za-z0-9]+")
_BLOCK: Final = re.compile(r"-----BEGIN [^-]{1,40}-----(.*?)-----END ", re.DOTALL)


def cuts_of(secrets: Iterable[str]) -> frozenset[str]:
    """Every cut of these, without what is between letters and digits: lines may be wrapped in any other way."""
    looks = {_OTHERS.sub("", look) for secret in secrets for look in _looks(secret)}
    return frozenset(
        look[first : first + SHORTEST_CUT] for look in looks for first in range(len(look) - SHORTEST_CUT + 1)
    )


def _looks(secret: str) -> Iterator[str]:
    yield from _encoded(secret.encode())
    blocks = _BLOCK.findall(secret)
    if not blocks:
        yield secret
    for block in blocks:
        # The words around it stand in every error about a key.
        body = "".join(block.split())
        yield body
        yield from _encoded(body.encode())
        yield from _encoded(_der(body))


@unchained
def _der(body: str) -> bytes:
    try:
        return base64.b64decode(body)
    except binascii.Error:
        return b""


def _encoded(content: bytes) -> Iterator[str]:
    """Base64 as it is when it stands at any place within something else; and hex in both cases."""
    yield from (base64.b64encode(content[skipped:]).decode() for skipped in range(3))
    yield from (content.hex(), content.hex().upper())
