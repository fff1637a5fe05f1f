"""Flags at risk: kept with the broker before they are touched, and asked for when a renewal comes again."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.clouds import renewal
from tests.support.fake_gateway import FakeGateway
from tests.support.values import day, stored
from tests.support.virtual_time import run_virtual
from tests.worker.test_consumer import AUTHORITY, NAMES, Inbox, consumer_of
from worker.broker.base import BrokerError, BrokerLostError, Message, TopologyError
from worker.core.note import Note
from worker.core.snapshot import Snapshot

[NAME] = NAMES
PLACE = (NAME, "i1")


@dataclass
class Keeper(Inbox):
    """Remembers fences and notes too, and refuses notes in turn with `troubles`."""

    troubles: list[BrokerError] = field(default_factory=list)
    left: Mapping[str, Snapshot] = field(default_factory=dict)
    unread: BrokerError | None = None
    asked: int = 0
    noted: list[Note] = field(default_factory=list)

    async def fence(self) -> None:
        self.log.append("fence")

    async def keep(self, certificate: str, note: Note) -> None:
        await super().keep(certificate, note)
        self.noted.append(note)
        if self.troubles:
            raise self.troubles.pop(0)

    async def kept(self, certificate: str, leaf: str) -> Mapping[str, Snapshot]:
        assert (certificate, len(leaf)) == ("shop", 64)
        self.asked += 1
        if self.unread is not None:
            raise self.unread
        return self.left


def sent() -> Message:
    return renewal(AUTHORITY.issue(NAMES, not_before=datetime.now(UTC).replace(microsecond=0)))


def settled(message: Message, *, flag: bool, **overrides: Any) -> tuple[Keeper, FakeGateway]:
    """What the broker heard and the cloud was asked, in one log."""

    async def scenario() -> tuple[Keeper, FakeGateway]:
        inbox = Keeper(message, asyncio.Event(), **overrides)
        cloud = FakeGateway(stored(not_before=day(1)), {NAME: flag}, journal=inbox.log, put_moves_flags=True)
        await consumer_of(inbox, cloud).run()
        return inbox, cloud

    return run_virtual(scenario())


def test_the_broker_has_the_note_before_anything_is_changed() -> None:
    inbox, _ = settled(sent(), flag=True)
    changes = ["fence", "note of shop at apig/c1", "replace", "attach"]
    assert inbox.log == ["observe", *changes, "observe", "fence", "event", "ack"]
    assert [one.message_sha256 for one in inbox.noted] == [inbox.events[0]["data"]["message_sha256"]]


def test_nothing_is_changed_until_the_broker_has_the_note() -> None:
    inbox, cloud = settled(sent(), flag=True, troubles=[BrokerError("no room"), BrokerLostError("gone")])
    notes = ["fence", "note of shop at apig/c1"] * 3
    assert inbox.log[: len(notes) + 2] == ["observe", *notes, "replace"]
    assert (cloud.rows, inbox.log[-1]) == ({NAME: True}, "ack")


def test_an_ordinary_renewal_costs_the_broker_no_note_and_no_question() -> None:
    inbox, _ = settled(sent(), flag=False)
    assert inbox.log == ["observe", "replace", "attach", "observe", "fence", "event", "ack"]
    assert inbox.asked == 0


@pytest.mark.parametrize("how", [{"redeliveries": 1}, {"is_copy": True}])
def test_what_comes_again_is_done_with_the_flags_that_were_noted(how: dict[str, Any]) -> None:
    left = {"apig/c1": Snapshot({PLACE: True}, is_replaced=True)}
    inbox, cloud = settled(replace(sent(), **how), flag=False, left=left)
    assert (inbox.asked, cloud.rows) == (1, {NAME: True})
    assert inbox.events[0]["data"]["outcome"] == "succeeded"


def test_where_notes_cannot_be_read_the_renewal_is_done_all_the_same() -> None:
    inbox, _ = settled(replace(sent(), redeliveries=1), flag=False, unread=TopologyError("no right to read it"))
    assert (inbox.asked, inbox.log[-2:]) == (1, ["event", "ack"])


def with_client_ca(**overrides: Any) -> tuple[Keeper, FakeGateway]:
    """A renewal that comes first, where settings have a client CA and what is stored has none."""

    async def scenario() -> tuple[Keeper, FakeGateway]:
        inbox = Keeper(sent(), asyncio.Event(), **overrides)
        cloud = FakeGateway(stored(not_before=day(1), has_trusted_root_ca=False), {NAME: False})
        await consumer_of(inbox, cloud, trusted_root_ca="CA").run()
        return inbox, cloud

    return run_virtual(scenario())


@pytest.mark.parametrize("has_ca", [True, False])
def test_a_client_ca_that_a_renewal_before_may_have_lost_is_sent_by_the_next_one(*, has_ca: bool) -> None:
    """And noted again; flags that another message has noted are its own."""
    inbox, cloud = with_client_ca(left={"apig/c1": Snapshot({PLACE: True}, has_client_ca=has_ca)})
    assert (inbox.asked, inbox.events[0]["data"]["outcome"]) == (1, "succeeded")
    assert cloud.stored is not None
    assert (cloud.stored.has_trusted_root_ca, cloud.rows) == (has_ca, {NAME: False})
    assert [one.snapshot.has_client_ca for one in inbox.noted] == [has_ca]


def test_nothing_is_put_there_while_the_broker_cannot_say_whether_a_client_ca_was_lost() -> None:
    inbox, cloud = with_client_ca(unread=BrokerLostError("gone"))
    assert (inbox.log, cloud.journal) == (["park 30 as 2"], [])
