"""How much of what a message says about itself is neither words nor numbers nor ids: a key in pieces is."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

FEWEST: Final = 81
"""Characters: the shortest key in PKCS#8 with its public part has more in base64."""
_PART: Final = re.compile(r"[A-Za-z0-9]+")
_FINGERPRINT: Final = 64
"""Characters in hex."""
# What ids are made of: a UUID, or a digest in hex; and words, some of which are numbered.
_ID: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9a-f]{32,64}|[0-9A-F]{32,64})(?![A-Za-z0-9])"
)
_WORD: Final = re.compile(r"(?:[a-z]{3,24}(?:[A-Z][a-z]{2,})*|(?:[A-Z][a-z]{2,})+|[A-Z]{3,24})[0-9]{0,4}|[a-z]{2}")
_MOST_UNREAD: Final = 44
"""Characters: a digest in base64 has as many, and so has the number that is a P-256 key, which nothing tells apart."""
_LONGEST: Final = 400
_MOST: Final = 500


def everyday(longest: int) -> re.Pattern[str]:
    """Words, names, dates, counters, and ids in hex of so many characters: what people and paths consist of."""
    return re.compile(
        r"[a-z]{0,24}(?:[A-Z][a-z]{2,})*|[A-Z]{1,24}|[a-z0-9]{1,12}|[A-Z0-9]{1,12}|[0-9]{1,19}"
        rf"|[0-9a-f]{{1,{longest}}}|[0-9A-F]{{1,{longest}}}"
    )


_EVERYDAY: Final = everyday(_FINGERPRINT)


def odd_in(text: str) -> int:
    """Of its letters and digits, those in parts that nobody reads."""
    return sum(len(part) for part in _PART.findall(text[:_LONGEST]) if not _EVERYDAY.fullmatch(part))


def unread_in(text: str) -> int:
    """Of its letters and digits, those that are neither words nor one id: in whatever groups they stand."""
    parts = _PART.findall(_ID.sub(" ", text, count=1))
    return sum(len(part) for part in parts if not _WORD.fullmatch(part))


def may_be_key(text: str) -> bool:
    """Whether more than an id is there that nobody reads."""
    return unread_in(text) > _MOST_UNREAD


def is_in_pieces(texts: Iterable[str]) -> bool:
    """Whether such parts stand in several of them, and are as long as a key together."""
    counts = [count for count in map(odd_in, texts) if count]
    return len(counts) > 1 and sum(counts) >= FEWEST


def texts_in(document: Mapping[str, object]) -> Sequence[str] | None:
    """Each once, names included, without its material. None where there are more than are looked at."""
    texts = tuple(islice(_texts(document), _MOST + 1))
    return texts if len(texts) <= _MOST else None


def _texts(document: Mapping[str, object]) -> Iterator[str]:
    seen = set[str]()
    waiting: list[object] = [document]
    while waiting:
        match waiting.pop():
            case str() as text if text not in seen:
                seen.add(text)
                yield text
            case list() as many:
                waiting += many
            case dict() as fields:
                waiting += [one for name, value in fields.items() if name != "material" for one in (name, value)]
