"""`rotation-worker dead list`: in order of time, and only what is asked for."""

import argparse
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.support.clouds import renewal
from tests.support.gateways import AUTHORITY
from worker.broker.base import EXPOSED, Dead, Message, withheld
from worker.commands.dead import _age, _drop, _list, _replay
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


class Shared:
    """A broker whose dead letters others take, too: but for the first they are gone by now."""

    async def drop(self, ids: Sequence[str]) -> Sequence[str]:
        return ids[:1]

    async def replay(self, ids: Sequence[str], heard: Callable[[str], None]) -> Sequence[str]:
        heard(ids[0])
        return ids[:1]


@pytest.mark.parametrize("act", [_drop, _replay])
async def test_what_was_gone_before_it_could_be_put_back_or_dropped_is_told(
    act: Callable[..., Awaitable[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    args = argparse.Namespace(ids=(), json=True, wait=None)
    assert await act(Shared(), ALL, args) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["unknown"] == ["a", "c"]
    assert "not found: a, c" in said.err
