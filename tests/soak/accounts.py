"""The books of a soak: every promise, checked for each certificate from what the cloud, the broker and events tell."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import linear_regression
from typing import Any, Final

from tests.reliability.books import Books, Heard, Sent
from tests.reliability.holding import (
    not_served,
    steps_back,
    stored_though_refused,
    superseded_by_nothing,
    unproven,
)
from tests.reliability.oracle import leaked, surplus, told_twice, unaccounted
from tests.reliability.turns import overlaps
from tests.soak.estate import Item
from tests.soak.load import Order
from tests.support import ledger
from tests.support.ledger import Moments
from worker.sandbox.world import Call, Change

_STARTING: Final = 60.0
_LONG_ENOUGH: Final = 240.0
_MOST_GROWTH: Final = 1.0
"""Megabytes a minute; with `_MOST_GROWN` megabytes in all."""
_MOST_GROWN: Final = 10.0
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SLACK: Final = 0.01
"""Seconds by which the clocks of cloud, workers and events may differ; a rotation looks for longer before it acts."""
_IN_FLIGHT: Final = 5.0
"""Seconds for which a call may be under way: then its caller has given up."""
_MOST_OF: Final = 0.8
"""What the cloud waits is not counted by the same clock to the last millisecond."""
_CHANGES: Final = frozenset({"modify_certificate", "attach_domains"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is known when all is quiet. Times of calls and changes as seconds since the epoch."""

    orders: Sequence[Order]
    items: Sequence[Item]
    events: Sequence[Mapping[str, Any]]
    """Oldest first."""
    dead: Mapping[str, str]
    """Renewal → reason."""
    calls: Sequence[Call]
    changes: Sequence[Change]
    waiting: int = 0
    """Messages that are ready or parked."""
    windows: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    """By cloud."""
    latency: float = 0.0
    in_vain: Sequence[tuple[float, str]] = ()
    """When, and in which stored certificate, the very same was stored once more."""
    unrest: Sequence[tuple[float, float]] = ()
    """Between which times a worker may have lost its place."""
    secrets: Sequence[str] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    memory: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    """By process: seconds of its life, megabytes."""
    complaints: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that was not kept."""

    promise: int
    words: str
    certificate: str | None = None
    renewal_id: str | None = None
    at: float | None = None
    """When, where one moment matters."""


def broken(evidence: Evidence) -> list[Broken]:
    """All of them, by the number of the promise."""
    return [
        *_accounted(evidence),
        *_as_expected(evidence),
        *_of_each(evidence),
        *_done_again(evidence),
        *_one_at_a_time(evidence),
        *_within_limits(evidence),
        *_secret(evidence),
        *_quiet(evidence),
    ]


def attempted(evidence: Evidence) -> Sequence[Order]:
    """What the broker took, or may have taken and then did."""
    told = {_cause(event) for event in evidence.events}
    return [one for one in evidence.orders if one.accepted or one.renewal_id in told]


def _cause(event: Mapping[str, Any]) -> str:
    return str(event["data"]["renewal_id"])


def _sent(order: Order, moments: Moments) -> Sent:
    since = moments.before(order.at.timestamp())
    fields = (order.renewal_id, order.certificate, order.serial, order.begins, order.undo_until, since)
    return Sent(*fields, must_fail=bool(order.reason))


def _accounted(evidence: Evidence) -> Iterator[Broken]:
    """1: attempted = succeeded + failed + superseded + dead, one outcome each."""
    books = Books(
        [_sent(one, Moments((), 0.0)) for one in attempted(evidence)],
        [Heard(event) for event in evidence.events],
        (),
        {},
        dead=evidence.dead,
        may_be_told_twice=_sent_twice(evidence),
    )
    for words in (*unaccounted(books), *told_twice(books)):
        yield _about(evidence, 1, words)


def _sent_twice(evidence: Evidence) -> Collection[str]:
    return {one.renewal_id for one in attempted(evidence) if one.accepted + one.in_doubt > 1}


def _as_expected(evidence: Evidence) -> Iterator[Broken]:
    """1: what must be refused fails with its reason; all else fails only where a domain does not exist."""
    orders = {one.renewal_id: one for one in evidence.orders}
    sick = {item.name for item in evidence.items if item.must_fail}
    for event in evidence.events:
        order, told = orders.get(_cause(event)), event["data"]
        if order is None or (told["outcome"] == "superseded" and not order.reason):
            continue
        expected = order.reason or ("binding_failed" if order.certificate in sick else "")
        found = told["reason"] if told["outcome"] == "failed" else ""
        if found != expected:
            words = f"{told['outcome']} with {told['reason']} where {expected or 'success'} was due: {order.renewal_id}"
            yield _about(evidence, 1, words)


def _of_each(evidence: Evidence) -> Iterator[Broken]:
    """2 to 5, for one certificate after the other."""
    lines = _lines(evidence)
    for item in evidence.items:
        mine = list(changes_of(evidence, item))
        moments = Moments([change.at for change in mine], _SLACK)
        books = _books(evidence, item, mine, moments)
        strays = [ledger.unrest(begins - _IN_FLIGHT, ends, moments) for begins, ends in evidence.unrest]
        pauses, broken_off = ledger.pauses(lines, moments), ledger.broken_off(lines, moments)
        unrest = [*strays, *ledger.losses(lines, moments)]
        books = replace(books, pauses=pauses, broken_off=broken_off, unrest=unrest)
        yield from _never_back(evidence, item, books)
        proven = (*unproven(books), *superseded_by_nothing(books), *stored_though_refused(books), *not_served(books))
        yield from (_about(evidence, 3, words, item) for words in proven)
        for one, other in overlaps(books, item.name):
            words = f"two rotations at once: {one.change.place} and {other.change.place} at {other.change.at:.3f}"
            yield Broken(5, words, item.name, _of_serial(evidence, other.change.serial), other.change.at)


def _books(evidence: Evidence, item: Item, changes: Sequence[Change], moments: Moments) -> Books:
    told = [event for event in evidence.events if event["data"]["certificate"] == item.name]
    sent = [_sent(one, moments) for one in evidence.orders if one.certificate == item.name]
    half_done = {one.renewal_id for one in sent if item.must_fail and not one.must_fail}
    heard = [ledger.heard(event, moments) for event in told]
    return Books(sent, heard, changes, {item.name: item.places}, half_done=half_done)


def _never_back(evidence: Evidence, item: Item, books: Books) -> Iterator[Broken]:
    """2: but for an urgent one that says so, and over nothing that was issued after it was sent."""
    for old, new in steps_back(books):
        words = f"went back: {new.place} at {new.at:.3f} from {old.not_before} to {new.not_before}"
        yield Broken(2, words, item.name, _of_serial(evidence, new.serial), new.at)


def changes_of(evidence: Evidence, item: Item) -> Iterator[Change]:
    """At its places, of what was stored for it in the beginning, and of what was sent for it."""
    serials = {one.serial for one in evidence.orders if one.certificate == item.name}
    for change in evidence.changes:
        if change.place in item.places or change.certificate_id in item.stored or change.serial in serials:
            yield change


def _lines(evidence: Evidence) -> Sequence[Mapping[str, Any]]:
    """Of the workers' logs."""
    texts = (text for name, text in evidence.texts.items() if name.startswith("worker-"))
    return [line for text in texts for line in map(fields_of, text.splitlines()) if line.get("timestamp")]


