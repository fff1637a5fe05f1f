"""Whoever looks on hears of what runs, of what is parked, and of what the world was told: no more, and no less."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.support.clouds import renewal
from tests.support.consumers import changed
from tests.support.fake_gateway import FakeGateway
from tests.support.values import stored
from tests.worker.test_consumer import AUTHORITY, NAMES, Inbox, consumer_of, good
from worker.broker.base import BrokerLostError
from worker.core.errors import NotAskedError, PermanentError, TransientError
from worker.core.outcome import Report
from worker.effort import Effort
from worker.fleet.values import Parked


@dataclass
class Notes:
    """In order, what was heard."""

    heard: list[str] = field(default_factory=list)
    waiting: list[Parked] = field(default_factory=list)
    named: list[bool] = field(default_factory=list)
    """Whether the ids of these may be told."""
    events: list[Mapping[str, Any]] = field(default_factory=list)
    is_sick: bool = False

    @contextmanager
    def rotating(self, certificate: str, _renewal_id: str, attempt: int, _effort: Effort) -> Iterator[None]:
        self.heard.append(f"begun {certificate} {attempt}")
        yield
        self.heard.append("over")

    def told(self, event: Mapping[str, Any], report: Report) -> None:
        self.heard.append(f"told {report.outcome}")
        self.events.append(event)
        if self.is_sick:
            raise RuntimeError

    def parked(self, one: Parked, *, is_named: bool) -> None:
        self.heard.append("parked")
        self.waiting.append(one)
        self.named.append(is_named)


class Lost(Inbox):
    """The link to the broker dies between the event and the ack."""

    async def ack(self) -> None:
        self.log.append("lost")
        self.stopping.set()
        raise BrokerLostError("the broker is gone")


class Away(FakeGateway):
    """Known to be down: it is not asked anything."""

    def refusal(self) -> NotAskedError:
        return NotAskedError("gateway_unavailable")


async def looked_on(inbox: Inbox, gateway: FakeGateway, **about: Any) -> tuple[Notes, float]:
    """What was heard, and how many renewals the metrics have counted."""
    notes = Notes(**about)
    consumer = changed(consumer_of(inbox, gateway), onlooker=notes)
    await consumer.run()
    [counted] = list(consumer.attempts.metrics.renewals.collect())
    return notes, sum(one.value for one in counted.samples if one.name.endswith("_total"))


def shop(**overrides: Any) -> FakeGateway:
    return FakeGateway(stored(), {"a.example.com": False}, **overrides)


def inbox() -> Inbox:
    return Inbox(good(), asyncio.Event())


async def test_a_rotation_is_under_way_until_it_is_settled() -> None:
    notes, counted = await looked_on(inbox(), shop())
    assert (notes.heard, counted) == (["begun shop 1", "told succeeded", "over"], 1)


async def test_what_was_told_is_counted_though_it_was_never_settled() -> None:
    lost = Lost(good(), asyncio.Event())
    notes, counted = await looked_on(lost, shop())
    assert lost.log == ["event", "lost"]
    assert (notes.events, counted) == (lost.events, 1)


async def test_what_is_parked_is_no_outcome_and_says_why_and_until_when() -> None:
    before = datetime.now(UTC)
    notes, counted = await looked_on(inbox(), shop(errors={"observe": [TransientError("throttled", "too many")]}))
    [one] = notes.waiting
    assert notes.named == [True], "its key was read before the gateway was asked"
    assert (notes.heard, counted) == (["begun shop 1", "parked", "over"], 0)
    assert (one.certificate, one.reason, one.message, one.attempt) == ("shop", "throttled", "too many", 1)
    assert (one.until - one.since).total_seconds() == 30
    assert one.since >= before


async def test_what_is_parked_before_its_key_was_read_is_not_named() -> None:
    notes, _ = await looked_on(inbox(), Away(stored(), {}))
    assert (notes.heard, notes.named) == (["begun shop 1", "parked", "over"], [False])


async def test_what_is_refused_before_anything_is_done_is_told_and_never_under_way() -> None:
    sent = renewal(AUTHORITY.issue(NAMES), renewal_id=7)
    notes, counted = await looked_on(Inbox(sent, asyncio.Event()), shop())
    assert (notes.heard, counted) == (["told failed"], 1)


async def test_who_looks_on_and_stumbles_stops_no_rotation() -> None:
    post = inbox()
    await looked_on(post, shop(), is_sick=True)
    assert post.log == ["event", "ack"]


async def test_how_long_it_took_until_it_was_served_is_told_from_the_renewal_on() -> None:
    notes, _ = await looked_on(inbox(), shop())
    [data] = [event["data"] for event in notes.events]
    assert datetime.fromisoformat(data["renewed_at"]) <= datetime.fromisoformat(data["started_at"])
    refused, _ = await looked_on(inbox(), shop(errors={"replace": [PermanentError("forbidden")]}))
    assert refused.events[0]["data"]["outcome"] == "failed"
