"""Do the schedule and the books of the soak bite? The soak itself is `make soak`."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from tests.soak.accounts import Evidence, broken, slopes
from tests.soak.estate import Item
from tests.soak.load import Order
from tests.soak.schedule import ACTORS, schedule
from worker.broker.base import Message
from worker.sandbox.world import Call, Change

START: Final = datetime(2026, 11, 1, tzinfo=UTC)
FIRST: Final = "00000000-0000-4000-8000-000000000001"
SECOND: Final = "00000000-0000-4000-8000-000000000002"
CANARY: Final = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"


def minute(number: float) -> datetime:
    return START + timedelta(minutes=number)


def order(renewal_id: str, number: int, **overrides: Any) -> Order:
    fields = {"sort": "newer", "message": Message(b"", ""), "private_key_pem": "", "accepted": 1}
    told = {"serial": number, "begins": minute(number), "at": minute(number)}
    return Order(**{"renewal_id": renewal_id, "certificate": "shop", **told, **fields, **overrides})


def change(place: str, number: int, at: float) -> Change:
    return Change(minute(at).timestamp(), place, "c1", number, minute(number), minute(9000), None)


def changes(number: int, at: float) -> list[Change]:
    return [change("stored/c1", number, at), change("i/www", number, at)]


def event(renewal_id: str, at: float, outcome: str = "succeeded", reason: str = "rotated") -> Mapping[str, Any]:
    finished = minute(at).isoformat()
    began = minute(at - 0.5).isoformat()
    told = {"certificate": "shop", "renewal_id": renewal_id, "started_at": began, "finished_at": finished}
    return {"id": f"{renewal_id}|{outcome}", "data": {**told, "outcome": outcome, "reason": reason}}


def put(at: float) -> Call:
    return Call(minute(at).timestamp(), "modify_certificate", "PUT", "/v2/p/apigw/certificates/c1", 200, {})


GOOD: Final = Evidence(
    orders=[order(FIRST, 1), order(SECOND, 2)],
    items=[Item("shop", "one", ["www"], ["i/www"], ["c1"])],
    events=[event(FIRST, 1.9), event(SECOND, 2.9)],
    dead={},
    calls=[put(1.5), put(2.5)],
    changes=[*changes(0, 0), *changes(1, 1.5), *changes(2, 2.5)],
    windows={"apig": [(1, 60.0)]},
    latency=0.03,
    secrets=[CANARY],
    texts={"a log": f"renewal {FIRST} is {CANARY[:20]}"},
    memory={"a": [(number * 10.0, 50 + number / 1000) for number in range(60)]},
)
BACK: Final = replace(GOOD, changes=[*GOOD.changes, *changes(1, 2.8)])
SICK: Final = replace(
    GOOD, events=[GOOD.events[0], event(SECOND, 2.9, "failed", "throttled")], dead={SECOND: "throttled"}
)

BEFORE_ITS_TIME: Final = replace(GOOD, events=[event(FIRST, 1.4, "superseded", "downgrade"), GOOD.events[1]])
"""What is newer was not stored until then, and had not even been sent."""
NEVER_STORED: Final = replace(
    GOOD,
    orders=[*GOOD.orders, order(SECOND[:-1] + "3", 3, reason="key_mismatch")],
    events=[
        GOOD.events[0],
        event(SECOND, 2.9, "superseded", "downgrade"),
        event(SECOND[:-1] + "3", 3.9, "failed", "key_mismatch"),
    ],
    dead={SECOND[:-1] + "3": "key_mismatch"},
    changes=GOOD.changes[:-2],
)
"""What is newer must be refused."""


def finished(renewal_id: str, at: float) -> str:
    return json.dumps({"event": "rotation.finished", "renewal_id": renewal_id, "timestamp": minute(at).isoformat()})


CROSSED: Final = replace(GOOD, texts={"worker-1": f"{finished(FIRST, 2.6)}\n{finished(SECOND, 2.8)}"})
"""The second one was stored before the first one had ended."""


def test_two_rotations_at_once_are_excused_where_a_worker_may_have_lost_its_place() -> None:
    frozen = (minute(2.1).timestamp(), minute(2.2).timestamp())
    assert broken(replace(CROSSED, unrest=[frozen])) == []
    assert broken(replace(GOOD, in_vain=[(minute(2.2).timestamp() + 1, "c1")], unrest=[frozen])) == []


def test_books_that_balance_are_not_complained_of() -> None:
    unheard = replace(GOOD, orders=[*GOOD.orders, order(FIRST[:-1] + "3", 3, accepted=0, in_doubt=4)])
    urgent = replace(
        GOOD,
        orders=[order(FIRST, 1, sort="back", at=minute(2.7)), order(SECOND, 2)],
        events=[event(SECOND, 2.6), event(FIRST, 2.9)],
        changes=[*changes(0, 0), *changes(2, 2.5), *changes(1, 2.8)],
    )
    for evidence in (GOOD, unheard, urgent):
        assert broken(evidence) == []


def test_where_the_cloud_tells_no_beginnings_an_urgent_one_may_go_back_over_any() -> None:
    items = [Item("shop", "both", ["www"], ["i/www", "l/sni=False"], ["c1"])]
    listener = [change("l/sni=False", number, at) for number, at in ((0, 0), (1, 1.5), (2, 2.5), (1, 2.8))]
    orders = [order(FIRST, 1, sort="back", at=minute(1)), order(SECOND, 2)]
    both = sorted([*GOOD.changes, *listener], key=lambda one: one.at)
    logs = {"worker-1": "\n".join([finished(FIRST, 1.9), finished(SECOND, 2.6), finished(FIRST, 2.9)])}
    assert broken(replace(GOOD, items=items, orders=orders, changes=both, texts=logs)) == []


BAD: Final = {
    "lost:": (1, replace(GOOD, events=GOOD.events[:1])),
    "never sent:": (1, replace(GOOD, orders=GOOD.orders[:1])),
    "told twice:": (1, replace(GOOD, events=[*GOOD.events, event(FIRST, 2.9, "superseded", "downgrade")])),
    "failed with throttled where success was due:": (1, SICK),
    "went back: stored/c1": (2, BACK),
    "went back: i/www": (2, replace(BACK, orders=[order(FIRST, 1, sort="back", at=minute(1)), order(SECOND, 2)])),
    "success without proof:": (3, replace(GOOD, changes=GOOD.changes[:-1])),
    f"superseded by nothing: {FIRST}": (3, BEFORE_ITS_TIME),
    f"superseded by nothing: {SECOND}": (3, NEVER_STORED),
    f"not served: {SECOND} at i/www": (3, BACK),
    f"stored though refused: {SECOND}": (
        3,
        replace(GOOD, orders=[order(FIRST, 1), order(SECOND, 2, reason="expired")]),
    ),
    "done again: c1": (4, replace(GOOD, in_vain=[(minute(2.6).timestamp(), "c1")])),
    "two rotations at once: stored/c1": (5, CROSSED),
    "two changes at once:": (5, replace(GOOD, calls=[put(1.5), put(1.5)], windows={})),
    "apig: more than 1 calls in 60 seconds": (6, replace(GOOD, calls=[put(1.5), put(2)])),
    "a secret leaked into a log": (7, replace(GOOD, texts={"a log": f'{{"a": "x\\n{CANARY}"}}'})),
    "3 messages are left": (8, replace(GOOD, waiting=3)),
    "a grows by": (8, replace(GOOD, memory={"a": [(number * 10.0, 50.0 + number) for number in range(60)]})),
    "SIGTERM": (8, replace(GOOD, complaints=["SIGTERM, and ended with 1"])),
}


@pytest.mark.parametrize("words", BAD)
def test_books_that_break_a_promise_are_told_by_its_number(words: str) -> None:
    promise, evidence = BAD[words]
    assert [one.promise for one in broken(evidence) if one.words.startswith(words)] == [promise]


def test_a_process_that_lived_too_short_says_nothing_about_memory() -> None:
    assert slopes({"a": [(0, 50), (100, 500)]}) == {}


def test_a_seed_gives_the_same_faults_again_and_another_seed_gives_others() -> None:
    assert schedule(1, 600) == schedule(1, 600) != schedule(2, 600)


def test_each_actor_breaks_one_thing_at_a_time_and_all_is_healed_at_the_end() -> None:
    steps = schedule(1, 600)
    for actor in ACTORS:
        mine = [step for step in steps if step.actor == actor.name]
        ends = [step.at + step.seconds for step in mine]
        assert all(end < step.at for end, step in zip(ends, mine[1:], strict=False))
        assert ends[-1] <= 600


def test_an_hour_holds_every_kind_of_fault() -> None:
    found = {(step.actor, step.kind) for step in schedule(1, 3600)}
    assert found == {(actor.name, kind.name) for actor in ACTORS for kind in actor.kinds}
