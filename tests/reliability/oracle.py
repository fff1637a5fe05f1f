"""The oracle: whether the promises were kept, read from the cloud's books, the broker's and the events alone.

It knows nothing of how the worker works. An answer is a list of broken promises in words; empty is good.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from tests.reliability.books import Books
from tests.reliability.holding import (
    gone_back,
    moved_on_unproven,
    not_served,
    stored_though_refused,
    superseded_by_nothing,
    unproven,
)
from tests.reliability.returning import falsely_told, leftovers, not_put_back
from tests.reliability.turns import interleaved

T = TypeVar("T")
_ENDS: Final = ("succeeded", "failed", "superseded")
_ROUNDING: Final = 1e-6
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=_-]{24,}")
_CANARY: Final = 24


def broken_promises(books: Books) -> list[str]:
    """All of them."""
    return [
        *unaccounted(books),
        *told_twice(books),
        *gone_back(books),
        *unproven(books),
        *moved_on_unproven(books),
        *superseded_by_nothing(books),
        *stored_though_refused(books),
        *not_served(books),
        *done_again(books),
        *interleaved(books),
        *over_limits(books),
        *leaked(books),
        *not_put_back(books),
        *falsely_told(books),
        *leftovers(books),
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


def done_again(books: Books) -> Iterator[str]:
    """4: nothing was stored where the very same was stored already."""
    yield from (f"done again: {what}" for what in books.in_vain)


def over_limits(books: Books) -> Iterator[str]:
    """6: no window of any length that was agreed holds more calls than it may."""
    times = sorted(call.at for call in books.calls)
    for calls, seconds in books.windows:
        if over := list(surplus(times, calls, seconds)):
            yield f"more than {calls} calls in {seconds:g} seconds, {len(over)} too many"


def surplus(times: Sequence[float], most: int, seconds: float) -> Iterator[float]:
    """The calls that a sliding window had no room for; `times` in their order."""
    return (later for earlier, later in zip(times, times[most:], strict=False) if later - earlier < seconds - _ROUNDING)


def leaked(books: Books) -> Iterator[str]:
    """7: no secret in anything that people read."""
    short = [secret for secret in books.secrets if len(secret) < _CANARY]
    pieces = {secret[:_CANARY] for secret in books.secrets if len(secret) >= _CANARY}
    for name, text in books.texts.items():
        if any(secret in text for secret in short) or _holds_any(text, pieces):
            yield f"a secret leaked into {name}"


def _holds_any(text: str, pieces: set[str]) -> bool:
    """As `in` for each of them, and quick where there are thousands."""
    runs = (found[0] for found in _BASE64.finditer(text))
    return any(run[at : at + _CANARY] in pieces for run in runs for at in range(len(run) - _CANARY + 1))


def canaries(private_key_pem: str) -> Sequence[str]:
    """Its lines but the first, whose beginning is the same for all keys of a kind."""
    return [line for line in private_key_pem.splitlines() if not line.startswith("-----")][1:]


def _by(items: Sequence[T], key: Callable[[T], str]) -> Mapping[str, list[T]]:
    groups: defaultdict[str, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups
