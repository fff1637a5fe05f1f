"""From what a stage has seen to the books that the oracle reads. The cloud's changes are the clock of both."""

import time
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tests.reliability.books import BrokenOff, Heard, Unrest
from worker.broker.base import Dead
from worker.sandbox.world import Change

_GIVEN_UP: Final = "returned"
"""The outcome of a try that goes back to the queue as it is: the calls that it had sent cannot be called back."""
_NEXT_TRY: Final = frozenset({"rotation.planned", "rotation.finished"})
_LOSSES: Final = frozenset({"consumer.disconnected", "consumer.refused"})


@dataclass(frozen=True, slots=True)
class Moments:
    """Times of the wall clock as numbers of changes; `slack`: seconds by which two clocks of a machine may differ."""

    at: Sequence[float]
    """Of each change, as seconds since the epoch."""
    slack: float

    @classmethod
    def of(cls, changes: Iterable[Change], *, slack: float = 0.005) -> "Moments":
        """`changes`: by the monotonic clock of this machine."""
        offset = time.time() - time.monotonic()
        return cls([change.at + offset for change in changes], slack)

    def by(self, at: float) -> int:
        """How many changes had come then, and those that may have."""
        return bisect_right(self.at, at + self.slack)

    def before(self, at: float) -> int:
        """How many changes had surely come then."""
        return bisect_right(self.at, at - self.slack)


def heard(event: Mapping[str, Any], moments: Moments) -> Heard:
    began, finished = (datetime.fromisoformat(event["data"][name]) for name in ("started_at", "finished_at"))
    return Heard(event, moments.by(finished.timestamp()), moments.before(began.timestamp()))


def pauses(lines: Iterable[Mapping[str, Any]], moments: Moments) -> Mapping[str, Sequence[int]]:
    """When each renewal's tries ended, by the workers' own logs; but for those that were broken off."""
    found: dict[str, list[int]] = {}
    for line in lines:
        if line.get("event") == "rotation.finished" and line.get("outcome") != _GIVEN_UP:
            found.setdefault(str(line.get("renewal_id")), []).append(moments.before(logged_at(line)))
    return found


def broken_off(lines: Iterable[Mapping[str, Any]], moments: Moments) -> Mapping[str, Sequence[BrokenOff]]:
    """Each renewal's tries that were, and when its next one planned what to change or ended without any plan."""
    found: dict[str, list[BrokenOff]] = {}
    given_up: dict[str, float] = {}

    def ended(renewal_id: str, until: int) -> None:
        at = moments.before(given_up.pop(renewal_id))
        found.setdefault(renewal_id, []).append(BrokenOff(at, max(at, until)))

    for line in sorted(lines, key=lambda line: str(line.get("timestamp"))):
        event, renewal_id = line.get("event"), str(line.get("renewal_id"))
        if event == "rotation.finished" and line.get("outcome") == _GIVEN_UP:
            given_up.setdefault(renewal_id, logged_at(line))
        elif event in _NEXT_TRY and renewal_id in given_up:
            ended(renewal_id, moments.before(logged_at(line)))
    for renewal_id in list(given_up):
        ended(renewal_id, len(moments.at) + 1)
    return found


def losses(lines: Iterable[Mapping[str, Any]], moments: Moments) -> Sequence[Unrest]:
    """When a worker noticed that it had lost its place."""
    times = [logged_at(line) for line in lines if line.get("event") in _LOSSES]
    return [unrest(at, at, moments) for at in times]


def unrest(begins: float, ends: float, moments: Moments) -> Unrest:
    return Unrest(moments.before(begins), moments.by(ends))


def logged_at(line: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(line["timestamp"])).timestamp()


def headers_of(dead: Sequence[Dead]) -> str:
    """What `dead list` shows of them."""
    return "\n".join(f"{one.id} {one.reason} {one.certificate} {one.renewal_id} {one.since}" for one in dead)
