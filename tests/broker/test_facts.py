"""What is kept of events and notes: what decides, and no more than there is room for."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.broker.places import event
from tests.broker.test_contract_past import placed, put
from tests.support.facts import facts_of
from tests.support.values import day
from worker.broker.facts import EACH, FOR, Facts, Told, _Latest, _Places
from worker.core.note import TYPE, Note, entry_of
from worker.core.outcome import Previous
from worker.core.past import Placed
from worker.core.snapshot import Condemned, Snapshot

LEAF = "ab" * 32
SNAPSHOT = Snapshot({("a.example.com", "i1"): True})
NOTE = entry_of("shop", Note("apig/c1", LEAF, SNAPSHOT))
OUTCOME: Mapping[str, Any] = {
    "id": "mine",
    "subject": "shop",
    "time": "2026-01-01T00:00:00Z",
    "data": {"outcome": "failed", "reason": "forbidden", "leaf": {"fingerprint_sha256": LEAF}},
}
TOLD = Told("failed", "forbidden", "2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "garbage",
    [
        {"type": TYPE},
        {**NOTE, "flags": "all of them"},
        {**NOTE, "deployment": {}},
        {**OUTCOME, "data": {"leaf": ["ab"]}},
        {**OUTCOME, "data": {"leaf": {"fingerprint_sha256": {}}}},
        {**OUTCOME, "data": None, "subject": []},
        {"type": [TYPE]},
        put("aa") | {"subject": None},
        put("aa") | {"subject": []},
    ],
)
def test_what_is_no_note_and_no_event_is_passed_over(garbage: Mapping[str, object]) -> None:
    facts = facts_of([garbage, NOTE, garbage])
    assert facts.noted("shop", LEAF) == {"apig/c1": SNAPSHOT}
    assert facts.past("shop") == ()


def test_what_was_told_too_long_ago_is_of_no_renewal_that_comes_again() -> None:
    for seconds, told, noted in ((FOR - 60, TOLD, {"apig/c1": SNAPSHOT}), (FOR + 60, None, {})):
        facts, at = Facts(), time.time() - seconds
        facts.take_in(OUTCOME, at)
        facts.take_in(NOTE, at)
        facts.take_in(put("aa"), at)
        assert facts.find(["mine"], "shop", None, "cd") == told
        assert facts.noted("shop", LEAF) == noted
        bad = replace(SNAPSHOT, bad=Condemned(()))
        facts.take_in(entry_of("shop", Note("apig/c1", LEAF, bad)), at)
        assert facts.noted("shop", LEAF) == {"apig/c1": bad}, "as long as there is a dead letter"
        assert facts.past("shop") == (placed("aa"),), "which is known as far as the history goes"


def test_that_there_was_a_client_ca_is_known_as_long_as_there_is_a_dead_letter() -> None:
    """Alone, and for whichever leaf comes next: flags may be somebody else's by then."""
    told = replace(SNAPSHOT, has_client_ca=True)
    note = entry_of("shop", Note("apig/c1", LEAF, told))
    for outcome, left in (("failed", {"apig/c1": Snapshot(has_client_ca=True)}), ("succeeded", {})):
        event = {**OUTCOME, "data": {**OUTCOME["data"], "outcome": outcome}}
        assert facts_of([note]).noted("shop", LEAF) == {"apig/c1": told}
        assert facts_of([note, event]).noted("shop", LEAF) == left
        assert facts_of([note, event]).noted("shop", "cd" * 32) == left


def test_notes_end_with_the_outcome_of_the_message_that_left_them() -> None:
    """Or with one that succeeded: another message with the same leaf may be refused while the first is parked."""

    def ended(digest: str | None, outcome: str = "superseded", *, noted_by: tuple[str | None, ...] = ("aa",)) -> bool:
        notes = [entry_of("shop", Note("apig/c1", LEAF, SNAPSHOT, one)) for one in noted_by]
        data = {**OUTCOME["data"], "outcome": outcome, "message_sha256": digest}
        return not facts_of([*notes, {**OUTCOME, "data": data}]).noted("shop", LEAF)

    assert not ended("bb")
    assert not ended("bb", "failed", noted_by=("aa", "bb"))
    assert not ended("aa", "failed", noted_by=("aa", "bb"))
    assert all(ended(*told) for told in (("aa",), ("bb", "succeeded"), (None,)))
    assert ended("bb", noted_by=(None,)), "an older worker's"


