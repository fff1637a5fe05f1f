"""What is stored is known again by the history, where its gateway tells no more than its end."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.values import bound, day, leaf, listener, observed, stored
from worker.core.past import Placed
from worker.core.planning import Stored, age_of
from worker.core.recognition import recognised
from worker.core.snapshot import Snapshot

LEAF = leaf()
THERE = stored(serial_number=None, not_before=None, not_after=LEAF.not_after)
LONGER = stored(serial_number=None, not_before=None, not_after=day(30))
LAST = Placed("r1", "cd" * 32, day(9), LEAF.not_after)
MINE = Placed("r2", LEAF.fingerprint_sha256, LEAF.not_before, LEAF.not_after)
SHORTER = Placed("r1", "cd" * 32, day(9), day(30))


def age(one: Stored, *past: Placed, snapshot: Snapshot | None = None) -> str:
    seen = observed(stored=one, bound=(bound(listener(), stored=one),), leftovers=(one,))
    known = recognised(seen, past, LEAF, snapshot or Snapshot())
    ages = {age_of(each, LEAF) for each in (known.stored, known.bound[0].stored, *known.leftovers) if each is not None}
    [found] = ages
    return found


@pytest.mark.parametrize(
    ("one", "past", "found"),
    [
        (THERE, [], "same"),
        (THERE, [LAST], "older"),
        (THERE, [replace(LAST, is_told=False)], "older"),
        (THERE, [replace(LAST, lasts=False)], "same"),
        (THERE, [LAST, MINE], "same"),
        (THERE, [LAST, replace(MINE, is_told=False)], "older"),
        (THERE, [replace(LAST, not_before=day(11))], "newer"),
        (replace(THERE, names=frozenset(LEAF.names)), [], "same"),
        (replace(THERE, names=frozenset({"a.example.com"})), [], "older"),
        (replace(THERE, names=frozenset({"a.example.com"})), [MINE], "same"),
        (replace(LONGER, names=frozenset({"a.example.com"})), [], "newer"),
        (LONGER, [], "newer"),
        (LONGER, [SHORTER], "older"),
        (LONGER, [SHORTER, LAST], "newer"),
        (LONGER, [replace(SHORTER, not_before=day(11))], "newer"),
        (replace(LONGER, fingerprint_prefix="cd" * 6), [SHORTER, LAST], "older"),
        (replace(LONGER, fingerprint_prefix="ef" * 6), [SHORTER], "newer"),
        (stored(not_after=day(30), not_before=day(11)), [SHORTER], "newer"),
    ],
)
def test_what_was_put_there_last_is_known_by_its_end_and_an_upload_by_its_name(
    one: Stored, past: list[Placed], found: str
) -> None:
    assert age(one, *past) == found


@pytest.mark.parametrize(("written", "found"), [(day(12), "older"), (day(13), "same"), (None, "same")])
def test_what_an_earlier_attempt_may_have_written_is_left_to_what_its_gateway_shows(written: Any, found: str) -> None:
    attempt = Snapshot(is_replaced=True, replaced_at=day(12))
    assert age(replace(THERE, issued_before=written), LAST, snapshot=attempt) == found
