"""What the history says against a renewal."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.values import day, leaf
from worker.core.past import Placed, is_overtaken, is_put_since, is_replayed, placed_in
from worker.core.renewal import Held, Renewal

LEAF = leaf()
MINE = Placed("r1", LEAF.fingerprint_sha256, LEAF.not_before, LEAF.not_after)
OLDER = Placed("r2", "cd" * 32, day(9), day(30))
NEWER = Placed("r3", "ef" * 32, day(11), day(12))
FACTS = {"fingerprint_sha256": "ab" * 32, "not_before": "2026-01-10T00:00:00Z", "not_after": "2026-01-20T00:00:00Z"}


def event(**overrides: Any) -> dict[str, Any]:
    return {"data": {"outcome": "succeeded", "renewal_id": "r1", "leaf": FACTS, "deployments": [], **overrides}}


@pytest.mark.parametrize(
    ("past", "is_so"),
    [
        ([], False),
        ([MINE], False),
        ([NEWER], False),
        ([MINE, NEWER], True),
        ([MINE, OLDER], True),
        ([MINE, NEWER, MINE], False),
        ([MINE, NEWER, replace(MINE, renewal_id="r9")], False),
        ([replace(MINE, renewal_id="r9"), NEWER], False),
        ([replace(MINE, fingerprint_sha256="00" * 32), NEWER], False),
        ([replace(MINE, is_told=False), NEWER], False),
    ],
)
def test_a_renewal_is_replayed_where_it_has_succeeded_and_another_certificate_came_after_it(
    past: Sequence[Placed], *, is_so: bool
) -> None:
    assert is_replayed(past, "r1", LEAF, is_again=True) == is_so


def test_what_comes_again_by_another_renewal_is_replayed_by_either_and_stays_where_one_has_put_it() -> None:
    first = replace(MINE, is_told=False, at=day(14))
    gone = replace(MINE, renewal_id="r9", is_told=False, at=day(15), lasts=False, went_back=True)
    both = gone.after(first, is_next=True)
    assert both == replace(gone, lasts=True, earlier=("r1",)), "at the places where the first has put it"
    assert not replace(gone, renewal_id="r1").after(first, is_next=True).lasts
    for renewal_id in ("r1", "r9"):
        assert is_replayed([both, NEWER], renewal_id, LEAF, is_again=False)


@pytest.mark.parametrize(
    ("has_changed", "is_next", "at"), [(True, True, day(15)), (False, True, day(14)), (False, False, day(15))]
)
def test_what_is_there_already_has_come_there_when_it_did(at: datetime, *, has_changed: bool, is_next: bool) -> None:
    again = replace(MINE, at=day(15), has_changed=has_changed)
    assert again.after(replace(MINE, at=day(14)), is_next=is_next).at == at


def test_what_failed_in_part_is_replayed_too_unless_a_worker_had_it_in_hand_before() -> None:
    past = [replace(MINE, is_told=False), NEWER]
    assert is_replayed(past, "r1", LEAF, is_again=False)
    assert not is_replayed(past, "r1", LEAF, is_again=True)


def test_what_went_back_everywhere_is_not_what_was_put_there_last() -> None:
    back = replace(NEWER, is_told=False, went_back=True, lasts=False)
    assert not is_replayed([MINE, back], "r1", LEAF, is_again=True)
    assert not is_overtaken([MINE, back], LEAF, None)
    assert is_overtaken([MINE, replace(back, lasts=True)], LEAF, None), "it has stayed somewhere"


@pytest.mark.parametrize(
    ("past", "undo_until", "is_so"),
    [
        ([], None, False),
        ([NEWER], None, True),
        ([MINE], None, False),
        ([OLDER], None, False),
        ([OLDER, NEWER], None, True),
        ([NEWER, OLDER], None, False),
        ([replace(NEWER, not_before=LEAF.not_before, not_after=day(21))], None, True),
        ([replace(NEWER, not_before=LEAF.not_before, not_after=day(19))], None, False),
        ([NEWER], day(12), False),
        ([NEWER], day(10, 23), True),
    ],
)
def test_a_renewal_is_overtaken_by_what_was_put_there_last_unless_it_may_undo_that(
    past: Sequence[Placed], undo_until: datetime | None, *, is_so: bool
) -> None:
    assert is_overtaken(past, LEAF, undo_until) == is_so


@pytest.mark.parametrize(
    ("past", "is_so"),
    [
        ([], False),
        ([replace(NEWER, at=day(15))], True),
        ([replace(NEWER, at=day(14) + timedelta(seconds=0.9))], False),
        ([replace(NEWER, at=day(13))], False),
        ([NEWER], False),
        ([replace(MINE, at=day(15))], False),
        ([replace(NEWER, at=day(15)), replace(OLDER, at=day(16))], False),
        ([replace(NEWER, at=day(15)), replace(OLDER, at=day(16), lasts=False)], True),
    ],
)
def test_what_is_newer_and_was_put_there_after_the_signature_is_not_meant_by_it(
    past: Sequence[Placed], *, is_so: bool
) -> None:
    assert is_put_since(past, LEAF, day(14)) == is_so
    assert not is_put_since(past, LEAF, None), "nobody signed"


@pytest.mark.parametrize(
    ("told", "is_told"),
    [
        (event(), True),
        (event(outcome="failed", deployments=[{"replaced": True}]), False),
        (event(outcome="failed", deployments=[{}, {"bindings": {"attached": 1}}]), False),
        (event(outcome="superseded", deployments=[{"replaced": True, "bindings": None}]), False),
    ],
)
def test_what_was_put_somewhere_counts_also_where_it_was_not_put_everywhere(
    told: Mapping[str, Any], *, is_told: bool
) -> None:
    assert placed_in(told) == replace(MINE, is_told=is_told)


def test_a_renewal_whose_id_is_told_to_nobody_is_known_by_its_message() -> None:
    mine = Renewal("an id of nobody", "shop", "acme", Held(), message_sha256="11" * 32)
    placed = placed_in(event(renewal_id=None, message_sha256="11" * 32))
    assert placed is not None
    past = [placed, NEWER]
    assert is_replayed(past, mine.known_as, LEAF, is_again=False)
    for other in (replace(mine, message_sha256="22" * 32), replace(mine, message_sha256=None)):
        assert not is_replayed(past, other.known_as, LEAF, is_again=False)


def test_what_tells_neither_id_nor_message_is_no_known_renewals() -> None:
    placed = placed_in(event(renewal_id=None))
    assert placed is not None
    past = [placed, NEWER]
    for renewal_id in ("", "None", "message"):
        renewal = Renewal(renewal_id, "shop", "acme", Held())
        for one in (renewal, replace(renewal, message_sha256="11" * 32)):
            assert not is_replayed(past, one.known_as, LEAF, is_again=False)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"data": []},
        event(outcome="failed"),
        event(outcome="superseded", deployments=[{"replaced": False, "bindings": {"attached": 0}}]),
        event(outcome="failed", deployments="all"),
        event(outcome="failed", deployments=["all"]),
        event(leaf=None),
        event(leaf={**FACTS, "not_before": "soon"}),
        event(leaf={**FACTS, "not_after": "2026-01-20T00:00:00"}),
    ],
)
def test_what_was_put_nowhere_and_what_cannot_be_read_says_nothing(told: Mapping[str, Any]) -> None:
    assert placed_in(told) is None


HALF = {"outcome": "failed", "replaced": True, "bindings": {"attached": 0, "rolled_back": 3}}
BACK = {"reason": "rolled_back", "replaced": True, "bindings": {"attached": 1}}


@pytest.mark.parametrize(
    ("told", "lasts"),
    [
        (event(outcome="failed", reason="rolled_back", deployments=[BACK]), False),
        (event(outcome="failed", reason="binding_failed", deployments=[BACK, {"reason": "binding_failed"}]), False),
        (event(outcome="failed", reason="binding_failed", deployments=[BACK, {"replaced": True}]), True),
        (event(outcome="failed", reason="rolled_back", deployments="all"), False),
        (event(outcome="failed", reason="binding_failed", deployments=[HALF]), True),
    ],
)
def test_what_went_back_is_known_although_it_lasts_nowhere(told: Mapping[str, Any], *, lasts: bool) -> None:
    assert placed_in(told) == replace(MINE, is_told=False, went_back=True, lasts=lasts)