def fields_of(line: str) -> Mapping[str, Any]:
    """Of a line of a log; none where it is none."""
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _of_serial(evidence: Evidence, serial: int) -> str | None:
    return next((one.renewal_id for one in evidence.orders if one.serial == serial), None)


def _done_again(evidence: Evidence) -> Iterator[Broken]:
    """4: nothing was stored where the very same could be seen, but by a worker that may have lost its place."""
    for at, key in evidence.in_vain:
        if not any(begins - _IN_FLIGHT <= at <= ends + _IN_FLIGHT for begins, ends in evidence.unrest):
            yield Broken(4, f"done again: {key} at {at:.3f}", _owner(evidence, key), at=at)


def _owner(evidence: Evidence, certificate_id: str) -> str | None:
    return next((item.name for item in evidence.items if certificate_id in item.stored), None)


def _one_at_a_time(evidence: Evidence) -> Iterator[Broken]:
    """5: no two changes of one stored certificate are under way at once."""
    last: dict[str, Call] = {}
    for call in (one for one in evidence.calls if one.operation in _CHANGES):
        key = call.path.split("/certificates/")[1].partition("/")[0]
        before = last.get(key)
        last[key] = call
        if before is None or "modify_certificate" not in (call.operation, before.operation):
            continue  # a rotation attaches in several calls
        if call.at - before.at < evidence.latency * _MOST_OF:
            words = f"two changes at once: {before.operation} and {call.operation} at {call.at:.3f} of {key}"
            yield Broken(5, words, _owner(evidence, key), at=call.at)


