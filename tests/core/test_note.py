"""What is noted for whoever takes over: written, read, and garbage that is neither."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.values import day, domain
from worker.core.errors import Failure
from worker.core.note import TYPE, Note, entry_of, is_note, note_in
from worker.core.outcome import Previous
from worker.core.proof import Reach, Shortfall
from worker.core.snapshot import Condemned, Flags, Origin, Snapshot, Verdict

PLACES = st.tuples(st.text(), st.none() | st.text())
PREVIOUS = st.none() | st.builds(Previous, st.none() | st.text(), st.none() | st.just(day(3, 4)))
ORIGINS = st.dictionaries(
    st.tuples(st.text(), st.none() | st.text(), st.booleans()),
    st.builds(Origin, st.none() | st.text(), st.none() | st.booleans()),
)
ALONE = st.builds(Verdict, st.none(), st.text(), st.text())
CONDEMNED = st.builds(
    lambda alone, moved, why: Condemned((*alone, *(Verdict(one, why, "") for one in moved)), frozenset(moved)),
    st.lists(ALONE),
    st.lists(st.tuples(st.text(), st.just("i1"), st.just(value=False)), unique=True),
    st.text(),
)
SNAPSHOTS = st.builds(
    Snapshot,
    st.dictionaries(PLACES, st.booleans()),
    PREVIOUS,
    st.booleans(),
    st.none() | st.just(day(3, 4)),
    ORIGINS,
    st.none() | CONDEMNED,
    st.builds(Reach, st.frozensets(st.text()), st.frozensets(st.text())),
    st.booleans(),
)


def entry(**overrides: Any) -> dict[str, Any]:
    snapshot = Snapshot({("a.example.com", "i1"): True}, Previous("1", day(11)), is_replaced=True)
    return {**entry_of("shop", Note("apig/c1", "ab" * 32, snapshot)), **overrides}


@given(SNAPSHOTS)
def test_a_note_is_read_as_it_was_written(snapshot: Snapshot) -> None:
    note = Note("apig/c1", "ab" * 32, snapshot)
    assert note_in(json.loads(json.dumps(entry_of("shop", note)))) == ("shop", note)


@pytest.mark.parametrize(
    "garbage",
    [
        {"certificate": None},
        {"deployment": 7},
        {"leaf": ["ab"]},
        {"flags": {"a.example.com": True}},
        {"flags": [["a.example.com", "i1", True]]},
        {"flags": [{"instance_id": 1, "on": [], "off": []}]},
        {"flags": [{"instance_id": "i1", "on": [None], "off": []}]},
        {"flags": [{"instance_id": "i1"}]},
        {"previous": "4660"},
        {"previous": {"serial_number": "1", "not_after": "yesterday"}},
        {"previous": {"serial_number": "1", "not_after": "2026-01-01T00:00:00"}},
        {"previous": {"serial_number": "1", "not_after": 1e300}},
        {"is_replaced": "yes"},
        {"bad": "very"},
        {"bad": {"verdicts": [{"reason": "still_old"}], "moved": []}},
        {"type": "certificate.rotation.succeeded"},
    ],
)
def test_what_has_other_types_is_no_note(garbage: dict[str, Any]) -> None:
    assert note_in(entry()) is not None
    assert note_in(entry(**garbage)) is None
    assert is_note(entry(**garbage)) == ("type" not in garbage)


def test_a_part_that_is_missing_makes_it_none() -> None:
    for name in entry():
        # Older workers know nothing of these.
        later = ("origins", "bad", "answered", "replaced_at", "message_sha256", "unreached", "has_client_ca")
        if name not in ("type", *later):
            assert note_in({key: value for key, value in entry().items() if key != name}) is None
    assert note_in({"type": TYPE}) is None


def test_ten_thousand_domains_that_are_bad_are_noted_in_not_much_more_than_twice_their_names() -> None:
    names = [f"domain-{number:05}.example.com" for number in range(10_000)]
    bindings = [domain(name) for name in names]
    found = [Shortfall(Failure("still_old", f"{one.name}: at it", transient=True), one, one.name) for one in bindings]
    note = Note("apig/c1", "ab" * 32, Snapshot().condemned(bindings, found))
    body = json.dumps(entry_of("shop", note))
    assert len(body) < 2 * sum(len(name) + 4 for name in names) + 20_000
    assert note_in(json.loads(body)) == ("shop", note)


def test_ten_thousand_domains_are_are_noted_in_so_many_bytes_as_their_names_need() -> None:
    names = [f"domain-{number:05}.example.com" for number in range(10_000)]
    flags: Flags = {(name, f"f0fa-instance-{number % 3}"): number % 7 == 0 for number, name in enumerate(names)}
    body = json.dumps(entry_of("shop", Note("apig/c1", "ab" * 32, Snapshot(flags))))
    assert len(body) < sum(len(name) + 4 for name in names) + 1000
