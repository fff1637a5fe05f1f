"""What is missing between what was meant and what the gateway shows: as values."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.values import bound, current, domain, leaf, listener, observed, stored
from worker.core.bundle import Leaf
from worker.core.deployment import Binding
from worker.core.errors import Failure
from worker.core.outcome import BindingResult
from worker.core.planning import Bound, Observed
from worker.core.readback import FLAG_MOVED, confirmed, is_complete, moved_flags, put_back, put_right

BLUE = stored(certificate_id="blue")
SICK = Failure("not_found", "", transient=False)


def confirmed_one(wanted: Binding, *rows: Bound, of: Leaf | None = None) -> BindingResult:
    [one] = confirmed([BindingResult(wanted, "attached")], observed(bound=rows), of)
    return one


def reason(wanted: Binding, *rows: Bound, of: Leaf | None = None) -> tuple[str, bool] | None:
    """Why it is no success, and whether that may pass."""
    one = confirmed_one(wanted, *rows, of=of)
    assert (one.state == "failed") == (one.failure is not None)
    return None if one.failure is None else (one.failure.reason, one.failure.transient)


def row(**overrides: Any) -> Bound:
    return bound(**{"stored": current(), **overrides})


def test_what_is_shown_as_it_shall_be_is_confirmed() -> None:
    assert reason(domain(client_verification=False), row(), of=leaf()) is None
    assert reason(domain(), row(client_verification=True), of=leaf()) is None, "nobody said what the flag shall be"
    assert reason(domain(client_verification=True), row(client_verification=None), of=leaf()) is None, "not told"
    assert reason(listener(), row(binding=listener(), client_verification=None), of=leaf()) is None


NOT_BOUND, STILL_OLD, MOVED = ("binding_failed", True), ("still_old", True), (FLAG_MOVED, False)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((), NOT_BOUND),
        ((row(stored=None),), NOT_BOUND),
        ((row(), row(stored=None)), NOT_BOUND),
        ((row(binding=domain("b.example.com")),), NOT_BOUND),
        ((row(binding=domain(instance_id="i2")),), NOT_BOUND),
        ((row(stored=stored()),), STILL_OLD),
        ((row(), row(stored=stored())), STILL_OLD),
        ((row(client_verification=True),), MOVED),
        ((row(), row(client_verification=True)), MOVED),
        ((row(client_verification=None), row(client_verification=True)), MOVED),
    ],
)
def test_what_is_shown_otherwise_is_a_failure(rows: tuple[Bound, ...], expected: tuple[str, bool]) -> None:
    assert reason(domain(client_verification=False), *rows, of=leaf()) == expected


def test_what_is_refused_for_being_there_already_is_judged_by_what_is_shown() -> None:
    """A chunk that was applied in part, or a lost answer: the next call for the same is refused."""
    wanted, conflict = domain(client_verification=False), Failure("conflict", "", transient=False)
    busy = Failure("busy", "", transient=True)
    for failure, rows, expected in (
        (conflict, [row()], BindingResult(wanted, "attached")),
        (conflict, [row(stored=stored())], BindingResult(wanted, "failed", conflict)),
        (conflict, [row(client_verification=True)], BindingResult(wanted, "failed", conflict)),
        (conflict, [], BindingResult(wanted, "failed", conflict)),
        (SICK, [row()], BindingResult(wanted, "failed", SICK)),
        (busy, [row()], BindingResult(wanted, "attached")),
        (busy, [], BindingResult(wanted, "failed", busy)),
    ):
        assert confirmed([BindingResult(wanted, "failed", failure)], observed(bound=rows), leaf()) == (expected,)


def test_a_listener_that_is_busy_may_show_what_it_had_before() -> None:
    failed = BindingResult(listener(), "failed", Failure("busy", "", transient=True))
    shown = row(binding=listener(), client_verification=None)
    assert confirmed([failed], observed(bound=[shown]), None) == (failed,)


def test_rows_of_other_places_are_nobodys_business() -> None:
    other = row(binding=domain(instance_id="i2"), stored=stored(), client_verification=True)
    assert reason(domain(client_verification=False), row(), other, of=leaf()) is None
    assert reason(domain(instance_id=None, client_verification=False), row(), other, of=leaf()) == STILL_OLD


def test_a_listener_for_one_name_is_not_the_one_for_all() -> None:
    assert reason(listener(), row(binding=listener(sni=True))) == NOT_BOUND


def test_a_domain_with_an_id_is_known_by_it() -> None:
    wanted = domain("d1", domain_id="d1")
    assert reason(wanted, row(binding=domain("a.example.com", domain_id="d1")), of=leaf()) is None
    assert reason(wanted, row(binding=domain("d1", domain_id="d2")), of=leaf()) == NOT_BOUND


def test_where_only_the_platform_knows_the_leaf_any_is_right() -> None:
    assert reason(domain(), row(stored=stored())) is None


def test_what_failed_stays_as_it_failed() -> None:
    failed = BindingResult(domain(), "failed", SICK)
    assert confirmed([failed], observed(bound=(row(),)), leaf()) == (failed,)
    assert confirmed([failed], observed(bound=()), leaf()) == (failed,)


def test_waiting_is_over_when_nothing_is_missing_that_was_there() -> None:
    sound, failed = BindingResult(domain(), "attached"), BindingResult(domain(), "failed", SICK)
    assert is_complete([sound, failed], [sound, failed])
    assert not is_complete([sound, failed], [sound, sound])
    assert not is_complete([failed, sound], [sound, sound])
    assert is_complete([sound, sound], [sound, failed]), "what was in doubt is there"
    with pytest.raises(ValueError, match="argument"):
        is_complete([sound], [sound, sound])


def moved(name: str) -> BindingResult:
    return BindingResult(domain(name), "failed", Failure(FLAG_MOVED, "", transient=False))


def test_only_flags_that_moved_are_put_right_and_told() -> None:
    sick = BindingResult(domain("sick"), "failed", SICK)
    shown = (BindingResult(domain("ok"), "attached"), sick, moved("a"), moved("b"), moved("c"))
    assert [one.name for one in moved_flags(shown)] == ["a", "b", "c"]
    again = (BindingResult(domain("a"), "attached"), BindingResult(domain("b"), "failed", SICK))
    told = put_right(shown, again)
    assert told[:2] == shown[:2]
    assert told[4] == shown[4]
    failures = [one.failure for one in told[2:4] if one.failure is not None]
    assert [(one.reason, one.transient) for one in failures] == [(FLAG_MOVED, False), (FLAG_MOVED, True)]
    assert [("is put right" in one.message) for one in failures] == [True, False]


def back(result: BindingResult, now: Bound) -> BindingResult:
    was = {result.binding: Bound(result.binding, stored(certificate_id="old"), False)}
    [told] = put_back([result], Observed(None, (now,)), was)
    return told


@pytest.mark.parametrize("reason", ["conflict", "busy"])
def test_what_refuses_to_go_back_because_it_is_there_is_back_where_the_gateway_shows_it(reason: str) -> None:
    one = domain("a.example.com")
    refused = BindingResult(one, "failed", Failure(reason, "bound already", transient=False))
    assert back(refused, Bound(one, stored(certificate_id="old"), False)).state == "rolled_back"
    assert back(refused, Bound(one, stored(certificate_id="new"), False)) == refused


def test_what_was_refused_for_anything_else_has_not_gone_back_whatever_is_shown() -> None:
    one = domain("a.example.com")
    refused = BindingResult(one, "failed", Failure("forbidden", "no right", transient=False))
    assert back(refused, Bound(one, stored(certificate_id="old"), False)) == refused


def test_what_names_no_instance_has_nothing_again_only_where_no_instance_shows_anything() -> None:
    everywhere = replace(domain("a.example.com"), instance_id=None)
    [told] = put_back(
        [BindingResult(everywhere, "attached")],
        Observed(None, (Bound(everywhere.at("i1"), stored(), False),)),
        {everywhere: Bound(everywhere, None)},
    )
    assert told.state == "failed"


def test_what_is_listed_without_an_instance_is_back_where_every_instance_shows_it_so() -> None:
    wanted = domain(instance_id=None)

    def told(was: Bound, *shown: Bound) -> list[str]:
        return [
            one.state for one in put_back([BindingResult(wanted, "attached")], observed(bound=shown), {wanted: was})
        ]

    here, there = (bound(wanted.at(at), stored=current()) for at in ("i1", "i2"))
    nothing, before = bound(wanted, stored=None), bound(wanted, stored=BLUE)
    assert told(nothing, here) == ["failed"]
    assert told(nothing) == told(nothing, nothing) == ["rolled_back"]
    assert told(before, bound(wanted.at("i1"), stored=BLUE), there) == ["failed"]
    assert told(before, *(bound(wanted.at(at), stored=BLUE) for at in ("i1", "i2"))) == ["rolled_back"]
