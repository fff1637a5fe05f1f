"""The oracle: whether the promises were kept, read from the cloud's books, the broker's and the events alone.

It knows nothing of how the worker works. An answer is a list of broken promises in words; empty is good.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from worker.sandbox.world import Call, Change

T = TypeVar("T")
_ENDS: Final = ("succeeded", "failed", "superseded")
_ROUNDING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Sent:
    """A renewal that the broker accepted. `serial` is that of the leaf which it is to bring everywhere."""

    renewal_id: str
    certificate: str
    serial: int
    begins: datetime
    """Of the leaf."""
    may_go_back: bool = False
    """An urgent one that says so."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An outcome event. `changes`: how many changes of the world came before it; None where nobody looked."""

    event: Mapping[str, Any]
    changes: int | None = None

    @property
    def renewal_id(self) -> str:
        return str(self.event["data"]["renewal_id"])

    @property
    def outcome(self) -> str:
        return str(self.event["data"]["outcome"])


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that is known at the end."""

    sent: Sequence[Sent]
    heard: Sequence[Heard]
    changes: Sequence[Change]
    places: Mapping[str, Collection[str]]
    """By certificate, its bindings, named as changes name them."""
    waiting: Collection[str] = ()
    """Renewals still ready or parked."""
    dead: Mapping[str, str] = field(default_factory=dict)
    """Renewal → reason."""
    calls: Sequence[Call] = ()
    """Of one process and one account."""
    windows: Sequence[tuple[int, float]] = ()
    in_vain: Sequence[str] = ()
    """Operations that stored what was stored there already."""
    may_be_told_twice: Collection[str] = ()
    """Renewals whose message came again after their event: a second look may see another world."""
    secrets: Sequence[str] = ()
    texts: Sequence[str] = ()
    """All that may be read by people: events, reasons, logs."""


def broken_promises(books: Books) -> list[str]:
    """All of them."""
    return [
        *unaccounted(books),
        *told_twice(books),
        *gone_back(books),
        *unproven(books),
        *done_again(books),
        *superseded_by_nothing(books),
        *over_limit(books),
        *leaked(books),
    ]


def unaccounted(books: Books) -> Iterator[str]:
    """1: attempted = succeeded + failed + superseded + waiting + dead; a dead one was told, and says why."""
    attempted, told = {one.renewal_id for one in books.sent}, {one.renewal_id for one in books.heard}
    accounted = told | set(books.waiting) | set(books.dead)
    yield from (f"lost: {one}" for one in attempted - accounted)
    yield from (f"never sent: {one}" for one in accounted - attempted)
    yield from (f"told and still waiting: {one}" for one in told & set(books.waiting) - set(books.may_be_told_twice))
    yield from (f"dead without a word: {one}" for one in set(books.dead) - told)
    yield from (f"dead without a reason: {one}" for one, reason in books.dead.items() if not reason)
    failed = {one.renewal_id for one in books.heard if one.outcome == "failed"}
    kept = set(books.dead) | set(books.waiting) | set(books.may_be_told_twice)
    yield from (f"failed and not kept: {one}" for one in failed - kept)


def told_twice(books: Books) -> Iterator[str]:
    """1: one outcome each; a repeat carries the same id."""
    for renewal_id, heard in _by(books.heard, lambda one: one.renewal_id).items():
        ids = {(one.event["id"], one.outcome) for one in heard}
        outcomes = [one.outcome for one in heard]
        if len(ids) != len(set(outcomes)) or not set(outcomes) <= set(_ENDS):
            yield f"ids that do not follow from the outcome: {renewal_id}"
        if len(ids) > 1 and renewal_id not in books.may_be_told_twice:
            yield f"told twice: {renewal_id}: {', '.join(outcomes)}"


def gone_back(books: Books) -> Iterator[str]:
    """2: no place ever holds an older certificate than before, unless a renewal allowed that."""
    allowed = {one.serial for one in books.sent if one.may_go_back}
    for place, changes in _by(books.changes, lambda one: one.place).items():
        newest = changes[0]
        for change in changes:
            is_older = (change.not_before, change.not_after) < (newest.not_before, newest.not_after)
            if is_older and change.serial not in allowed:
                yield f"went back: {place}"
            newest = change


def unproven(books: Books) -> Iterator[str]:
    """3: before a `succeeded`, every binding held its leaf, all at once, each with its flag as it was."""
    sent = {one.renewal_id: one for one in books.sent}
    for heard in books.heard:
        wanted = sent.get(heard.renewal_id)
        if heard.outcome == "succeeded" and wanted is not None:
            places = books.places[wanted.certificate]
            if not was_everywhere(wanted.serial, places, books.changes[: heard.changes]):
                yield f"success without proof: {heard.renewal_id}"


def superseded_by_nothing(books: Books) -> Iterator[str]:
    """3, the other way: whoever is told `superseded` had a newer certificate in its way."""
    sent = {one.renewal_id: one for one in books.sent}
    for heard in books.heard:
        mine = sent.get(heard.renewal_id)
        if heard.outcome == "superseded" and mine is not None and _newest(books, mine.certificate) <= mine.begins:
            yield f"superseded by nothing: {heard.renewal_id}"


def _newest(books: Books, certificate: str) -> datetime:
    """Of all that this certificate ever was or was to become."""
    places = books.places[certificate]
    known = [one.begins for one in books.sent if one.certificate == certificate]
    return max([*known, *(change.not_before for change in books.changes if change.place in places)])


def was_everywhere(serial: int, places: Collection[str], changes: Sequence[Change]) -> bool:
    """Whether there was a moment at which all places held it."""
    first: dict[str, Change] = {}
    at: dict[str, Change] = {}
    for change in changes:
        if change.place in places:
            flag = first.setdefault(change.place, change).client_verification
            at[change.place] = change
            is_here = change.serial == serial and change.client_verification == flag
            if is_here and all(_holds(at.get(one), first.get(one), serial) for one in places):
                return True
    return False


def _holds(now: Change | None, before: Change | None, serial: int) -> bool:
    if now is None or before is None:
        return False
    return now.serial == serial and now.client_verification == before.client_verification


def over_limit(books: Books) -> Iterator[str]:
    """6: no window of any length that was agreed holds more calls than it may."""
    times = sorted(call.at for call in books.calls)
    for calls, seconds in books.windows:
        pairs = zip(times, times[calls:], strict=False)
        if any(later - earlier < seconds - _ROUNDING for earlier, later in pairs):
            yield f"more than {calls} calls in {seconds:g} seconds"


def leaked(books: Books) -> Iterator[str]:
    """7: no secret in anything that people read."""
    if any(secret in text for text in books.texts for secret in books.secrets):
        yield "a secret leaked"


def done_again(books: Books) -> Iterator[str]:
    """4: nothing was stored where the very same was stored already."""
    yield from (f"done again: {operation}" for operation in books.in_vain)


def _by(items: Sequence[T], key: Callable[[T], str]) -> Mapping[str, list[T]]:
    groups: defaultdict[str, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups
