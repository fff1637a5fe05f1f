"""The books of a soak: every promise, checked for each certificate from what the cloud, the broker and events tell."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import linear_regression
from typing import Any, Final

from tests.reliability.oracle import Books, Heard, Sent, superseded_by_nothing, told_twice, unaccounted
from tests.reliability.oracle import unproven as unproven_by
from tests.soak.estate import Item
from tests.soak.load import Order
from worker.sandbox.world import Call, Change

_STARTING: Final = 60.0
_LONG_ENOUGH: Final = 240.0
_MOST_GROWTH: Final = 1.0
"""Megabytes a minute; with `_MOST_GROWN` megabytes in all."""
_MOST_GROWN: Final = 10.0
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=_-]{24,}")
_CANARY: Final = 24
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ROUNDING: Final = 1e-6
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
    secrets: Collection[str] = ()
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
        *_never_back(evidence),
        *_proven(evidence),
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


def _sent(order: Order) -> Sent:
    return Sent(order.renewal_id, order.certificate, order.serial, order.begins, may_go_back=order.may_go_back)


def _accounted(evidence: Evidence) -> Iterator[Broken]:
    """1: attempted = succeeded + failed + superseded + dead, one outcome each."""
    orders = attempted(evidence)
    twice = {one.renewal_id for one in orders if one.accepted + one.in_doubt > 1}
    books = Books(
        [_sent(one) for one in orders],
        [Heard(event) for event in evidence.events],
        (),
        {},
        dead=evidence.dead,
        may_be_told_twice=twice,
    )
    for words in (*unaccounted(books), *told_twice(books)):
        yield _about(evidence, 1, words)


def _as_expected(evidence: Evidence) -> Iterator[Broken]:
    """1: what must be refused fails with its reason; all else fails only where a domain does not exist."""
    orders = {one.renewal_id: one for one in evidence.orders}
    sick = {item.name for item in evidence.items if item.must_fail}
    for event in evidence.events:
        order, told = orders.get(_cause(event)), event["data"]
        if order is None or told["outcome"] == "superseded":
            continue
        expected = order.reason or ("binding_failed" if order.certificate in sick else "")
        found = told["reason"] if told["outcome"] == "failed" else ""
        if found != expected:
            words = f"{told['outcome']} with {told['reason']} where {expected or 'success'} was due: {order.renewal_id}"
            yield _about(evidence, 1, words)


def _never_back(evidence: Evidence) -> Iterator[Broken]:
    """2: but for an urgent one that says so, and over nothing that was issued after it was sent."""
    back = {one.serial: one for one in evidence.orders if one.may_go_back}
    before: dict[str, Change] = {}
    for change in evidence.changes:
        old, urgent = before.get(change.place, change), back.get(change.serial)
        is_older = (change.not_before, change.not_after) < (old.not_before, old.not_after)
        if is_older and (urgent is None or (old.not_before > urgent.at and not _is_listener(change.place))):
            words = f"went back: {change.place} at {change.at:.3f} from {old.not_before} to {change.not_before}"
            yield Broken(2, words, _owner(evidence, change), _of_serial(evidence, change.serial), change.at)
        before[change.place] = change


def _is_listener(place: str) -> bool:
    """ByCloud tells no beginnings: whether what is stored was issued after the urgent one was sent nobody can know."""
    return "/sni=" in place


def _owner(evidence: Evidence, change: Change) -> str | None:
    return next((item.name for item in evidence.items if _is_of(item, change)), None)


def _is_of(item: Item, change: Change) -> bool:
    return change.place in item.places or change.certificate_id in item.stored


def _of_serial(evidence: Evidence, serial: int) -> str | None:
    return next((one.renewal_id for one in evidence.orders if one.serial == serial), None)


def _proven(evidence: Evidence) -> Iterator[Broken]:
    """3: `succeeded` is proven by what the cloud did until then, `superseded` by something newer."""
    whose = {item.name: item for item in evidence.items}
    for name, item in whose.items():
        sent = [_sent(one) for one in evidence.orders if one.certificate == name]
        changes = [change for change in evidence.changes if _is_of(item, change)]
        heard = [_heard(event, changes) for event in evidence.events if event["data"]["certificate"] == name]
        books = Books(sent, heard, changes, {name: item.places})
        for words in (*unproven_by(books), *superseded_by_nothing(books)):
            yield _about(evidence, 3, words)


def _heard(event: Mapping[str, Any], changes: Sequence[Change]) -> Heard:
    # To the millisecond, rounded down, as the event tells it.
    until = (datetime.fromisoformat(event["data"]["finished_at"]) + timedelta(milliseconds=2)).timestamp()
    return Heard(event, sum(change.at <= until for change in changes))


def _one_at_a_time(evidence: Evidence) -> Iterator[Broken]:
    """5: no two changes of one certificate are under way at once."""
    last: dict[str, Call] = {}
    for call in (one for one in evidence.calls if one.operation in _CHANGES):
        key = call.path.split("/certificates/")[1].partition("/")[0]
        before = last.get(key)
        last[key] = call
        if before is None or "modify_certificate" not in (call.operation, before.operation):
            continue  # a rotation attaches in several calls
        if call.at - before.at < evidence.latency * _MOST_OF:
            words = f"two changes at once: {before.operation} and {call.operation} at {call.at:.3f} of {key}"
            owner = next((item.name for item in evidence.items if key in item.stored), None)
            yield Broken(5, words, owner, at=call.at)


def cloud_of(call: Call) -> str:
    return "iam" if call.path.startswith("/v3/") else "bycloud" if call.path.startswith("/v1/") else "apig"


def _within_limits(evidence: Evidence) -> Iterator[Broken]:
    """6: as counted at the cloud."""
    for cloud, windows in evidence.windows.items():
        calls = [call for call in evidence.calls if cloud_of(call) == cloud]
        for most, seconds in windows:
            over = list(_over(sorted(call.at for call in calls), most, seconds))
            if over:
                words = f"{cloud}: more than {most} calls in {seconds:g} seconds, {len(over)} calls too many"
                yield Broken(6, words, at=over[0])


def _over(times: Sequence[float], most: int, seconds: float) -> Iterator[float]:
    """The calls that a sliding window had no room for."""
    return (later for earlier, later in zip(times, times[most:], strict=False) if later - earlier < seconds - _ROUNDING)


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
    pieces = {secret[:_CANARY] for secret in evidence.secrets if len(secret) >= _CANARY}
    for name, text in evidence.texts.items():
        for run in _BASE64.findall(text):
            if any(run[at : at + _CANARY] in pieces for at in range(len(run) - _CANARY + 1)):
                yield Broken(7, f"a secret leaked into {name}")
                break


def canaries(private_key_pem: str) -> Sequence[str]:
    """Its lines but the first, whose beginning is the same for all keys of a kind."""
    return [line for line in private_key_pem.splitlines() if not line.startswith("-----")][1:]


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


def _about(evidence: Evidence, promise: int, words: str) -> Broken:
    """With the renewal that the words name."""
    found = _ID.search(words)
    order = next((one for one in evidence.orders if found and one.renewal_id == found[0]), None)
    return Broken(promise, words, order.certificate if order else None, found[0] if found else None)


def outcomes(evidence: Evidence) -> Counter[str]:
    """The last word on each renewal."""
    last = {_cause(event): event["data"]["outcome"] for event in evidence.events}
    return Counter(last.get(one.renewal_id, "nothing was heard of") for one in attempted(evidence))
