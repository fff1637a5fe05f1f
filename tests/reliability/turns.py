"""The oracle's part about turns: one rotation at a time per certificate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from tests.reliability.books import Books, numbered
from worker.sandbox.world import Change


@dataclass(frozen=True, slots=True)
class Turn:
    """One try to bring a leaf to its places: from its first change to its end, both as numbers of changes."""

    first: int
    last: int
    change: Change
    """The first one."""


def interleaved(books: Books) -> Iterator[str]:
    """5: no rotation of a certificate begins to change anything before the one that is under way has ended."""
    for certificate in books.places:
        for one, other in overlaps(books, certificate):
            yield f"two rotations at once: {certificate}: {one.change.place} and {other.change.place}"


def overlaps(books: Books, certificate: str) -> Iterator[tuple[Turn, Turn]]:
    """Turns of two leaves at once, but where a worker may have lost its place in the middle of the first of them.

    Such a worker has what it asked for done even when its heir is at work: what is under way cannot be called back.
    """
    if books.pauses is None:
        return
    mine, serials = list(numbered(books, certificate)), {one.serial for one in books.sent}
    turns = [turn for serial in serials for turn in _turns(books, serial, mine)]
    for one, other in combinations(sorted(turns, key=lambda turn: turn.first), 2):
        is_overlap = one.change.serial != other.change.serial and other.first <= one.last
        if is_overlap and not _is_excused(books, one.first, max(one.last, other.last)):
            yield one, other


def _turns(books: Books, serial: int, changes: Sequence[tuple[int, Change]]) -> Iterator[Turn]:
    """A leaf's changes, parted by the ends of its renewals' tries."""
    renewals = [one for one in books.sent if one.serial == serial]
    pauses = [(end, None) for one in renewals for end in (books.pauses or {}).get(one.renewal_id, ())]
    breaks = [(one.until, one.at) for renewal in renewals for one in books.broken_off.get(renewal.renewal_id, ())]
    begins = min(one.since for one in renewals)
    own = [(number, change) for number, change in changes if change.serial == serial]
    for end, broken_off_at in [*sorted([*pauses, *breaks], key=_end), (len(books.changes) + 1, None)]:
        part = [(number, change) for number, change in own if begins <= number < end]
        begins = max(begins, end)
        if part:
            # Where it was interrupted nobody knows when: then its last change is its end.
            is_known = broken_off_at is None and end <= len(books.changes)
            # It was under way when it was broken off, though all that it did may have had its effect later.
            first = part[0][0] if broken_off_at is None else min(part[0][0], broken_off_at)
            yield Turn(first, end - 1 if is_known else part[-1][0], part[0][1])


def _end(of_a_try: tuple[int, int | None]) -> tuple[int, bool]:
    """Of two at one moment the one that was broken off comes first: the other changed nothing."""
    end, broken_off_at = of_a_try
    return end, broken_off_at is None


def _is_excused(books: Books, first: int, last: int) -> bool:
    return any(one.begins <= last + 1 and one.ends >= first for one in books.unrest)
