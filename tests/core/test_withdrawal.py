"""What was taken back, and who may put it there again."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from tests.support.values import day, leaf
from worker.core.bundle import Leaf
from worker.core.outcome import Previous
from worker.core.past import Placed
from worker.core.renewal import Held, Renewal
from worker.core.withdrawal import is_withdrawn, taken_back, was_rolled_back

LEAF = leaf()
OLDER, NEWER = (
    replace(LEAF, fingerprint_sha256=letter * 64, not_before=day(number), not_after=day(number + 10))
    for letter, number in (("c", 1), ("d", 12))
)
AT = day(14)


def put(one: Leaf, *, over: Leaf | None = None, serial: str | None = None, **facts: Any) -> Placed:
    """This was put in the place of that."""
    took = () if over is None else (Previous(serial, None if serial else over.not_after),)
    told = {"renewal_id": "r", "at": AT, "took": took, **facts}
    return Placed(fingerprint_sha256=one.fingerprint_sha256, not_before=one.not_before, not_after=one.not_after, **told)


TAKEN = put(OLDER, over=LEAF)


@pytest.mark.parametrize(
    ("past", "is_so"),
    [
        ([put(LEAF, over=OLDER), TAKEN], True),
        ([replace(TAKEN, is_told=False)], True),
        ([put(OLDER, over=LEAF, serial=str(LEAF.serial_number))], True),
        ([put(OLDER, over=LEAF, serial="7")], False),
        ([TAKEN, put(LEAF, over=OLDER)], False),
        ([TAKEN, put(LEAF, over=OLDER, is_told=False)], True),
        ([put(LEAF), put(OLDER)], True),
        ([put(LEAF), put(OLDER, is_told=False)], False),
        ([put(OLDER, over=NEWER)], False),
        ([put(NEWER, over=LEAF)], False),
        ([put(OLDER)], False),
        ([put(LEAF, over=OLDER), replace(TAKEN, is_told=False, went_back=True, lasts=False)], False),
        ([], False),
    ],
)
def test_what_was_taken_back_stays_away_although_it_lies_on_disk(past: Sequence[Placed], *, is_so: bool) -> None:
    assert (taken_back(past, LEAF) is not None) == is_so


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(
    ("made", "is_again", "is_so"),
    [
        (day(13), False, True),
        (day(13), True, True),
        (AT, False, True),
        (day(14, 1), False, False),
        (day(14, 1), True, False),
        (None, False, False),
        (None, True, True),
        (day(20), True, True),  # a clock that is ahead: nothing was made tomorrow
        (day(20), False, False),
    ],
)
def test_only_who_knows_that_it_was_taken_back_may_put_it_there_again(
    made: datetime | None, *, is_again: bool, is_so: bool, signed: bool
) -> None:
    told = {"time": day(14, 2), "signed_at": made} if signed and made else {"time": made}
    renewal = Renewal("r1", "shop", "acme", Held(), **told)
    assert is_withdrawn([put(LEAF), TAKEN], renewal, LEAF, day(15), is_again=is_again) == is_so
    assert not is_withdrawn([put(LEAF)], renewal, LEAF, day(15), is_again=is_again)


def test_what_one_renewal_has_begun_to_put_back_it_may_end() -> None:
    past = [put(LEAF), TAKEN, put(LEAF, renewal_id="r1", is_told=False)]
    for renewal_id, is_so in (("r1", False), ("r2", True)):
        renewal = Renewal(renewal_id, "shop", "acme", Held())
        assert is_withdrawn(past, renewal, LEAF, day(15), is_again=True) == is_so


def test_what_one_whose_id_is_told_to_nobody_has_begun_to_put_back_it_may_end() -> None:
    renewal = Renewal("an id of nobody", "shop", "acme", Held(), message_sha256="11" * 32)
    for begun, is_so in ((renewal, False), (replace(renewal, message_sha256="22" * 32), True)):
        past = [put(LEAF), TAKEN, put(LEAF, renewal_id=begun.known_as, is_told=False)]
        assert is_withdrawn(past, renewal, LEAF, day(15), is_again=True) == is_so


def test_whoever_began_before_it_was_taken_back_does_not_go_on_because_another_does() -> None:
    """What both have brought is one place, in which the latest counts."""
    renewal = Renewal("r0", "shop", "acme", Held())
    past = [put(LEAF), TAKEN, put(LEAF, renewal_id="r1", is_told=False, earlier=("r0",))]
    assert is_withdrawn(past, renewal, LEAF, day(15), is_again=True)
    assert not is_withdrawn(past, replace(renewal, id="r1"), LEAF, day(15), is_again=True)


def test_what_was_taken_back_once_more_is_judged_by_the_last_time() -> None:
    past = [TAKEN, put(LEAF, renewal_id="r1", is_told=False), replace(TAKEN, renewal_id="r9", at=day(15))]
    renewal = Renewal("r1", "shop", "acme", Held(), time=day(14, 1))
    assert is_withdrawn(past, renewal, LEAF, day(16), is_again=True)
    followers = [put(LEAF), put(OLDER), put(LEAF, renewal_id="r1", is_told=False), put(OLDER, at=day(15))]
    assert taken_back(followers, LEAF) == followers[-1]
    assert is_withdrawn(followers, renewal, LEAF, day(16), is_again=True)


BACK = put(LEAF, is_told=False, went_back=True, lasts=False)


@pytest.mark.parametrize(
    ("past", "is_so"),
    [
        ([BACK], True),
        ([replace(BACK, lasts=True)], True),
        ([BACK, put(NEWER)], True),
        ([put(LEAF), BACK], True),
        ([BACK, put(LEAF)], False),
        ([BACK, put(LEAF, renewal_id="r2", is_told=False)], False),
        ([replace(BACK, fingerprint_sha256="00" * 32)], False),
        ([], False),
    ],
)
def test_what_went_back_when_it_was_put_there_last_is_known(past: Sequence[Placed], *, is_so: bool) -> None:
    assert was_rolled_back(past, LEAF) == is_so
