"""What is asked of the history before a rotation: where it cannot be read, and what it cannot know yet."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha512
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from tests.support.clouds import renewal
from tests.support.facts import facts_of
from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, day, deployment, stored
from tests.support.virtual_time import run_virtual
from tests.worker.test_consumer import AUTHORITY, NAMES, Inbox, consumer_of
from worker.broker.base import BrokerError, BrokerLostError, Message, TopologyError
from worker.core.bundle import Bundle
from worker.core.errors import Failure
from worker.core.outcome import BindingResult, Report
from worker.core.past import Placed
from worker.core.planning import Stored
from worker.core.renewal import Held, InFiles, Renewal
from worker.effort import Effort, current_effort, spending
from worker.hindsight import Hindsight
from worker.rotation import Rotator
from worker.sandbox.ca import Issued
from worker.sweep import Sweeper

NOW = datetime.now(UTC).replace(microsecond=0)
GOING_BACK: dict[str, Any] = {"reason": "ca_incident", "allow_shorter_validity": True}
COMPROMISED: dict[str, Any] = {"reason": "key_compromise", "allow_shorter_validity": True}


def sent(*, days_ago: float, days: int = 90, **overrides: Any) -> Message:
    begins = NOW - timedelta(days=days_ago)
    issued = AUTHORITY.issue(NAMES, not_before=begins, not_after=begins + timedelta(days=days))
    return renewal(issued, **overrides)


def cloud(*, tells_beginnings: bool) -> FakeGateway:
    return FakeGateway(stored(), {NAMES[0]: False}, tells_beginnings=tells_beginnings)


@dataclass
class Forgetful(Inbox):
    """Its history cannot be read."""

    why: BrokerError = field(default_factory=lambda: BrokerLostError("away"))

    async def past(self, _certificate: str) -> Sequence[Placed]:
        raise self.why


@pytest.mark.parametrize(
    ("how", "tells_beginnings", "log"),
    [
        ({}, True, ["event", "ack"]),
        ({"reason": "ca_incident"}, True, ["event", "ack"]),
        ({"reason": "key_compromise"}, True, ["park 30 as 2"]),
        ({}, False, ["park 30 as 2"]),
        (GOING_BACK, True, ["park 30 as 2"]),
    ],
)
async def test_only_what_might_go_back_waits_while_the_history_cannot_be_read(
    how: dict[str, Any], log: list[str], *, tells_beginnings: bool
) -> None:
    inbox, gateway = Forgetful(sent(days_ago=1, **how), asyncio.Event()), cloud(tells_beginnings=tells_beginnings)
    await consumer_of(inbox, gateway).run()
    assert inbox.log == log
    assert ("replace" in gateway.journal) == (log[0] == "event")


@pytest.mark.parametrize(("how", "tells_beginnings"), [({}, False), (GOING_BACK, True)])
async def test_a_history_that_is_missing_or_barred_is_told_at_once_and_not_waited_for(
    how: dict[str, Any], *, tells_beginnings: bool
) -> None:
    why, gateway = TopologyError("reading the history: no queue"), cloud(tells_beginnings=tells_beginnings)
    inbox = Forgetful(sent(days_ago=1, **how), asyncio.Event(), why=why)
    await consumer_of(inbox, gateway).run()
    assert inbox.log == ["event", "bury history_unreadable of shop kept"]
    [event] = inbox.events
    assert event["data"]["message"] == "the history cannot be read (reading the history: no queue)"
    assert "replace" not in gateway.journal


@dataclass
class Sessions(Inbox):
    """Gives out one message after the other; each session but the last is lost at its end."""

    sessions: list[list[Message]] = field(default_factory=list)

    @asynccontextmanager
    async def deliveries(self) -> AsyncGenerator[AsyncIterator[Inbox]]:
        yield self._all(self.sessions.pop(0))

    async def past(self, certificate: str) -> Sequence[Placed]:
        return facts_of(self.events).past(certificate)

    async def _all(self, messages: Sequence[Message]) -> AsyncGenerator[Inbox]:
        for one in messages:
            settled = asyncio.Event()
            yield Inbox(one, settled, self.log, self.events)
            await settled.wait()
        if self.sessions:
            raise BrokerLostError("gone")
        self.stopping.set()
        await asyncio.Event().wait()


@dataclass(frozen=True)
class Disk:
    """What lies there."""

    bundle: Bundle

    def now(self) -> datetime:
        return NOW

    async def bundle_in(self, _files: InFiles) -> Bundle:
        return self.bundle


class Ailing(FakeGateway):
    """Tells when things end, as ByCloud does; what is to be bound first fails in passing."""

    async def replace(self, *what: Any) -> Stored:
        new = await super().replace(*what)
        self.stored = replace(new, not_before=None, serial_number=None)
        return self.stored

    async def attach(self, *what: Any) -> Sequence[BindingResult]:
        results = await super().attach(*what)
        self.sick.clear()
        return results


def told(*sessions: list[Message]) -> list[str]:
    """The outcomes and parkings, where the first attach fails in passing at a gateway that tells no beginnings."""

    async def scenario() -> list[str]:
        down = Failure("gateway_unavailable", "", transient=True)
        there = stored(not_before=None, serial_number=None)
        gateway = Ailing(there, {NAMES[0]: False}, sick={NAMES[0]: down}, tells_beginnings=False)
        inbox = Sessions(sessions[0][0], asyncio.Event(), sessions=list(sessions))
        await consumer_of(inbox, gateway).run()
        reasons = iter([str(event["data"]["reason"]) for event in inbox.events])
        return [next(reasons) if one == "event" else one for one in inbox.log if one != "ack"]

    return run_virtual(scenario())


def test_what_was_put_at_some_places_by_a_renewal_that_is_parked_is_not_undone_by_an_older_one() -> None:
    newer, older = sent(days_ago=1, days=45), sent(days_ago=3, days=120)
    assert told([newer, older]) == ["park 30 as 2", "downgrade"]
    again = replace(newer, is_copy=True, attempt=2)
    assert told([newer, again]) == ["park 30 as 2", "rotated"], "its own second attempt"
    assert told([newer], [older]) == ["park 30 as 2", "rotated"], "what others did since then is not known"


def test_what_an_urgent_renewal_undid_does_not_come_back_with_a_parked_copy() -> None:
    """The copy was made before; whoever sends it anew knows what was done."""
    spoilt, older = sent(days_ago=1), sent(days_ago=9, **GOING_BACK)
    copy = replace(spoilt, is_copy=True, attempt=2)
    assert told([spoilt, older, copy]) == ["park 30 as 2", "rotated", "withdrawn"]
    assert told([spoilt, older, spoilt]) == ["park 30 as 2", "rotated", "withdrawn"], "and with its first sending"
    anew = replace(spoilt, body=json.dumps(json.loads(spoilt.body) | {"id": "anew", "time": None}).encode())
    assert told([spoilt, older, anew]) == ["park 30 as 2", "rotated", "rotated"]
    compromised = sent(days_ago=9, **COMPROMISED)
    assert told([spoilt, compromised, spoilt]) == ["park 30 as 2", "rotated", "withdrawn"]
    refused = told([spoilt, compromised, anew])[2:]
    assert refused[0] == "key_reused", "but not where strangers may have its key"


@pytest.mark.parametrize("renewal_id", [str(uuid4()), sha512(b"what may be a key").hexdigest()], ids=["told", "not"])
def test_an_urgent_renewal_that_comes_again_undoes_nothing_though_its_id_is_told_to_nobody(renewal_id: str) -> None:
    """It may be a key."""
    older = sent(days_ago=9, **GOING_BACK)
    urgent = replace(older, body=json.dumps({**json.loads(older.body), "id": renewal_id}).encode())

    async def scenario() -> list[str]:
        messages = [sent(days_ago=1), urgent, sent(days_ago=0.5), urgent]
        inbox = Sessions(urgent, asyncio.Event(), sessions=[messages])
        await consumer_of(inbox, cloud(tells_beginnings=True)).run()
        return [str(event["data"]["reason"]) for event in inbox.events]

    assert run_virtual(scenario()) == ["rotated", "rotated", "rotated", "replayed"]


async def test_however_much_is_refused_what_was_taken_back_stays_away_from_the_sweep() -> None:
    issued = AUTHORITY.issue(NAMES, not_before=NOW - timedelta(days=1))
    spoilt, older = renewal(issued), sent(days_ago=9, **GOING_BACK)
    junk = [replace(spoilt, user_id=f"stranger{number}") for number in range(120)]
    inbox = Sessions(spoilt, asyncio.Event(), sessions=[[spoilt, older, *junk]])
    await consumer_of(inbox, cloud(tells_beginnings=True)).run()
    assert {event["data"]["reason"] for event in inbox.events[2:]} == {"unauthorized_producer"}
    assert await state_on_disk(issued, inbox) == "withdrawn"


async def test_however_often_the_same_is_brought_what_was_taken_back_stays_away_from_the_sweep() -> None:
    """Each time by a renewal of its own, which changes nothing."""
    issued = AUTHORITY.issue(NAMES, not_before=NOW - timedelta(days=1))
    begins = NOW - timedelta(days=9)
    first = AUTHORITY.issue(NAMES, not_before=begins, not_after=begins + timedelta(days=90))
    again = [renewal(first) for _ in range(12)]
    inbox = Sessions(again[0], asyncio.Event(), sessions=[[renewal(issued), renewal(first, **GOING_BACK), *again]])
    await consumer_of(inbox, cloud(tells_beginnings=True)).run()
    assert {event["data"]["reason"] for event in inbox.events[2:]} == {"already_current"}
    assert await state_on_disk(issued, inbox) == "withdrawn"


async def state_on_disk(issued: Issued, inbox: Sessions) -> str:
    """What the sweep finds it to be."""
    lying = replace(
        bundle(),
        leaf=replace(
            bundle().leaf,
            fingerprint_sha256=issued.certificate.fingerprint(SHA256()).hex(),
            serial_number=issued.certificate.serial_number,
            not_before=issued.certificate.not_valid_before_utc,
            not_after=issued.certificate.not_valid_after_utc,
        ),
    )
    disk: Any = Disk(lying)
    rotator = Rotator({"apig": cloud(tells_beginnings=True)})
    sweeper = Sweeper(disk, rotator, {"shop": certificate(deployment())}, {"shop": InFiles("chain", "key")})
    return (await sweeper.look_back("shop", inbox.past)).state


@dataclass
class Telling(Inbox):
    """What it was told is known."""

    placed: Sequence[Placed] = ()

    async def past(self, _certificate: str) -> Sequence[Placed]:
        return self.placed


async def test_what_is_begun_once_more_is_there_although_it_was_told_before_something_else() -> None:
    first, second = (Placed(f"r{number}", letter * 64, day(1), day(9)) for number, letter in ((1, "a"), (2, "b")))
    begun = replace(first, is_told=False)
    for told, known in (([first, second], [first, second, begun]), ([second, first], [second, first])):
        inbox: Any = Telling(sent(days_ago=1), asyncio.Event(), placed=told)
        assert list((await Hindsight(inbox, {"shop": begun}).seen("shop")).past) == known


async def test_a_renewal_that_changed_nothing_keeps_no_other_back() -> None:
    refused, older = renewal(AUTHORITY.issue(["b.example.com"], not_before=NOW)), sent(days_ago=3)
    gateway = cloud(tells_beginnings=False)
    inbox = Sessions(refused, asyncio.Event(), sessions=[[refused, older]])
    await consumer_of(inbox, gateway).run()
    assert [event["data"]["reason"] for event in inbox.events] == ["name_not_covered", "rotated"]


@pytest.mark.parametrize(("transient", "begun"), [(False, set()), (True, {"shop"})])
async def test_what_went_back_by_itself_keeps_no_other_back(*, transient: bool, begun: set[str]) -> None:
    async def rotation() -> Report:
        current_effort().changes += 1
        return Report.refused(Failure("rolled_back", "", transient=transient))

    inbox: Any = Inbox(sent(days_ago=1), asyncio.Event())
    hindsight = Hindsight(inbox)
    with spending(Effort()):
        leaf = replace(bundle().leaf, public_key_sha256="cd" * 32)
        await hindsight.of(Renewal("r1", "shop", "acme", Held()), leaf, rotation())
    assert set(hindsight.begun) == begun
    assert all(one.public_key_sha256 == "cd" * 32 for one in hindsight.begun.values())


@pytest.mark.parametrize(("tells_beginnings", "state"), [(False, "newer"), (True, "behind")])
async def test_the_sweep_puts_nothing_back_either_over_what_the_history_knows_to_be_newer(
    *, tells_beginnings: bool, state: str
) -> None:
    async def past(_name: str) -> Sequence[Placed]:
        return [Placed("r3", "ef" * 32, day(12), day(13))]

    disk: Any = Disk(bundle())
    rotator = Rotator({"apig": cloud(tells_beginnings=tells_beginnings)})
    sweeper = Sweeper(disk, rotator, {"shop": certificate(deployment())}, {"shop": InFiles("chain", "key")})
    assert (await sweeper.look_back("shop", past)).state == state
