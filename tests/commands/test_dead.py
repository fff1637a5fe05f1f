"""`rotation-worker dead list`: in order of time, and only what is asked for."""

import argparse
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.support.clouds import renewal
from tests.support.gateways import AUTHORITY
from tests.support.virtual_time import run_virtual
from worker.broker.base import EXPOSED, Dead, Message, withheld
from worker.commands.dead import _age, _asked_for, _list
from worker.settings import Settings
from worker.shielding import exposes

ISSUED = AUTHORITY.issue(["a.example.com"])
EARLY = datetime(2026, 11, 20, 10, tzinfo=UTC)
LATE = datetime(2026, 11, 20, 11, 30, tzinfo=timezone(timedelta(hours=1)))


def dead(name: str, since: datetime | None) -> Dead:
    return Dead(name, Message(b"{}", "application/json"), "malformed", "shop", f"renewal-{name}", since)


def listed(*ids: str) -> argparse.Namespace:
    return argparse.Namespace(ids=ids, json=True)


ALL = [dead("b", LATE), dead("a", EARLY), dead("c", None)]


def test_they_are_listed_in_order_of_time_as_rfc_3339(capsys: pytest.CaptureFixture[str]) -> None:
    assert _list(sorted(ALL, key=_age), listed()) == 0
    told = [(one["id"], one["since"]) for one in json.loads(capsys.readouterr().out)]
    assert told == [("c", None), ("a", "2026-11-20T10:00:00Z"), ("b", "2026-11-20T10:30:00Z")]


def test_only_those_that_are_named_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert _list(ALL, listed("a", "renewal-b")) == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == ["b", "a"]


def test_one_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert _list(ALL, listed("a", "x")) == 1
    said = capsys.readouterr()
    assert [one["id"] for one in json.loads(said.out)] == ["a"]
    told = "rotation-worker: not found: x\nnext: `rotation-worker dead list` shows which there are\n"
    assert said.err == told


@pytest.mark.parametrize("json_wanted", [True, False])
def test_of_one_that_held_a_key_in_the_open_it_is_told(
    capsys: pytest.CaptureFixture[str], *, json_wanted: bool
) -> None:
    note = Message(withheld("malformed", is_exposed=True), "application/json")
    for one, times in ((replace(dead("a", EARLY), message=note), 1), (dead("b", LATE), 0)):
        _list([one], argparse.Namespace(ids=(), json=json_wanted))
        assert capsys.readouterr().out.count(EXPOSED) == times


@pytest.mark.parametrize(
    ("body", "allowed", "is_exposed"),
    [
        (renewal(ISSUED).body, False, True),
        (renewal(ISSUED).body, True, None),
        (b"garbage", False, False),
        (renewal(ISSUED, material={"kind": "held"}).body, False, None),
    ],
)
def test_what_no_worker_has_seen_is_judged_as_a_worker_does(body: bytes, is_exposed: object, *, allowed: bool) -> None:
    settings = Settings.model_validate({"trust": {"allow_plain_keys": allowed}})
    assert (
        exposes(Message(body, "application/cloudevents+json"), allow_plain_keys=settings.trust.allow_plain_keys)
        is is_exposed
    )


@dataclass
class Looked:
    """A broker whose dead letters are in another's hands for a while."""

    looks: list[list[Dead]]
    is_at_work: bool = True

    async def dead(self) -> list[Dead]:
        return self.looks.pop(0)

    async def is_served(self) -> bool:
        return self.is_at_work


@pytest.mark.parametrize(
    ("looks", "ids", "is_at_work", "left"),
    [
        ([[], ALL], (), True, 0),
        ([ALL[:1], ALL[:2]], ("a",), True, 0),
        ([[], [], [], ALL], (), True, 1),
        ([[], ALL], (), False, 1),
        ([ALL, ALL], (), True, 1),
    ],
)
def test_while_a_worker_looks_at_them_nobody_is_told_that_they_are_not_there(
    looks: list[list[Dead]], ids: tuple[str, ...], *, is_at_work: bool, left: int
) -> None:
    broker: Any = Looked(list(looks), is_at_work)
    args = argparse.Namespace(ids=ids, certificate=None)
    found = run_virtual(_asked_for(broker, args))
    assert len(broker.looks) == left
    assert [one.id for one in found] == [one.id for one in sorted(looks[-left - 1], key=_age)]
