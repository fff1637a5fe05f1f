"""In its own place: the material that was proven last comes back where it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, day, deployment, domain, leaf, stored
from tests.support.virtual_time import run_virtual
from worker.core.bundle import Bundle
from worker.core.errors import Failure, PermanentError, TransientError
from worker.core.note import Note
from worker.core.outcome import Report
from worker.core.proof import Served, Shortfall
from worker.core.readback import FLAG_MOVED
from worker.effort import Effort, spending
from worker.rotation import NOT_KEPT, Rotator

TODAY = day(10)
BEFORE = bundle(leaf=leaf(serial_number=1, not_before=day(1), not_after=day(11), fingerprint_sha256="cd" * 32))


@dataclass
class Shelf:
    material: Bundle | None = None
    error: Exception | None = None
    kept: list[Bundle] = field(default_factory=list)

    async def keep(self, _certificate: str, brought: Bundle) -> None:
        if self.error is not None:
            raise self.error
        self.kept.append(brought)

    async def last(self, _certificate: str) -> Bundle | None:
        if self.error is not None:
            raise self.error
        return self.material


class Stuck(FakeGateway):
    """Can be written once."""

    async def replace(self, *what: Any) -> Any:
        if "replace" in self.journal:
            raise TransientError("gateway_unavailable", "away")
        return await FakeGateway.replace(self, *what)


class Dropping(FakeGateway):
    """Drops the client CA of whatever is written first."""

    async def replace(self, *what: Any) -> Any:
        is_first = "replace" not in self.journal
        stored = await FakeGateway.replace(self, *what)
        if is_first:
            raise PermanentError(FLAG_MOVED, "it has lost its client CA")
        return stored


def cloud(**overrides: Any) -> FakeGateway:
    fields: dict[str, Any] = {"stored": stored(), "rows": {"a.example.com": False, "b.example.com": True}}
    return FakeGateway(**{**fields, **overrides})


def rotated(
    gateway: FakeGateway,
    shelf: Shelf,
    *,
    is_bad: bool = True,
    of_binding: bool = True,
    is_blind: bool = False,
    strategy: str = "in_place",
    now: datetime = TODAY,
) -> Report:
    async def verify(served: Served, /) -> Sequence[Shortfall]:
        failure = Failure("chain_incomplete", "at 127.0.0.1", transient=True)
        where = served.bindings[0] if of_binding else None
        return [Shortfall(failure, where, "a.example.com:443", is_blind)] if is_bad else ()

    rotator = Rotator({"apig": gateway}, verify=verify, kept={"shop": shelf}, utc_now=lambda: now)
    return run_virtual(rotator.rotate(certificate(deployment(strategy=strategy)), bundle()))


def test_what_is_proven_is_kept_from_now_on() -> None:
    shelf = Shelf(BEFORE)
    assert rotated(cloud(), shelf, is_bad=False).outcome == "succeeded"
    assert [one.leaf.serial_number for one in shelf.kept] == [4660]


def test_what_could_not_be_kept_is_a_warning_of_a_rotation_that_succeeded() -> None:
    report = rotated(cloud(), Shelf(error=TransientError("previous_unavailable")), is_bad=False)
    assert (report.outcome, report.warnings) == ("succeeded", (NOT_KEPT,))


def test_what_was_there_before_comes_back_when_the_new_one_turns_out_bad() -> None:
    gateway, shelf = cloud(), Shelf(BEFORE)
    report = rotated(gateway, shelf)
    [one] = report.deployments
    assert (report.outcome, report.reason) == ("failed", "rolled_back")
    assert {result.state for result in one.bindings} == {"rolled_back"}
    assert [(why.reason, why.transient) for why in report.failures] == [("chain_incomplete", False)]
    assert gateway.stored is not None
    assert gateway.stored.serial_number == 1
    assert gateway.rows == {"a.example.com": False, "b.example.com": True}
    assert shelf.kept == []


def test_an_endpoint_of_no_binding_brings_everything_back_too() -> None:
    gateway = cloud()
    report = rotated(gateway, Shelf(BEFORE), of_binding=False)
    assert (report.reason, [one.transient for one in report.failures]) == ("rolled_back", [False])
    assert gateway.stored is not None
    assert gateway.stored.serial_number == 1


def test_an_older_one_than_what_was_replaced_never_comes_back() -> None:
    """It may be one that had to go."""
    older = bundle(leaf=leaf(serial_number=77, not_before=day(1), not_after=day(12)))
    gateway = cloud()
    report = rotated(gateway, Shelf(older))
    assert report.reason == "chain_incomplete"
    assert report.failures[0].message.endswith("; nothing could be put back: what is kept is not what was replaced")
    assert gateway.stored is not None
    assert gateway.stored.serial_number == 4660


def test_the_log_says_in_one_line_where_the_material_went_back() -> None:
    with capture_logs() as told:
        rotated(cloud(), Shelf(BEFORE))
        rotated(cloud(), Shelf())
    [line] = [line for line in told if line["event"] == "deployment.rolled_back"]
    names, why = ["a.example.com", "b.example.com"], ("chain_incomplete", "at 127.0.0.1")
    assert (line["gateway"], line["bindings"], line["left"], line["names"]) == ("apig", 2, 0, names)
    assert (line["to"], (line["reason"], line["why"])) == (["c1"], why)


def test_what_has_expired_never_comes_back() -> None:
    gateway = cloud()
    report = rotated(gateway, Shelf(BEFORE), now=day(11))
    assert (report.reason, [one.transient for one in report.failures]) == ("chain_incomplete", [True])
    assert report.failures[0].message.endswith("; nothing could be put back: what is kept has expired")
    assert gateway.stored is not None
    assert gateway.stored.serial_number == 4660


def test_without_anything_kept_the_failure_says_so_and_is_tried_again() -> None:
    broken = Shelf(error=PermanentError("previous_broken"))
    for of_binding in (True, False):
        for shelf, told in ((Shelf(), "nothing is kept"), (broken, "what is kept cannot be read (previous_broken)")):
            [why] = rotated(cloud(), shelf, of_binding=of_binding).failures
            assert why.message == f"at 127.0.0.1; nothing could be put back: {told}"
            assert why.transient


@pytest.mark.parametrize("of_binding", [True, False])
def test_a_second_call_that_finds_it_there_and_bad_says_that_nothing_could_be_put_back(*, of_binding: bool) -> None:
    """Nobody told it what the first one replaced, so what is kept may be anything."""
    gateway = cloud()
    rotated(gateway, Shelf(BEFORE), of_binding=of_binding, is_blind=True)
    [why] = rotated(gateway, Shelf(BEFORE), of_binding=of_binding).failures
    assert why.message.endswith("; nothing could be put back: nobody knows what was there before")


def test_what_cannot_be_put_back_is_told_and_tried_again() -> None:
    report = rotated(Stuck(stored(), {"a.example.com": False}), Shelf(BEFORE))
    assert (report.reason, [why.reason for why in report.failures]) == ("binding_failed", ["gateway_unavailable"])
    assert all(why.transient for why in report.failures)


def test_where_nothing_is_bound_what_cannot_be_put_back_is_no_roll_back_and_is_tried_again() -> None:
    gateway = Stuck(stored(), {})
    report = rotated(gateway, Shelf(BEFORE), of_binding=False)
    assert gateway.stored is not None
    assert gateway.stored.serial_number == 4660, "the bad one is still there"
    assert {"rolled_back"}.isdisjoint([report.reason, *(one.reason for one in report.deployments)])
    assert all(why.transient for why in report.failures)
    assert "gateway_unavailable" in [why.reason for why in report.failures]


def test_where_nothing_is_bound_what_was_put_back_is_a_roll_back() -> None:
    gateway = cloud(rows={})
    assert rotated(gateway, Shelf(BEFORE), of_binding=False).reason == "rolled_back"
    assert gateway.stored is not None
    assert gateway.stored.serial_number == 1


@pytest.mark.parametrize("of_binding", [True, False])
@pytest.mark.parametrize("strategy", ["in_place", "blue_green"])
def test_nothing_comes_back_where_nothing_could_be_seen(*, of_binding: bool, strategy: str) -> None:
    gateway = cloud()
    report = rotated(gateway, Shelf(BEFORE), of_binding=of_binding, is_blind=True, strategy=strategy)
    assert (report.outcome, report.reason) == ("failed", "chain_incomplete")
    assert [(why.message, why.transient) for why in report.failures] == [("at 127.0.0.1", True)]
    assert gateway.stored is not None
    assert gateway.stored.serial_number == 4660
    assert gateway.retired == []


@dataclass
class Newcomer:
    """A renewal that binds one more domain, and turns out bad; one worker goes on with it after the other."""

    gateway: FakeGateway
    notes: list[Note] = field(default_factory=list)

    async def keep(self, note: Note) -> None:
        self.notes.append(note)

    async def attempt(self) -> dict[str, tuple[str, str]]:
        """State and message of each binding."""

        async def verify(served: Served, /) -> Sequence[Shortfall]:
            return [Shortfall(Failure("still_old", "at it", transient=True), served.bindings[0], "a.example.com:443")]

        rotator = Rotator({"apig": self.gateway}, verify, kept={"shop": Shelf(BEFORE)}, utc_now=lambda: TODAY)
        for note in self.notes:
            rotator.recall(bundle().leaf, {note.deployment: note.snapshot})
        wanted = certificate(deployment(bindings=(domain("a.example.com"), domain("c.example.com"))))
        with spending(Effort(keep=self.keep)):
            [told] = (await rotator.rotate(wanted, bundle())).deployments
        results = [(one, "" if one.failure is None else one.failure.message) for one in told.bindings]
        return {one.binding.name: (one.state, message) for one, message in results}


def test_what_was_bound_to_nothing_has_nothing_again() -> None:
    gateway = cloud(rows={"a.example.com": False})
    told = run_virtual(Newcomer(gateway).attempt())
    assert told == {"a.example.com": ("rolled_back", "at it"), "c.example.com": ("rolled_back", "")}
    assert gateway.rows == {"a.example.com": False}


@pytest.mark.parametrize(
    ("strangers", "why"),
    [
        ((), "was not bound here before, and this cloud cannot unbind: it is left here"),
        ([("c.example.com", "s1")], "was bound elsewhere before; it is left here"),
    ],
)
def test_what_cannot_be_as_it_was_is_told_as_failed_in_whichever_attempt(
    strangers: Sequence[tuple[str, str]], why: str
) -> None:
    gateway = Stuck(stored(), {"a.example.com": False}, detaches=bool(strangers), strangers=dict(strangers))
    renewal = Newcomer(gateway)
    assert run_virtual(renewal.attempt())["c.example.com"] == ("failed", "away"), "nothing could be written back"
    gateway.journal.clear()
    told = run_virtual(renewal.attempt())
    assert told == {"a.example.com": ("rolled_back", "at it"), "c.example.com": ("failed", why)}
    assert gateway.rows.keys() == {"a.example.com", "c.example.com"}


def test_what_was_somebody_elses_is_known_as_that_in_an_attempt_that_binds_it_later() -> None:
    """The first one came to nothing, and knew the flags."""
    gateway = cloud(rows={"a.example.com": False}, strangers={"c.example.com": "s1"})
    gateway.errors["replace"] = [TransientError("gateway_unavailable", "away")]
    renewal = Newcomer(gateway)
    run_virtual(renewal.attempt())
    assert gateway.strangers, "not bound yet"
    told = run_virtual(renewal.attempt())
    assert told["c.example.com"] == ("failed", "was bound elsewhere before; it is left here")


@pytest.mark.parametrize("rows", [{}, {"a.example.com": True}, {"a.example.com": True, "b.example.com": True}])
def test_what_has_lost_its_client_ca_by_the_put_is_written_and_goes_back(rows: dict[str, bool | None]) -> None:
    """`a` alone: `b` was bound to nothing, and is not touched."""
    gateway = Dropping(stored(has_trusted_root_ca=True), dict(rows))
    wanted = certificate(deployment(trusted_root_ca="CA", bindings=(domain("a.example.com"), domain("b.example.com"))))
    rotator = Rotator({"apig": gateway}, kept={"shop": Shelf(BEFORE)}, utc_now=lambda: TODAY)
    report = run_virtual(rotator.rotate(wanted, bundle()))
    [told] = report.deployments
    assert (report.reason, told.replaced, gateway.rows) == ("rolled_back", False, rows)
    assert gateway.stored is not None
    assert gateway.stored.serial_number == BEFORE.leaf.serial_number
    assert {one.reason for one in report.failures} == {FLAG_MOVED}
    assert [one.binding.name for one in told.bindings if one.state == "rolled_back"] == list(rows)


def test_what_has_lost_its_client_ca_and_cannot_go_back_is_told_as_there() -> None:
    gateway = Dropping(stored(has_trusted_root_ca=True), {"a.example.com": True})
    rotator = Rotator({"apig": gateway}, utc_now=lambda: TODAY)
    report = run_virtual(rotator.rotate(certificate(deployment(trusted_root_ca="CA")), bundle()))
    [told] = report.deployments
    assert (told.reason, told.replaced, told.certificate_id) == (FLAG_MOVED, True, "c1")
    [why] = report.failures
    assert (why.transient, why.message) == (
        False,
        "it has lost its client CA; nothing could be put back: nothing is kept",
    )
