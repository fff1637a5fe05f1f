"""Bytes in one of the dresses that people and programs put them in, whoever's they are.

What a person needs of a cloud's text has none of these. It is starred whether the secret is ours to know or not, so no
secret has to be taken apart for it: each pattern goes through the text once.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from worker.core.pieces import everyday

Span = tuple[int, int]
_FEWEST: Final = 8
"""Bytes: fewer are less than the shortest cut of base64 that counts."""
_SHORTEST: Final = 20
"""Characters of one encoding."""
_RUN: Final = re.compile(r"[A-Za-z0-9+/=_-]{20,}")
_BETWEEN: Final = re.compile(r"[+/=_-]+")
_EVERYDAY: Final = everyday(32)
"""Ids of clouds are no longer."""
_NUMBER: Final = r"-?(?:0[xX][0-9A-Fa-f]{1,2}|[0-9]{1,3})"
_NUMBERS: Final = re.compile(rf"(?<![\w.:])(?:{_NUMBER}[\s,;]{{1,4}}){{{_FEWEST - 1},}}{_NUMBER}(?![\w.:])")
# Whatever stands between them, if it is the same everywhere: so it is not in dates, and not between addresses.
_MARKS: Final = r"[!-/:-@\[\]^-`{-~]{0,3}+"
_SPACE: Final = r"(?:\s|\\[nr]){0,8}+"
_ALIKE: Final = re.compile(
    rf"(?<![A-Za-z0-9]){_NUMBER}(?![A-Za-z0-9])({_MARKS}){_SPACE}({_MARKS}){_SPACE}{_NUMBER}"
    rf"(?:(?![A-Za-z0-9])\1{_SPACE}\2{_SPACE}{_NUMBER}){{{_FEWEST - 2},}}+(?![A-Za-z0-9])"
)
_GROUP: Final = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{2,19}={0,2}(?![A-Za-z0-9+/=])")
_HEX_GROUP: Final = re.compile(r"(?:0[xX])?(?:[0-9A-Fa-f]{2}){1,8}")
_WORD: Final = re.compile(r"(?:[A-Za-z]?[a-z]+|[A-Z]+)[0-9]{0,4}|[0-9]+")
_ADDRESS: Final = 32
"""Digits of hex that an IPv6 address has in groups of four."""
_ESCAPE: Final = re.compile(
    r"(?<!\\)\\++(?:x[0-9A-Fa-f]{2}|u00[0-9A-Fa-f]{2}|u\{[0-9A-Fa-f]{1,2}\}|[0-3][0-7]{2})"
    r"|%(?:25)*[0-9A-Fa-f]{2}|&(?:amp;)*\#(?:[0-9]{2,3}|[xX][0-9A-Fa-f]{2});"
)
_APART: Final = 8
"""Characters at most from one escape to the next: of random bytes every third is shown as what it is."""
_WORD_BEFORE: Final = re.compile(r"\S+\Z")
_WORD_AFTER: Final = re.compile(r"\S+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9]+")
_NEXT_LINE: Final = re.compile(r"=*(?:\s|\\[nr])+")
_BASE32: Final = re.compile(r"[A-Z2-7]{2,}|[a-z2-7]{2,}")
_DENSE: Final = re.compile(rf"[!-~]{{{_SHORTEST},}}")
_ODD: Final = re.compile(r"[!#$%&()*;<>?@^`{|}~\"'\[\]\\]")
_ONE_IN: Final = 10
"""Of the characters in base85, every fourth or fifth is odd."""
_SPACED: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9](?:[^A-Za-z0-9]{1,16}[A-Za-z0-9](?![A-Za-z0-9])){19,}+")
_UU_BEGINS: Final = re.compile(r"(?:^|(?<=[\s\"'(:=>])|(?<=\\n))[!-M]")
_UU: Final = re.compile(r"[ -`]*")
_UU_ODD: Final = re.compile(r"[!-/:-@\[-`]")
_UU_ONE_IN: Final = 8
"""Of its characters, nearly half are odd."""
_UU_STRANGE: Final = re.compile(r"[!\"#$%&'*+;<=>?@\[-`]")
_UU_FEWEST: Final = 3
"""Such as are in no address, and in no date."""
_UU_PADDING: Final = 3


def dressed(text: str) -> Iterator[Span]:
    """Where such bytes stand, in no order."""
    yield from _runs(text)
    yield from (found.span() for found in _NUMBERS.finditer(text))
    yield from (found.span() for found in _ALIKE.finditer(text))
    yield from _in_groups(text)
    yield from _escaped(text)
    yield from _base32(text)
    yield from _base85(text)
    yield from (found.span() for found in _SPACED.finditer(text))
    yield from _uuencoded(text)


def _runs(text: str) -> Iterator[Span]:
    """As long as a key's cut may be, and not of parts that can be read."""
    for run in _RUN.finditer(text):
        if not all(_EVERYDAY.fullmatch(part) for part in _BETWEEN.split(run[0])):
            yield run.span()


