"""What a secret may look like where somebody quotes it: its own letters, and those of it in base64 and in hex."""

import base64
import binascii
import re
import string
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from worker.core.errors import unchained

SHORTEST_CUT: Final = 12
"""Letters and digits. What is shorter tells little, and may stand there by chance."""
LETTERS: Final = frozenset(string.ascii_letters + string.digits)
_OTHERS: Final = bytes(one for one in range(256) if chr(one) not in LETTERS)
_STEP: Final = SHORTEST_CUT // 2
_BETWEEN: Final = "|"
_FEW: Final = 200
"""Steps to be looked for one by one. Of more it is quicker to go through the looks once."""
_BLOCK: Final = re.compile(r"-----BEGIN [^-]{1,40}-----(.*?)-----END ", re.DOTALL)


def looks_of(secrets: Iterable[str]) -> str:
    """All in one text, without what is between letters and digits: lines may be wrapped in any other way."""
    looks = {_letters_of(look) for secret in secrets for look in _looks(secret)}
    return _BETWEEN.join(looks)


def _letters_of(look: str) -> str:
    return look.encode().translate(None, _OTHERS).decode()


def cuts_in(letters: str, looks: str) -> Sequence[int]:
    """Where cuts of the looks begin in `letters`. It is the text that is taken apart, for looks are long.

    Every cut has a whole step of the text in it: of most refusals that is all that is looked for.
    """
    steps = {letters[first : first + _STEP] for first in range(0, len(letters) - _STEP + 1, _STEP)}
    if len(steps) <= _FEW and not any(step in looks for step in steps):
        return []
    found = set(_cuts(letters)).intersection(_cuts(looks))
    return [first for first, cut in enumerate(_cuts(letters)) if cut in found]


def _cuts(text: str) -> Iterator[str]:
    return (text[first : first + SHORTEST_CUT] for first in range(len(text) - SHORTEST_CUT + 1))


def _looks(secret: str) -> Iterator[str]:
    yield from encoded(secret.encode())
    blocks = _BLOCK.findall(secret)
    if not blocks:
        yield secret
    for block in blocks:
        # The words around it stand in every error about a key.
        body = "".join(block.split())
        yield body
        yield from encoded(body.encode())
        yield from encoded(_der(body))


@unchained
def _der(body: str) -> bytes:
    try:
        return base64.b64decode(body)
    except binascii.Error:
        return b""


def encoded(content: bytes) -> Iterator[str]:
    """Base64 as it is when it stands at any place within something else; and hex in both cases."""
    yield from (base64.b64encode(content[skipped:]).decode() for skipped in range(3))
    yield from (content.hex(), content.hex().upper())
