"""Does the oracle bite? Books that balance, and for each promise books that break it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from tests.reliability.oracle import Books, Heard, Sent, broken_promises
from worker.sandbox.world import Call, Change

END: Final = datetime(2026, 12, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def change(place: str, serial: int, flag: bool | None = False) -> Change:  # noqa: FBT002 - a fact
    return Change(0.0, place, "c1", serial, day(serial), END, flag)


def heard(renewal_id: str, outcome: str = "succeeded", changes: int | None = None, **overrides: Any) -> Heard:
    told = {"renewal_id": renewal_id, "outcome": outcome, "leaf": None}
    return Heard({"id": f"{renewal_id}|{outcome}", "data": told, **overrides}, changes)


def calls(*at: float) -> list[Call]:
    return [Call(one, "show_certificate", "GET", "/", 200, {}) for one in at]


BEFORE: Final = (change("a", 1), change("b", 1, flag=True))
DURING: Final = (change("a", 2), change("b", 2, flag=True))
GOOD: Final = Books(
    [Sent("r2", "shop", 2, day(2))],
    [heard("r2", changes=4)],
    [*BEFORE, *DURING],
    {"shop": {"a", "b"}},
    calls=calls(0.0, 0.5, 1.0, 1.5),
    windows=[(2, 1.0)],
    secrets=["MIGH"],
    texts=[json.dumps({"a": "b"})],
)
DEAD: Final = replace(GOOD, heard=[heard("r2", "failed")], dead={"r2": "quota"})
BACK: Final = replace(GOOD, changes=[*GOOD.changes, change("a", 1)])


def test_books_that_balance_are_not_complained_of() -> None:
    parked = replace(GOOD, heard=[], waiting={"r2"})
    repeated = replace(GOOD, heard=[*GOOD.heard, *GOOD.heard])
    urgent = replace(BACK, sent=[*GOOD.sent, Sent("r1", "shop", 1, day(1), may_go_back=True)], waiting={"r1"})
    for books in (GOOD, DEAD, parked, repeated, urgent):
        assert broken_promises(books) == []


BAD: Final = {
    "lost: r2": replace(GOOD, heard=[]),
    "never sent: r9": replace(GOOD, heard=[*GOOD.heard, heard("r9")]),
    "told and still waiting: r2": replace(GOOD, waiting={"r2"}),
    "dead without a word: r2": replace(DEAD, heard=[]),
    "dead without a reason: r2": replace(DEAD, dead={"r2": ""}),
    "failed and not kept: r2": replace(DEAD, dead={}),
    "told twice: r2: succeeded, failed": replace(GOOD, heard=[*GOOD.heard, heard("r2", "failed")], dead={"r2": "x"}),
    "ids that do not follow from the outcome: r2": replace(
        GOOD, heard=[*GOOD.heard, heard("r2", id="other")], may_be_told_twice={"r2"}
    ),
    "went back: a": BACK,
    "success without proof: r2": replace(GOOD, heard=[heard("r2", changes=3)]),
    "done again: modify_certificate": replace(GOOD, in_vain=["modify_certificate"]),
    "superseded by nothing: r2": replace(GOOD, heard=[heard("r2", "superseded")]),
    "more than 2 calls in 1 seconds": replace(GOOD, calls=calls(0.0, 0.5, 0.9)),
    "a secret leaked": replace(GOOD, texts=["-----BEGIN PRIVATE KEY-----\nMIGH"]),
}


@pytest.mark.parametrize("complaint", BAD)
def test_books_that_break_one_promise_are_told_by_its_name(complaint: str) -> None:
    assert broken_promises(BAD[complaint]) == [complaint]


def test_a_success_with_a_flag_moved_is_none() -> None:
    moved = replace(GOOD, changes=[*BEFORE, change("a", 2), change("b", 2, flag=False)])
    assert broken_promises(moved) == ["success without proof: r2"]
