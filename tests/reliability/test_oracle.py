"""Does the oracle bite? Books that balance, and for each promise books that break it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from tests.reliability.books import Books, BrokenOff, Heard, Sent, Unrest, Verdict
from tests.reliability.oracle import broken_promises
from worker.sandbox.world import Call, Change

KEY: Final = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49"
END: Final = datetime(2026, 12, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def change(place: str, serial: int, flag: bool | None = False) -> Change:  # noqa: FBT002 - a fact
    return Change(0.0, place, "c1", serial, day(serial), END, flag)


def both(serial: int) -> list[Change]:
    return [change("a", serial), change("b", serial, flag=True)]


def sent(serial: int, **overrides: Any) -> Sent:
    fields: dict[str, Any] = {
        "renewal_id": f"r{serial}",
        "certificate": "shop",
        "serial": serial,
        "begins": day(serial),
    }
    return Sent(**{**fields, **overrides})


def heard(renewal_id: str, outcome: str = "succeeded", changes: int | None = None, **overrides: Any) -> Heard:
    told = {"renewal_id": renewal_id, "outcome": outcome, "reason": overrides.pop("reason", "rotated"), "leaf": None}
    began = overrides.pop("began", 0)
    return Heard({"id": f"{renewal_id}|{outcome}", "data": told, **overrides}, changes, began)


def calls(*at: float) -> list[Call]:
    return [Call(one, "show_certificate", "GET", "/", 200, {}) for one in at]


GOOD: Final = Books(
    [sent(2, since=2)],
    [heard("r2", changes=4)],
    [*both(1), *both(2)],
    {"shop": {"a", "b"}},
    calls=calls(0.0, 0.5, 1.0, 1.5),
    windows=[(2, 1.0)],
    pauses={"r2": [4]},
    secrets=["MIGH", KEY],
    texts={"a log": '{"a": "MIG"}', "another": "MIGxAgEAMBMGByqGSM49AgEGCCqGSM49"},
)
DEAD: Final = replace(GOOD, heard=[heard("r2", "failed", 4)], dead={"r2": "quota"})
BACK: Final = replace(GOOD, changes=[*GOOD.changes, *both(1)])
URGENT: Final = sent(1, undo_until=day(3), since=4)
LATE: Final = replace(
    GOOD,
    sent=[sent(2, since=2), sent(3, since=2)],
    heard=[heard("r3", changes=4), heard("r2", "superseded", 4)],
    changes=[*both(1), *both(3)],
    pauses={"r3": [4]},
)
"""The older one comes after the newer one."""
TWO: Final = replace(
    LATE,
    heard=[heard("r2", changes=4), heard("r3", changes=6)],
    changes=[*both(1), *both(2), *both(3)],
    pauses={"r2": [4], "r3": [6]},
)
"""One after the other."""
BROUGHT_BACK: Final = replace(
    TWO,
    sent=[*TWO.sent, sent(2, renewal_id="u2", undo_until=day(4), since=6)],
    heard=[*TWO.heard, heard("u2", changes=8, began=6)],
    changes=[*TWO.changes, *both(2)],
    pauses={"r2": [4], "r3": [6], "u2": [8]},
)


REPLAYED: Final = replace(
    TWO,
    sent=[replace(TWO.sent[0], undo_until=day(4)), TWO.sent[1]],
    heard=[heard("r3", changes=4), heard("r2", changes=6), heard("r3", "superseded", 6, reason="replayed")],
    changes=[*both(1), *both(3), *both(2)],
    pauses={"r3": [4], "r2": [6]},
    may_be_told_twice={"r3"},
)
"""What was taken back comes again."""


def rolled_back(number: int, reason: str = "rolled_back") -> Heard:
    told = {"renewal_id": "r2", "outcome": "failed", "leaf": None, "reason": reason}
    return Heard({"id": "r2|failed", "data": {**told, "deployments": [{"bindings": {"rolled_back": number}}]}}, 4)


RETURNED: Final = replace(
    DEAD,
    heard=[rolled_back(1)],
    changes=[*both(1), change("a", 2), change("a", 1)],
    verdicts=[Verdict(2, 3, 1, is_good=False)],
    left=["c1"],
)
"""Its first wave was bad."""


def test_books_that_balance_are_not_complained_of() -> None:
    parked = replace(GOOD, heard=[], waiting={"r2"})
    repeated = replace(GOOD, heard=[*GOOD.heard, *GOOD.heard])
    urgent = replace(BACK, sent=[*GOOD.sent, URGENT], waiting={"r1"})
    half = replace(DEAD, half_done={"r2"})
    in_waves = replace(GOOD, waves=[1], verdicts=[Verdict(2, 3, 1, is_good=True)])
    for books in (in_waves, GOOD, DEAD, parked, repeated, urgent, half, LATE, TWO, BROUGHT_BACK, REPLAYED, RETURNED):
        assert broken_promises(books) == []


def test_a_worker_that_may_have_lost_its_place_may_be_at_work_beside_its_heir() -> None:
    crossed = replace(TWO, pauses={"r2": [5], "r3": [6]}, unrest=[Unrest(4, 4)])
    assert broken_promises(crossed) == []
    assert len(broken_promises(replace(crossed, unrest=[Unrest(0, 1)]))) == 1


def test_what_a_try_had_sent_when_it_was_broken_off_is_no_part_of_the_next_one() -> None:
    """Its effect came after the worker had let go, and after changes for others; the next try found a newer one."""
    late = replace(
        TWO,
        heard=[heard("r3", changes=7), heard("r2", "superseded", 7)],
        changes=[*both(1), change("another", 9), *both(2), *both(3)],
        pauses={"r3": [7], "r2": [7]},
        unrest=[Unrest(2, 2)],
    )
    assert broken_promises(replace(late, broken_off={"r2": [BrokenOff(2, 5)]})) == []
    assert broken_promises(replace(late, broken_off={"r2": [BrokenOff(2, 7)]})) == []
    assert len(broken_promises(late)) == 1
    beside = replace(late, changes=[*both(1), change("another", 9), change("a", 2), *both(3), change("b", 2)])
    told = [one for one in broken_promises(replace(beside, broken_off={"r2": [BrokenOff(2, 4)]})) if "at once" in one]
    assert told == ["two rotations at once: shop: a and b"], "the next try changed something beside the newer one"


BAD: Final = {
    "lost: r2": replace(GOOD, heard=[]),
    "never sent: r9": replace(GOOD, heard=[*GOOD.heard, heard("r9")]),
    "told and still waiting: r2": replace(GOOD, waiting={"r2"}),
    "dead without a word: r2": replace(DEAD, heard=[]),
    "dead without a reason: r2": replace(DEAD, dead={"r2": ""}),
    "failed and not kept: r2": replace(DEAD, dead={}),
    "told twice: r2: succeeded, failed": replace(GOOD, heard=[*GOOD.heard, heard("r2", "failed")], dead={"r2": "x"}),
    "ids that do not follow from the outcome: r2": replace(
        GOOD, heard=[*GOOD.heard, heard("r2", changes=4, id="other")], may_be_told_twice={"r2"}
    ),
    "success without proof: r2": replace(GOOD, heard=[heard("r2", changes=3)]),
    "moved on before a proof: b, after 1": replace(
        GOOD, waves=[1], verdicts=[Verdict(2, 3, 1, is_good=False), Verdict(2, 2, 1, is_good=True)]
    ),
    "stored though refused: r2": replace(GOOD, sent=[sent(2, since=2, must_fail=True)]),
    "done again: c1": replace(GOOD, in_vain=["c1"]),
    "more than 2 calls in 1 seconds, 1 too many": replace(GOOD, calls=calls(0.0, 0.5, 0.9)),
    "a secret leaked into a log": replace(GOOD, texts={"a log": "-----BEGIN PRIVATE KEY-----\nMIGH"}),
    "a secret leaked into it": replace(GOOD, secrets=[KEY], texts={"it": f'"x\\n{KEY}"'}),
    "two rotations at once: shop: a and a": replace(TWO, pauses={"r2": [5], "r3": [6]}),
}


@pytest.mark.parametrize("complaint", BAD)
def test_books_that_break_one_promise_are_told_by_its_name(complaint: str) -> None:
    assert broken_promises(BAD[complaint]) == [complaint]


WENT_BACK: Final = {
    "nobody asked for it": BACK,
    "who asked for it asked later": replace(BACK, sent=[*GOOD.sent, replace(URGENT, since=5)], waiting={"r1"}),
    "over what was issued later": replace(BACK, sent=[*GOOD.sent, replace(URGENT, undo_until=day(1))], waiting={"r1"}),
}


@pytest.mark.parametrize("how", WENT_BACK)
def test_no_place_goes_back(how: str) -> None:
    complaints = broken_promises(WENT_BACK[how])
    assert "went back: a from 2026-01-02 00:00:00+00:00 to 2026-01-01 00:00:00+00:00" in complaints


WITHOUT_PROOF: Final = {
    "a flag moved": replace(GOOD, changes=[*both(1), change("a", 2), change("b", 2, flag=False)]),
    "all at some time, and never at once": replace(
        GOOD, changes=[*both(1), change("a", 2), change("a", 1), change("b", 2, flag=True)]
    ),
    "replaced before its rotation began": replace(
        BROUGHT_BACK, heard=[*BROUGHT_BACK.heard[:2], heard("u2", changes=6, began=6)]
    ),
    "everywhere before it was sent, and replaced since": replace(
        TWO, sent=[*TWO.sent, sent(2, renewal_id="again", since=6)], heard=[*TWO.heard, heard("again", changes=6)]
    ),
}


@pytest.mark.parametrize("how", WITHOUT_PROOF)
def test_a_success_is_proven_by_its_own_rotation(how: str) -> None:
    assert any(words.startswith("success without proof") for words in broken_promises(WITHOUT_PROOF[how]))


FALSELY_SUPERSEDED: Final = {
    "the newest, which was never stored": replace(GOOD, heard=[heard("r2", "superseded", 4)], changes=both(1)),
    "by nothing": replace(GOOD, heard=[heard("r2", "superseded", 4)]),
    "by what it says has put it aside, and nothing did": replace(
        GOOD, heard=[*GOOD.heard, heard("r2", "superseded", 4, reason="replayed")], may_be_told_twice={"r2"}
    ),
    "by what put it aside, though it had never succeeded": replace(
        GOOD, heard=[heard("r2", "superseded", 4, reason="replayed")], changes=[*both(2), *both(1)]
    ),
    "by what came later": replace(LATE, heard=[heard("r2", "superseded", 2), heard("r3", changes=4)]),
    "by what was only sent": replace(
        GOOD, sent=[*GOOD.sent, sent(3, must_fail=True)], heard=[heard("r2", "superseded", 2), heard("r3", "failed", 4)]
    ),
    "by what was gone before it was sent": replace(
        LATE,
        sent=[sent(2, since=6), sent(3, since=2), replace(URGENT, undo_until=day(4))],
        heard=[heard("r3", changes=4), heard("r1", changes=6), heard("r2", "superseded", 6)],
        changes=[*LATE.changes, *both(1)],
    ),
}


@pytest.mark.parametrize("how", FALSELY_SUPERSEDED)
def test_superseded_is_what_met_something_newer_that_was_stored(how: str) -> None:
    assert "superseded by nothing: r2" in broken_promises(FALSELY_SUPERSEDED[how])


NOT_SERVED: Final = {
    "it was not stored everywhere": replace(GOOD, changes=GOOD.changes[:-1]),
    "it was undone by nobody": BACK,
    "nothing is there at all": replace(GOOD, changes=[change("a", 1), change("a", 2)]),
    "it fails at one place and is missing at another": replace(
        DEAD, changes=[*both(1), change("a", 2)], half_done={"r2"}
    ),
}


@pytest.mark.parametrize("how", NOT_SERVED)
def test_the_newest_good_one_is_served_at_the_end(how: str) -> None:
    assert any(words.startswith("not served: r2") for words in broken_promises(NOT_SERVED[how]))


BADLY_RETURNED: Final = {
    "bad and not put back: r2: other_certificate": replace(
        RETURNED, heard=[rolled_back(0, "other_certificate")], changes=[*both(1), change("a", 2), change("c", 1)]
    ),
    "not back: r2 at a": replace(RETURNED, changes=[*both(1), change("a", 2), change("c", 1)]),
    "flag not back: r2 at a": replace(RETURNED, changes=[*both(1), change("a", 2), change("a", 1, flag=True)]),
    "told wrong: r2: 2 of 1 rolled back": replace(RETURNED, heard=[rolled_back(2)]),
    "told wrong: r2: 0 of 1 rolled back": replace(RETURNED, heard=[rolled_back(0)]),
    "left behind: c2": replace(RETURNED, left=["c1", "c2"]),
}


@pytest.mark.parametrize("complaint", BADLY_RETURNED)
def test_what_is_bad_goes_back_and_is_told_as_it_is(complaint: str) -> None:
    assert broken_promises(BADLY_RETURNED[complaint]) == [complaint]


NOT_SO_BAD: Final = {
    "it went back before it was found bad": replace(RETURNED, verdicts=[Verdict(2, 4, 1, is_good=False)]),
    "it was found good": replace(RETURNED, verdicts=[Verdict(2, 3, 1, is_good=True)]),
    "it was another one that was bad": replace(RETURNED, verdicts=[Verdict(3, 3, 1, is_good=False)]),
    "it went back to what had gone before": replace(
        RETURNED,
        sent=[sent(3, renewal_id="r2", since=4)],
        changes=[*both(1), *both(2), change("a", 3), change("a", 1)],
        heard=[replace(rolled_back(1), changes=6)],
        verdicts=[Verdict(3, 5, 1, is_good=False)],
    ),
}


@pytest.mark.parametrize("how", NOT_SO_BAD)
def test_only_what_is_bad_goes_back_and_only_to_what_was_there(how: str) -> None:
    assert any(words.startswith("went back: a") for words in broken_promises(NOT_SO_BAD[how]))
