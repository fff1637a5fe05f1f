"""What a cloud says in its errors, made fit to be shown: bounded, printable, without our secrets."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Final

from worker.core import events
from worker.core.likeness import LETTERS, SHORTEST_CUT, cuts_in, looks_of
from worker.gateways.dresses import Span, dressed

_SHORTEST_PIECE: Final = 8
"""What is shorter may be an everyday word."""
_LONGEST_TEXT: Final = 6000
_INVISIBLE: Final = "Cf"
# What stands for one character, however often it was escaped: in JSON, in URLs, in HTML, which leaves letters alone.
_CHARACTER: Final = re.compile(
    r"(?<!\\)\\++(?:[ux]00(?P<json>[0-9A-Fa-f]{2})|x(?P<byte>[0-9A-Fa-f]{2})|u\{0*(?P<braced>[0-9A-Fa-f]{2})\}"
    r"|(?P<octal>[01][0-7]{2})|[nrtbf])|%(?:25)*(?P<url>[0-9A-Fa-f]{2})"
    r"|&(?:amp;)*(?:\#0*(?P<decimal>[0-9]{2,3});|\#[xX]0*(?P<html>[0-9A-Fa-f]{2});|\#?[A-Za-z0-9]{2,6};)"
    r"|(?P<plain>[A-Za-z0-9])"
)
_BASES: Final = {"json": 16, "byte": 16, "braced": 16, "octal": 8, "url": 16, "decimal": 10, "html": 16}
_WORD: Final = re.compile(r"[A-Za-z0-9+/=_%&#;\\-]+")


def shown(text: str, secrets: Iterable[str], pieces: Iterable[str] = ()) -> str:
    """At most 200 printable characters of `text`, with stars where it quotes a secret, or may do so.

    A secret is starred however short it is. `pieces` are words of which only some are secrets: the long ones count. Of
    both, every cut of twelve letters and digits is starred, in whatever lines, escapes or base64 or hex it stands; and
    every long run that is no name or id, and bytes in any other dress, for they may be a secret of another call.
    """
    text, secrets = _plain(text[:_LONGEST_TEXT])[:_LONGEST_TEXT], tuple(map(_plain, secrets))
    words = [_plain(piece) for piece in pieces if len(piece) >= _SHORTEST_PIECE]
    spans = [*_quoted(text, {*_whole(secrets), *words}), *_cut(text, (*secrets, *words)), *dressed(text)]
    return events.shown(_starred(text, sorted(spans)))


def _plain(text: str) -> str:
    """Letters of other widths and shapes as those that they stand for, and nothing that cannot be seen."""
    if text.isascii():
        return text
    return "".join(one for one in unicodedata.normalize("NFKC", text) if unicodedata.category(one) != _INVISIBLE)


def _whole(secrets: Iterable[str]) -> Iterator[str]:
    for secret in secrets:
        if secret:
            yield secret
        yield from (line for line in secret.splitlines() if len(line) >= _SHORTEST_PIECE)


def _quoted(text: str, hidden: Iterable[str]) -> Iterator[Span]:
    for one in hidden:
        start = text.find(one)
        while start >= 0:
            yield start, start + len(one)
            start = text.find(one, start + len(one))


def _cut(text: str, secrets: Iterable[str]) -> Iterator[Span]:
    """From the beginning of the word in which a cut begins to the end of that in which it ends."""
    letters, places = _letters(text)
    words = [found.span() for found in _WORD.finditer(text)]
    for first in cuts_in(letters, looks_of(secrets)):
        last = first + SHORTEST_CUT - 1
        yield _word_at(places[first], words)[0], _word_at(places[last], words)[1]


def _word_at(place: Span, words: Sequence[Span]) -> Span:
    return words[bisect_right(words, place[0], key=itemgetter(0)) - 1]


def _letters(text: str) -> tuple[str, list[Span]]:
    """The letters and digits alone, escapes undone, and where each of them stands."""
    letters, places = [], []
    for found in _CHARACTER.finditer(text):
        kind = found.lastgroup or ""
        letter = chr(int(found[kind], _BASES[kind])) if kind in _BASES else found["plain"]
        if letter in LETTERS:
            letters.append(letter)
            places.append(found.span())
    return "".join(letters), places


def _starred(text: str, spans: Iterable[Span]) -> str:
    """`spans` in order."""
    told, end = [], 0
    for first, last in spans:
        if first >= end:
            told += [text[end:first], "***"]
        end = max(end, last)
    return "".join((*told, text[end:]))