def test_the_outcomes_that_anybody_can_bring_about_do_not_drive_out_others() -> None:
    facts = Facts(_Latest(3), _Latest(3))
    facts.take_in(OUTCOME)
    for number in range(10):
        facts.take_in(event(id=f"junk{number}", data={"outcome": "failed", "reason": "malformed", "leaf": None}))
    found = [facts.find([one], "shop", None, "cd") is not None for one in ("mine", "junk0", "junk6", "junk7", "junk9")]
    assert found == [True, False, False, True, True]


def test_of_one_certificate_the_latest_are_kept_and_what_comes_again_takes_no_place() -> None:
    facts = facts_of([put("aa"), *[put("bb")] * 2 * EACH])
    assert facts.past("shop") == (placed("aa"), placed("bb"))
    for number in range(2 * EACH):
        again = put("cc")
        facts.take_in(again | {"data": {**again["data"], "renewal_id": f"r{number}"}})
    assert [one.renewals for one in facts.past("shop")] == [("aa",), ("bb",), ("r0", "r13", "r14", "r15")]
    for number in range(10, 10 + EACH):
        facts.take_in(put(str(number)))
    assert [one.renewal_id for one in facts.past("shop")] == [str(number) for number in range(10, 10 + EACH)]


def test_what_has_taken_back_another_is_known_as_long_as_that() -> None:
    places = _Places(each=3)
    back = replace(placed("aa"), took=(Previous(None, day(12)),))
    newer = replace(placed("bb", is_told=False), not_before=day(2), not_after=day(12))
    for one in (back, newer, placed("cc"), newer, placed("dd")):
        places.put("shop", one)
    assert places.of("shop") == (back, newer, placed("dd"))
    places.put("shop", placed("ee"))
    assert places.of("shop") == (back, placed("dd"), placed("ee")), "that one first"
    places.put("shop", placed("ff"))
    assert places.of("shop") == (placed("dd"), placed("ee"), placed("ff"))


def test_what_comes_again_has_taken_what_it_took_the_first_time() -> None:
    places, first, second = _Places(), Previous("1", None), Previous("2", None)
    for took in ((first,), (second,), (second,)):
        places.put("shop", replace(placed("aa"), took=took))
    assert places.of("shop") == (replace(placed("aa"), took=(first, second)),)


def test_where_room_is_scarce_each_certificate_keeps_its_latest() -> None:
    def put_at(certificate: str, *numbers: int) -> None:
        for number in numbers:
            places.put(certificate, replace(placed(f"{number:02}"), renewal_id=f"r{number}"))

    def kept(certificate: str) -> list[str]:
        return [one.renewal_id for one in places.of(certificate)]

    places = _Places(each=4, in_all=6)
    put_at("shop", 1, 2, 3, 4)
    put_at("blog", 1, 2)
    assert (kept("shop"), kept("blog")) == (["r1", "r2", "r3", "r4"], ["r1", "r2"])
    with capture_logs() as log:
        put_at("wiki", 1)
    assert log == [{"event": "history.shortened", "each": 2, "log_level": "warning"}]
    assert (kept("shop"), kept("blog"), kept("wiki")) == (["r3", "r4"], ["r1", "r2"], ["r1"])
    for number in range(4):
        put_at(f"c{number}", 1)
    assert [len(kept(one)) for one in ("shop", "blog", "wiki", "c0", "c1", "c2", "c3")] == [0, 1, 1, 1, 1, 1, 1]
    assert kept("blog") == ["r2"]


def test_of_a_long_event_little_is_kept() -> None:
    """Neither its failures nor its names."""
    told = put("aa", deployments=[{"failures": [{"name": "x" * 1000}] * 1000}])
    [kept] = facts_of([told]).past("shop")
    assert len(repr(kept)) < 600
    assert isinstance(kept, Placed)
