"""The oracle's part about certificates at their places: never back, success by proof, superseded by something newer."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from tests.reliability.books import Books, Heard, Sent, Verdict, held, numbered, validity
from tests.reliability.returning import is_return
from worker.sandbox.world import Change

_LONGEST_QUEUE: Final = timedelta(hours=1)
"""Where nobody can know when a certificate was issued, when it was stored says so with this uncertainty."""


def gone_back(books: Books) -> Iterator[str]:
    """2: no place ever holds an older certificate than before, unless a renewal allowed that, or what came is bad."""
    for old, new in steps_back(books):
        yield f"went back: {new.place} from {old.not_before} to {new.not_before}"


def steps_back(books: Books) -> Iterator[tuple[Change, Change]]:
    """What was held, and the older one that took its place."""
    at: dict[str, Change] = {}
    for moment, change in enumerate(books.changes):
        old = at.get(change.place, change)
        if validity(change) < validity(old) and not _may_go_back(books, old, change, moment):
            yield old, change
        at[change.place] = change


def _may_go_back(books: Books, old: Change, change: Change, moment: int) -> bool:
    return is_return(books, old, change, moment) or any(_may_undo(one, old, change, moment) for one in books.sent)


def _may_undo(one: Sent, old: Change, change: Change, moment: int) -> bool:
    """An urgent one, once it was sent, and over nothing that was issued after it was."""
    if one.serial != change.serial or one.undo_until is None or one.since > moment:
        return False
    # ByCloud tells no beginnings: whether what is stored was issued after that nobody can know to the second.
    slack = _LONGEST_QUEUE if "/sni=" in change.place else timedelta()
    return old.not_before <= one.undo_until + slack


def unproven(books: Books) -> Iterator[str]:
    """3: during the rotation that `succeeded` tells of there was a moment at which every binding held its leaf.

    All at once, each with its flag as it was. To have been everywhere at some time in the past is not enough: what was
    replaced since then by anything else, older or newer, must have been brought back by this rotation, or it was none.
    Nor need it be there any more when the event arrives: a newer renewal has its turn right after, or an urgent one.
    """
    sent = {one.renewal_id: one for one in books.sent}
    for heard in books.heard:
        wanted = sent.get(heard.renewal_id)
        if heard.outcome == "succeeded" and wanted is not None:
            begins = max(heard.began, wanted.since)
            if not _was_everywhere(wanted.serial, books.places[wanted.certificate], books.changes, begins, heard):
                yield f"success without proof: {heard.renewal_id}"


def _was_everywhere(serial: int, places: Collection[str], changes: Sequence[Change], begins: int, heard: Heard) -> bool:
    """Whether there was a moment between that one and the event at which all places held it."""
    first: dict[str, Change] = {}
    for change in changes:
        first.setdefault(change.place, change)
    at = {place: change for place, change in held(changes, begins).items() if place in places}
    if _hold_all(at, first, places, serial):
        return True
    for change in changes[begins : heard.changes]:
        if change.place in places:
            at[change.place] = change
            if change.serial == serial and _hold_all(at, first, places, serial):
                return True
    return False


def _hold_all(at: dict[str, Change], first: dict[str, Change], places: Collection[str], serial: int) -> bool:
    return all(
        place in at and at[place].serial == serial and at[place].client_verification == first[place].client_verification
        for place in places
    )


def moved_on_unproven(books: Books) -> Iterator[str]:
    """3: no more places come to hold a renewed certificate before it was proven good at those that a wave moved.

    Where one goes back to what it held, a proof from when that was served is enough.
    """
    renewed, places = {one.serial for one in books.sent}, {one for all_ in books.places.values() for one in all_}
    at: dict[str, int] = {}
    before: set[tuple[str, int]] = set()
    reached: dict[tuple[int, int], int] = {}
    for moment, change in enumerate(books.changes):
        if change.place not in places or at.get(change.place) == change.serial:
            continue
        many = list(at.values()).count(change.serial)
        begins = 0 if (change.place, change.serial) in before else reached.get((change.serial, many), 0)
        is_proven = any(_is_of(one, change.serial, many) and begins <= one.moment <= moment for one in books.verdicts)
        if change.serial in renewed and many in books.waves and not is_proven:
            yield f"moved on before a proof: {change.place}, after {many}"
        at[change.place] = change.serial
        before.add((change.place, change.serial))
        reached[change.serial, many + 1] = moment + 1


def _is_of(verdict: Verdict, serial: int, many: int) -> bool:
    return verdict.is_good and verdict.serial == serial and verdict.bindings >= many


def superseded_by_nothing(books: Books) -> Iterator[str]:
    """3, the other way: whoever is told `superseded` met something newer on its way, stored before it was told.

    What was only sent is no excuse: it may be refused, and it may come later. Nor is what was gone before it was sent.
    """
    sent = {one.renewal_id: one for one in books.sent}
    for heard in books.heard:
        mine = sent.get(heard.renewal_id)
        if heard.outcome != "superseded" or mine is None:
            continue
        if not any(known(books, mine, heard) for known in (_met_newer, _was_put_aside, _was_taken_back)):
            yield f"superseded by nothing: {heard.renewal_id}"


def _met_newer(books: Books, mine: Sent, heard: Heard) -> bool:
    """Held anywhere for its certificate at any moment between its sending and its event."""
    before: dict[str, Change] = {}
    for moment, change in numbered(books, mine.certificate):
        if heard.changes is not None and moment >= heard.changes:
            break
        if moment < mine.since:
            before[change.place] = change
        elif _is_newer(change, mine):
            return True
    return any(_is_newer(change, mine) for change in before.values())


def _was_taken_back(books: Books, mine: Sent, heard: Heard) -> bool:
    """Another one was put where it had been: what an urgent renewal went back from stays away."""
    if heard.reason != "withdrawn":
        return False
    ends = len(books.changes) if heard.changes is None else heard.changes
    had: set[str] = set()
    for moment, change in numbered(books, mine.certificate):
        if moment < ends and change.serial != mine.serial and change.place in had:
            return True
        if change.serial == mine.serial:
            had.add(change.place)
    return False


def _was_put_aside(books: Books, mine: Sent, heard: Heard) -> bool:
    """It came again after it had succeeded, and after something else, newer or not, was put in its place."""
    if heard.reason != "replayed":
        return False
    ends = len(books.changes) if heard.changes is None else heard.changes
    done = [one.changes for one in books.heard if one.renewal_id == mine.renewal_id and one.outcome == "succeeded"]
    begins = min((one for one in done if one is not None), default=ends)
    return any(
        begins <= moment < ends and change.serial != mine.serial for moment, change in numbered(books, mine.certificate)
    )


def _is_newer(change: Change, mine: Sent) -> bool:
    return change.serial != mine.serial and change.not_before > mine.begins


def stored_though_refused(books: Books) -> Iterator[str]:
    """3, of what must be refused: it is stored nowhere."""
    refused = {one.serial: one.renewal_id for one in books.sent if one.must_fail}
    stored = {change.serial for change in books.changes}
    yield from (f"stored though refused: {one}" for serial, one in refused.items() if serial in stored)


def not_served(books: Books) -> Iterator[str]:
    """3, at the end: no place of a certificate holds an older one than the newest that was well and was not undone."""
    at = held(books.changes, len(books.changes))
    for certificate, places in books.places.items():
        if lasting := list(_lasting(books, certificate)):
            newest = max(lasting, key=lambda one: one.begins)
            old = [place for place in places if place not in at or at[place].not_before < newest.begins]
            yield from (f"not served: {newest.renewal_id} at {place}" for place in old)


def _lasting(books: Books, certificate: str) -> Iterator[Sent]:
    """Its renewals whose last word was good, and which no urgent one undid after it.

    What is superseded has its own promise: by something newer that is stored, be it bound or an upload that was undone.
    """
    last = {one.renewal_id: one for one in books.heard}
    mine = [one for one in books.sent if one.certificate == certificate]
    undoing = [one for one in mine if one.undo_until is not None]
    for one in mine:
        heard = last.get(one.renewal_id)
        is_good = heard is not None and (heard.outcome == "succeeded" or one.renewal_id in books.half_done)
        if heard is not None and is_good and not any(_undid(books, urgent, one, heard) for urgent in undoing):
            yield one


def _undid(books: Books, urgent: Sent, one: Sent, heard: Heard) -> bool:
    """Whether it was put anywhere after this older word of a newer one."""
    is_in_reach = urgent.begins < one.begins <= _reach(urgent)
    told = 0 if heard.changes is None else min(heard.changes, heard.began or heard.changes)
    return is_in_reach and any(change.serial == urgent.serial for change in books.changes[told:])


def _reach(urgent: Sent) -> datetime:
    return urgent.begins if urgent.undo_until is None else urgent.undo_until + _LONGEST_QUEUE
