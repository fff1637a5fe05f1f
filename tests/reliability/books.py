"""What the oracle reads: who sent what, who heard what, what the clouds hold, and what is left at the end.

The journal of the cloud's changes is its clock: a moment is a number of changes that had come before it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from worker.sandbox.world import Call, Change


@dataclass(frozen=True, slots=True)
class Sent:
    """A renewal that the broker accepted. `serial` is that of the leaf which it is to bring everywhere."""

    renewal_id: str
    certificate: str
    serial: int
    begins: datetime
    """Of the leaf."""
    undo_until: datetime | None = None
    """Of an urgent one that may go back: what was issued until then it may undo."""
    since: int = 0
    """The moment of its first sending."""
    must_fail: bool = False
    """It must be refused: what it brings is to be stored nowhere."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An outcome event, when it was told, and when the rotation that it tells of began: None where nobody looked."""

    event: Mapping[str, Any]
    changes: int | None = None
    began: int = 0

    @property
    def renewal_id(self) -> str:
        return str(self.event["data"]["renewal_id"])

    @property
    def outcome(self) -> str:
        return str(self.event["data"]["outcome"])

    @property
    def reason(self) -> str:
        return str(self.event["data"].get("reason"))


@dataclass(frozen=True, slots=True)
class Unrest:
    """Between these moments a worker may have lost its place: what it had in hand may be somebody else's too."""

    begins: int
    ends: int


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """A try that was given up at this moment. What it had sent by then may have had its effect later, but not after
    `until`: then the next try of that renewal had made its plan, or had ended without one."""

    at: int
    until: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a proof came to, and when: of the leaf that was looked for at so many bindings."""

    serial: int
    moment: int
    bindings: int
    is_good: bool


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
    """Of one account."""
    windows: Sequence[tuple[int, float]] = ()
    in_vain: Sequence[str] = ()
    """What was stored where it was stored already."""
    pauses: Mapping[str, Sequence[int]] | None = None
    """Renewal → when each try of it ended; None where nobody looked."""
    broken_off: Mapping[str, Sequence[BrokenOff]] = field(default_factory=dict)
    """Renewal → its tries whose end nobody knows. They are no pauses."""
    unrest: Sequence[Unrest] = ()
    may_be_told_twice: Collection[str] = ()
    """Renewals whose message came again after their event: a second look may see another world."""
    half_done: Collection[str] = ()
    """Renewals that fail at a binding which is none: everywhere else they must be done."""
    verdicts: Sequence[Verdict] = ()
    waves: Sequence[int] = ()
    """How many places of a certificate hold a renewed one when a proof is due before any more may."""
    left: Collection[str] = ()
    """Stored certificates at the end that are a deployment's own, and shall be none but those that are served."""
    secrets: Collection[str] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    """All that may be read by people, by its name: events, reasons, logs."""


def validity(change: Change) -> tuple[datetime, datetime]:
    """By which one is newer than another."""
    return change.not_before, change.not_after


def held(changes: Sequence[Change], until: int) -> Mapping[str, Change]:
    """What each place holds at a moment."""
    return {change.place: change for change in changes[:until]}


def numbered(books: Books, certificate: str) -> Iterator[tuple[int, Change]]:
    """The certificate's changes, each with its moment."""
    serials = {one.serial for one in books.sent if one.certificate == certificate}
    places = books.places.get(certificate, ())
    for number, change in enumerate(books.changes):
        if change.place in places or change.serial in serials:
            yield number, change