def _escaped(text: str) -> Iterator[Span]:
    def belongs(before: Span, one: Span) -> bool:
        return one[0] - before[1] <= _APART

    for group in _grouped((found.span() for found in _ESCAPE.finditer(text)), belongs):
        if len(group) >= _FEWEST:
            first, last = group[0][0], group[-1][1]
            before = _WORD_BEFORE.search(text, max(first - _APART, 0), first)
            after = _WORD_AFTER.match(text, last, last + _APART)
            yield before.start() if before else first, after.end() if after else last


def _in_groups(text: str) -> Iterator[Span]:
    """Hex or base64 in neighbours of one length."""

    def belongs(before: Span, one: Span) -> bool:
        return one[1] - one[0] == before[1] - before[0] and one[0] - before[1] <= _APART

    tokens = [found.span() for found in _GROUP.finditer(text)]
    in_hex = (one for one in tokens if _HEX_GROUP.fullmatch(text, *one))
    for group in _grouped(in_hex, belongs):
        if sum(last - first - 2 * (text[first + 1] in "xX") for first, last in group) > _ADDRESS:
            yield group[0][0], group[-1][1]
    for group in _grouped(tokens, belongs):
        unread = sum(not _WORD.fullmatch(text, *one) for one in group)
        if sum(last - first for first, last in group) > _ADDRESS and 2 * unread > len(group):
            yield group[0][0], group[-1][1]


def _base32(text: str) -> Iterator[Span]:
    """In one line or in many, which are words like others by themselves."""

    def belongs(before: Span, one: Span) -> bool:
        return text[before[0] : before[1]].isupper() == text[one[0] : one[1]].isupper() and bool(
            _NEXT_LINE.fullmatch(text, before[1], one[0])
        )

    tokens = (found.span() for found in _TOKEN.finditer(text) if _BASE32.fullmatch(found[0]))
    for group in _grouped(tokens, belongs):
        words = [text[first:last] for first, last in group]
        letters = sum(map(len, words))
        mixed = sum(len(word) for word in words if not word.isalpha() and not word.isdigit())
        if letters >= _SHORTEST and 2 * mixed >= letters:
            yield group[0][0], group[-1][1]


def _base85(text: str) -> Iterator[Span]:
    for run in _DENSE.finditer(text):
        odd = sum(1 for _ in _ODD.finditer(run[0]))
        if odd * _ONE_IN >= len(run[0]) and not all(_EVERYDAY.fullmatch(part) for part in _TOKEN.findall(run[0])):
            yield run.span()


def _uuencoded(text: str) -> Iterator[Span]:
    """Each line tells in its first letter how long it is. A short one counts behind another."""
    end = -1
    for found in _UU_BEGINS.finditer(text):
        first = found.start()
        if first < end:
            continue
        length = -(-(ord(found[0]) - ord(" ")) // 3) * 4
        line = text[first + 1 : min(_end_of_uu(text, first + 1), first + 1 + length)]
        is_next = end >= 0 and not text[end:first].strip("\\nr \n\r")
        if len(line) + _UU_PADDING >= length and (is_next or _is_uuencoded(line)):
            end = first + 1 + len(line)
            yield first, end


def _is_uuencoded(line: str) -> bool:
    odd, strange = len(_UU_ODD.findall(line)), len(_UU_STRANGE.findall(line))
    return len(line) + _UU_PADDING >= _SHORTEST and odd * _UU_ONE_IN >= len(line) and strange >= _UU_FEWEST


def _end_of_uu(text: str, first: int) -> int:
    found = _UU.match(text, first)
    return found.end() if found else first


def _grouped(spans: Iterable[Span], belongs: Callable[[Span, Span], bool]) -> Iterator[Sequence[Span]]:
    """Neighbours that belong together."""
    group: list[Span] = []
    for one in spans:
        if group and not belongs(group[-1], one):
            yield group
            group = []
        group.append(one)
    if group:
        yield group