def cloud_of(call: Call) -> str:
    return "iam" if call.path.startswith("/v3/") else "bycloud" if call.path.startswith("/v1/") else "apig"


def _within_limits(evidence: Evidence) -> Iterator[Broken]:
    """6: as counted at the cloud."""
    for cloud, windows in evidence.windows.items():
        calls = [call for call in evidence.calls if cloud_of(call) == cloud]
        for most, seconds in windows:
            over = list(surplus(sorted(call.at for call in calls), most, seconds))
            if over:
                words = f"{cloud}: more than {most} calls in {seconds:g} seconds, {len(over)} calls too many"
                yield Broken(6, words, at=over[0])


def fullest(evidence: Evidence) -> Mapping[str, int]:
    """Most calls in any window of each length, as counted at the cloud."""
    found = {}
    for cloud, windows in evidence.windows.items():
        times = sorted(call.at for call in evidence.calls if cloud_of(call) == cloud)
        for calls, seconds in windows:
            most = start = 0
            for end, at in enumerate(times):
                while times[start] <= at - seconds:
                    start += 1
                most = max(most, end - start + 1)
            found[f"{cloud} in {seconds:g} s, of {calls}"] = most
    return found


def _secret(evidence: Evidence) -> Iterator[Broken]:
    """7: no key, password or token in anything that people read."""
    books = Books((), (), (), {}, secrets=evidence.secrets, texts=evidence.texts)
    yield from (Broken(7, words) for words in leaked(books))


def slopes(memory: Mapping[str, Sequence[tuple[float, float]]]) -> Mapping[str, float]:
    """Megabytes a minute, of processes that lived long enough, without their beginning."""
    found = {}
    for name, samples in memory.items():
        late = [(at / 60, size) for at, size in samples if at > _STARTING]
        if samples and samples[-1][0] >= _LONG_ENOUGH:
            found[name] = linear_regression(*zip(*late, strict=True)).slope
    return found


def _quiet(evidence: Evidence) -> Iterator[Broken]:
    """8: empty queues, workers that end when told, memory that does not grow."""
    if evidence.waiting:
        yield Broken(8, f"{evidence.waiting} messages are left")
    yield from (Broken(8, words) for words in evidence.complaints)
    for name, slope in slopes(evidence.memory).items():
        grown = evidence.memory[name][-1][1] - evidence.memory[name][0][1]
        if slope > _MOST_GROWTH and grown > _MOST_GROWN:
            yield Broken(8, f"{name} grows by {slope:.1f} MB a minute")


def _about(evidence: Evidence, promise: int, words: str, item: Item | None = None) -> Broken:
    """With the renewal that the words name."""
    found = _ID.search(words)
    order = next((one for one in evidence.orders if found and one.renewal_id == found[0]), None)
    name = order.certificate if order else item.name if item else None
    return Broken(promise, words, name, found[0] if found else None)


def outcomes(evidence: Evidence) -> Counter[str]:
    """The last word on each renewal."""
    last = {_cause(event): event["data"]["outcome"] for event in evidence.events}
    return Counter(last.get(one.renewal_id, "nothing was heard of") for one in attempted(evidence))
