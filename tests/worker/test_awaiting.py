"""Waiting for outcomes in virtual time: bounded, and not deceived by a history that moves on."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.support.virtual_time import run_virtual
from worker.awaiting import Awaited
from worker.beside import beside
from worker.broker.base import BrokerError
from worker.broker.facts import Told
from worker.core.events import event_id, event_ids


def event(renewal_id: str, certificate: str = "shop", *, made_of: str | None = None) -> dict[str, Any]:
    return {
        "id": event_id(made_of or renewal_id, "succeeded"),
        "causationid": renewal_id,
        "subject": certificate,
        "data": {"outcome": "succeeded", "reason": "rotated"},
    }


@dataclass
class Past:
    """A history, newest first."""

    events: list[dict[str, Any]] = field(default_factory=list)
    failures: int = 0

    async def history(self, certificate: str | None = None, *, limit: int = 100) -> Sequence[Mapping[str, object]]:
        if self.failures:
            self.failures -= 1
            raise BrokerError("away")
        return [one for one in self.events if certificate in (None, one["subject"])][:limit]


def waited(past: Any, *, told_after: float = 5, told: Sequence[dict[str, Any]] = ()) -> tuple[Told | None, float]:
    """The outcome of `mine` with a minute's patience, and when it was known."""

    async def scenario() -> tuple[Told | None, float]:
        loop = asyncio.get_running_loop()
        awaited = Awaited(past, 60)
        loop.call_later(told_after, past.events.extend, told)
        async with beside(awaited.look_on()):
            return await awaited.outcome(event_ids("mine"), "shop"), loop.time()

    return run_virtual(scenario())


def test_an_outcome_is_heard_of_soon_after_it_is_told() -> None:
    assert waited(Past(), told=[event("mine")], told_after=4.5) == (Told("succeeded", "rotated"), 5)


def test_a_history_that_cannot_be_read_for_a_while_is_asked_again() -> None:
    told, at = waited(Past(failures=8), told=[event("mine")])
    assert (told, at) == (Told("succeeded", "rotated"), 9)


def test_what_was_refused_and_only_claims_to_be_that_renewal_is_not_believed() -> None:
    claims = [event("mine", made_of="somebody else's message")]
    assert waited(Past(), told=claims) == (None, 60)
    assert waited(Past(events=claims), told=[event("mine")]) == (Told("succeeded", "rotated"), 5)


def test_what_is_never_told_is_not_waited_for_for_ever() -> None:
    assert waited(Past()) == (None, 60)
    assert waited(Past(failures=1000)) == (None, 60)


def at(minute: int, outcome: str) -> dict[str, Any]:
    told = {**event("mine"), "time": f"2026-11-20T10:{minute:02}:00Z"}
    return {**told, "data": {"outcome": outcome, "reason": f"at {minute}"}}


def test_of_what_was_put_back_only_what_is_told_afterwards_counts() -> None:
    past: Any = Past(events=[at(7, "failed"), at(5, "failed")])
    given_up = datetime(2026, 11, 20, 10, 7, tzinfo=UTC)

    async def scenario() -> tuple[Told | None, ...]:
        awaited = Awaited(past, 60)
        asyncio.get_running_loop().call_later(30, past.events.insert, 0, at(9, "succeeded"))
        async with beside(awaited.look_on()):
            again = awaited.outcome(event_ids("mine"), "shop", after=given_up)
            any_time = awaited.outcome(event_ids("mine"), "shop")
            return tuple(await asyncio.gather(again, any_time))  # both are waited for under the same ids

    assert run_virtual(scenario()) == (Told("succeeded", "at 9"), Told("failed", "at 7"))


def test_an_outcome_of_before_is_none_when_patience_ends_either() -> None:
    past: Any = Past(events=[at(7, "failed")])

    async def scenario() -> Told | None:
        awaited = Awaited(past, 60)
        return await awaited.outcome(event_ids("mine"), "shop", after=datetime(2026, 11, 20, 10, 7, tzinfo=UTC))

    assert run_virtual(scenario()) is None


def test_an_outcome_behind_more_others_than_one_look_reads_is_found_in_the_end() -> None:
    crowd = [event(f"other-{number}", "blog") for number in range(5000)]
    assert waited(Past(), told=[*crowd, event("mine")]) == (Told("succeeded", "rotated"), 60)
