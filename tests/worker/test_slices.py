"""Time slices and lost sessions of the consumer, in virtual time: the platform holds the certificate."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from tests.support.clouds import message, renewal
from tests.support.consumers import changed
from tests.support.facts import facts_of
from tests.support.fake_gateway import FakeGateway
from tests.support.values import certificate, day, deployment, leaf, listener, stored
from tests.support.virtual_time import run_virtual
from tests.worker.test_consumer import AUTHORITY, NAMES, Inbox, consumer_of, good
from worker.admission import Admission
from worker.broker.base import BrokerLostError, Message
from worker.consumer import Consumer
from worker.core.errors import RefusedError
from worker.core.past import Placed
from worker.core.proof import Served, Shortfall
from worker.core.renewal import Held, Renewal
from worker.effort import current_effort
from worker.hindsight import Seen

REBIND = deployment(strategy="rebind", bindings=(listener(),))


def held() -> Message:
    data = {"certificate": "shop", "material": {"kind": "held"}}
    event = {"specversion": "1.0", "id": "r1", "source": "/tests", "type": "certificate.renewed", "data": data}
    return message(json.dumps(event).encode())


def rebinding(inbox: Any, gateway: FakeGateway) -> Consumer:
    consumer = consumer_of(inbox, gateway)
    intake = consumer.attempts.intake
    trust = replace(intake.trust, holds=frozenset({"shop"}))
    return changed(consumer, intake=replace(intake, trust=trust), certificates={"shop": certificate(REBIND)})


class Waiting(FakeGateway):
    """Its attach never ends; it queues under limits, or does not."""

    queues = True

    async def attach(self, *_what: object) -> Any:
        current_effort().calls += 1
        if self.queues:
            with current_effort().queueing():
                await asyncio.Event().wait()
        await asyncio.Event().wait()


class Stuck(Waiting):
    queues = False


def sliced(gateway: FakeGateway, sent: Message) -> Inbox:
    async def scenario() -> Inbox:
        inbox = Inbox(sent, asyncio.Event())
        await rebinding(inbox, gateway).run()
        return inbox

    return run_virtual(scenario())


def test_a_rotation_that_waits_its_turn_goes_on_in_the_next_slice_without_an_attempt_counted() -> None:
    assert sliced(Waiting(stored(), {}), held()).log == ["park 0 as 1"]


def test_a_slice_in_which_nothing_was_reached_counts_as_an_attempt() -> None:
    assert sliced(Stuck(stored(), {}), held()).log == ["park 30 as 2"]


def test_the_last_slice_in_which_nothing_was_reached_is_told_and_buried() -> None:
    inbox = sliced(Stuck(stored(), {}), replace(held(), attempt=3))
    assert inbox.log == ["event", "bury gateway_unavailable of shop kept"]


def test_slices_in_which_it_only_waits_are_an_attempt_after_a_handful() -> None:
    async def scenario() -> list[str]:
        log = []
        consumer = rebinding(Inbox(held(), asyncio.Event()), Waiting(stored(), {}))
        for _ in range(7):
            inbox: Any = Inbox(held(), asyncio.Event())
            await changed(consumer, broker=inbox, stopping=inbox.stopping, admission=Admission(8)).run()
            log += inbox.log
        return log

    assert run_virtual(scenario()) == ["park 0 as 1"] * 4 + ["park 30 as 2"] + ["park 0 as 1"] * 2


class Busy(Waiting):
    """Gets something done in each slice."""

    async def attach(self, *what: object) -> Any:
        current_effort().changes += 1
        return await super().attach(*what)


class Patient(FakeGateway):
    """Waits for its turn without any call."""

    async def attach(self, *_what: object) -> Any:
        with current_effort().queueing():
            await asyncio.Event().wait()


@pytest.mark.parametrize("kind", [Busy, Patient])
def test_slices_in_which_something_is_reached_or_nothing_was_to_be_asked_go_on_for_ever(
    kind: type[FakeGateway],
) -> None:
    async def scenario() -> list[str]:
        log = []
        consumer = rebinding(Inbox(held(), asyncio.Event()), kind(stored(), {}))
        for _ in range(9):
            inbox: Any = Inbox(held(), asyncio.Event())
            await changed(consumer, broker=inbox, stopping=inbox.stopping, admission=Admission(8)).run()
            log += inbox.log
        return log

    assert run_virtual(scenario()) == ["park 0 as 1"] * 9


class Flapping(Inbox):
    """A broker whose sessions last `lasting` seconds."""

    lasting = 0.0

    def begin(self) -> None:
        self.began_at: list[float] = []

    @asynccontextmanager
    async def deliveries(self) -> AsyncGenerator[AsyncIterator[Inbox]]:
        self.began_at.append(asyncio.get_running_loop().time())
        if len(self.began_at) == 5:
            self.stopping.set()
        yield self._none()

    async def _none(self) -> AsyncGenerator[Inbox]:
        await asyncio.sleep(self.lasting)
        if self.began_at:
            raise BrokerLostError("gone")
        yield self


def pauses(lasting: float) -> list[float]:
    async def scenario() -> list[float]:
        inbox = Flapping(held(), asyncio.Event())
        inbox.begin()
        inbox.lasting = lasting
        await asyncio.sleep(1000)  # no clock begins at nought
        await rebinding(inbox, FakeGateway(stored(), {})).run()
        starts = inbox.began_at
        return [round(later - earlier - lasting, 2) for earlier, later in pairwise(starts)]

    return run_virtual(scenario())


def test_sessions_that_die_at_once_are_opened_ever_more_seldom() -> None:
    assert pauses(lasting=0) == pytest.approx([0.25, 0.5, 1.01, 2.02], abs=0.01)


def test_a_session_that_lasted_is_opened_again_soon() -> None:
    assert pauses(lasting=60) == [0.25] * 4


class Silent(FakeGateway):
    """From some time on it never answers."""

    is_silent = False

    async def observe(self, *what: Any, **hints: Any) -> Any:
        if self.is_silent:
            await asyncio.Event().wait()
        return await FakeGateway.observe(self, *what, **hints)


async def _never(_served: Served, /) -> Sequence[Shortfall]:
    await asyncio.Event().wait()
    return ()


class Knowing(Inbox):
    """One certificate was put there before, with a key that is exposed."""

    async def past(self, _certificate: str) -> Sequence[Placed]:
        return [Placed("r0", "ab" * 32, day(1), day(9), public_key_sha256="aa" * 32)]


def test_what_a_compromise_has_replaced_is_told_when_nothing_more_is_reached() -> None:
    """From then on nothing else tells of it."""
    sent = renewal(AUTHORITY.issue(NAMES), reason="key_compromise")

    async def scenario() -> Any:
        inbox: Any = Knowing(replace(sent, attempt=3), asyncio.Event())
        consumer = consumer_of(inbox, FakeGateway(stored(), {"a.example.com": False}))
        proving = replace(consumer.attempts.rotator, verify=_never)
        await changed(consumer, rotator=proving).run()
        last: Any = Knowing(replace(sent, attempt=3), asyncio.Event())
        await changed(consumer, broker=last, stopping=last.stopping, rotator=proving, admission=Admission(8)).run()
        return last

    [event] = run_virtual(scenario()).events
    assert (event["data"]["reason"], event["data"]["exposed_keys"]) == ("gateway_unavailable", ["aa" * 32])
    old = leaf(public_key_sha256="aa" * 32)
    with pytest.raises(RefusedError, match="compromise"):
        Seen(facts_of([event]).past("shop")).exposed_keys(Renewal("r3", "shop", "acme", Held()), old)


@pytest.mark.parametrize("is_silent", [False, True])
def test_what_earlier_slices_have_replaced_is_told_when_nothing_more_is_reached(*, is_silent: bool) -> None:
    """Whether the last of them ends while it proves, or before it has seen anything."""
    sent, gateway = good(), Silent(stored(), {"a.example.com": False})

    async def scenario() -> Sequence[Inbox]:
        consumer, inboxes = consumer_of(Inbox(sent, asyncio.Event()), gateway), []
        proving = replace(consumer.attempts.rotator, verify=_never)
        for attempt in (1, 3):
            inbox: Any = Inbox(replace(sent, attempt=attempt), asyncio.Event())
            parts: dict[str, Any] = {"broker": inbox, "rotator": proving, "admission": Admission(8)}
            await changed(consumer, stopping=inbox.stopping, **parts).run()
            gateway.is_silent = is_silent
            inboxes.append(inbox)
        return inboxes

    first, last = run_virtual(scenario())
    assert (first.log[-1], last.log) == ("park 0 as 1", ["event", "bury gateway_unavailable of shop kept"])
    told = last.events[0]["data"]
    [one] = told["deployments"]
    assert (told["reason"], one["outcome"], one["replaced"]) == ("gateway_unavailable", "failed", True)
    assert (one["certificate_id"], one["previous"]["serial_number"]) == ("c1", str(stored().serial_number))
    assert (one["bindings"]["total"], told["leaf"] is not None) == (1, True)
