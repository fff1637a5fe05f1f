"""The oracle's part about what turns out bad: it goes back, that is told as it is, and nothing is left behind."""

from collections.abc import Collection, Iterator, Mapping

from tests.reliability.books import Books, Heard, Sent, Verdict, held
from worker.sandbox.world import Change


def not_put_back(books: Books) -> Iterator[str]:
    """8: what was found bad last, and was never good everywhere, is told as rolled back.

    What was good everywhere may have let the old one go: then there is nothing to go back to.
    """
    for sent, heard in _told_of_bad(books):
        mine = [one for one in books.verdicts if one.serial == sent.serial and one.moment <= (heard.changes or 0)]
        was_good = any(one.is_good and one.bindings == len(books.places[sent.certificate]) for one in mine)
        if not was_good and _reason(heard) != "rolled_back":
            yield f"bad and not put back: {sent.renewal_id}: {_reason(heard)}"


def falsely_told(books: Books) -> Iterator[str]:
    """8: what is told as rolled back is back, each binding with its flag; and as many are told as were moved."""
    sent = {one.renewal_id: one for one in books.sent}
    for heard in books.heard:
        mine = sent.get(heard.renewal_id)
        if mine is None or heard.changes is None or _reason(heard) != "rolled_back":
            continue
        yield from _not_as_before(books, mine, heard.changes)
        if (verdict := _last(books, mine, heard.changes)) is not None:
            least, most = len(_places_with(books, mine, verdict.moment)), len(_ever_with(books, mine, verdict.moment))
            if not least <= _told_back(heard) <= most:
                yield f"told wrong: {mine.renewal_id}: {_told_back(heard)} of {least} rolled back"


def leftovers(books: Books) -> Iterator[str]:
    """8: at the end nothing is stored under the deployment's name but what is served."""
    serving = {
        change.certificate_id for change in held(books.changes, len(books.changes)).values() if _is_place(books, change)
    }
    yield from (f"left behind: {one}" for one in books.left if one not in serving)


def is_return(books: Books, old: Change, change: Change, moment: int) -> bool:
    """Whether something bad makes way for what was there before it."""
    is_bad = any(one.serial == old.serial and not one.is_good and one.moment <= moment for one in books.verdicts)
    return is_bad and change.serial in _before_it(books, old, moment)


def _before_it(books: Books, bad: Change, moment: int) -> Collection[int]:
    """Where a place's books begin with what is bad, it is what was held anywhere before that."""
    if (before := _before(books, bad.place, bad.serial, moment)) is not None:
        return {before.serial}
    first = next(number for number, change in enumerate(books.changes) if change.serial == bad.serial)
    return {change.serial for change in books.changes[:first]}


def _told_of_bad(books: Books) -> Iterator[tuple[Sent, Heard]]:
    sent = {one.renewal_id: one for one in books.sent}
    for heard in books.heard:
        mine = sent.get(heard.renewal_id)
        if mine is not None and heard.changes is not None and heard.outcome == "failed":
            verdict = _last(books, mine, heard.changes)
            if verdict is not None and not verdict.is_good:
                yield mine, heard


def _last(books: Books, sent: Sent, until: int) -> Verdict | None:
    mine = [one for one in books.verdicts if one.serial == sent.serial and sent.since <= one.moment <= until]
    return mine[-1] if mine else None


def _not_as_before(books: Books, sent: Sent, moment: int) -> Iterator[str]:
    at, first = held(books.changes, moment), held(books.changes[::-1], len(books.changes))
    for place in sorted(books.places[sent.certificate]):
        before, now = _before(books, place, sent.serial, moment), at[place]
        if before is not None and now.serial != before.serial:
            yield f"not back: {sent.renewal_id} at {place}"
        elif now.client_verification != first[place].client_verification:
            yield f"flag not back: {sent.renewal_id} at {place}"


def _places_with(books: Books, sent: Sent, moment: int) -> Mapping[str, Change]:
    at = held(books.changes, moment)
    return {
        place: at[place] for place in books.places[sent.certificate] if place in at and at[place].serial == sent.serial
    }


def _ever_with(books: Books, sent: Sent, moment: int) -> Collection[str]:
    """Where a life before may have begun to go back."""
    places = books.places[sent.certificate]
    return {one.place for one in books.changes[:moment] if one.place in places and one.serial == sent.serial}


def _before(books: Books, place: str, serial: int, moment: int) -> Change | None:
    """What it held when the leaf came there last."""
    mine = [change for change in books.changes[:moment] if change.place == place]
    last = max((number for number, change in enumerate(mine) if change.serial == serial), default=0)
    return next((change for change in reversed(mine[:last]) if change.serial != serial), None)


def _is_place(books: Books, change: Change) -> bool:
    return any(change.place in places for places in books.places.values())


def _reason(heard: Heard) -> str:
    return str(heard.event["data"].get("reason"))


def _told_back(heard: Heard) -> int:
    return sum(one["bindings"]["rolled_back"] for one in heard.event["data"].get("deployments", ()))
