"""Several renewals in hand at once: one at a time per certificate; what is in hand when the end comes. Virtual time."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.support.clouds import message
from tests.support.consumers import changed
from tests.support.fake_gateway import FakeGateway
from tests.support.values import deployment, listener, stored
from tests.support.virtual_time import run_virtual
from tests.worker.test_consumer import Inbox, consumer_of
from worker.broker.base import BrokerLostError, Message
from worker.consumer import Consumer
from worker.core.bundle import Bundle, UsedKey
from worker.core.deployment import Certificate
from worker.core.errors import NotAskedError
from worker.core.renewal import Renewal
from worker.effort import Effort, current_effort
from worker.intake import Intake

NAMES = ("shop", "blog")


def held(renewal_id: str, certificate: str, **more: str) -> Message:
    """The platform holds it: no key has to be checked, which takes a process and time that is not virtual."""
    data = {"certificate": certificate, "material": {"kind": "held"}, **more}
    event = {"specversion": "1.0", "id": renewal_id, "source": "/tests", "type": "certificate.renewed", "data": data}
    return message(json.dumps(event).encode())


@dataclass
class Several(Inbox):
    """All of them come at once; none stops the consumer."""

    all: Sequence[Message] = ()

    async def _one(self) -> AsyncGenerator[Inbox]:
        for one in self.all:
            yield Several(one, self.stopping, self.log, self.events)
        await asyncio.Event().wait()

    def _settled(self, how: str) -> None:
        self.log.append(f"{how} at {asyncio.get_running_loop().time():g}")


class Slow(FakeGateway):
    """Every read takes its time; `most`: how many there were at once; `hurried`: how many were urgent at their end."""

    lasting = 10.0
    reading = most = hurried = 0

    async def observe(self, *what: Any, **how: Any) -> Any:
        self.reading += 1
        self.most = max(self.most, self.reading)
        await asyncio.sleep(self.lasting)
        self.reading -= 1
        self.hurried += current_effort().urgent
        return await super().observe(*what, **how)


def consuming(inbox: Inbox, gateway: FakeGateway) -> Consumer:
    consumer = consumer_of(inbox, gateway)
    intake = consumer.attempts.intake
    trust = replace(intake.trust, holds=frozenset(NAMES), producers=dict.fromkeys(NAMES, frozenset({"acme"})))
    target = deployment(strategy="rebind", bindings=(listener(),))
    certificates = {name: Certificate(name, (replace(target, certificate_id=name),)) for name in NAMES}
    return changed(consumer, intake=replace(intake, trust=trust), certificates=certificates)


def worked_on(*messages: Message, gateway: Slow, stop_at: float) -> tuple[list[str], float]:
    """What became of them, and when the consumer ended."""

    async def scenario() -> tuple[list[str], float]:
        inbox = Several(messages[0], asyncio.Event(), all=messages)
        asyncio.get_running_loop().call_later(stop_at, inbox.stopping.set)
        consumer = consuming(inbox, gateway)
        await consumer.run()
        assert not len(consumer.attempts._turns), "of what has ended nothing is kept"
        return inbox.log, asyncio.get_running_loop().time()

    return run_virtual(scenario())


def slow(lasting: float = 10.0) -> Slow:
    cloud = Slow(stored(), {"l1": None})
    cloud.lasting = lasting
    return cloud


def test_two_renewals_of_one_certificate_are_worked_on_one_after_the_other() -> None:
    cloud = slow()
    log, _ = worked_on(held("r1", "shop"), held("r2", "shop"), gateway=cloud, stop_at=100)
    assert (log, cloud.most) == (["event", "ack at 10", "event", "ack at 20"], 1)
    assert cloud.hurried == 0, "only an urgent one makes the one before it urgent"


def test_all_that_an_urgent_one_waits_for_is_urgent_and_nothing_behind_it() -> None:
    cloud = slow()
    renewals = [held("r1", "shop"), held("r2", "shop"), held("r3", "shop", reason="ca_incident"), held("r4", "shop")]
    log, _ = worked_on(*renewals, gateway=cloud, stop_at=100)
    assert log[-1] == "ack at 40"
    assert cloud.hurried == 3


def test_an_urgent_one_alone_is_urgent_and_hastens_nobody() -> None:
    cloud = slow()
    log, _ = worked_on(held("r1", "shop", reason="ca_incident"), held("r2", "blog"), gateway=cloud, stop_at=100)
    assert (sorted(log), cloud.hurried) == (["ack at 10", "ack at 10", "event", "event"], 1)


def test_what_else_takes_a_certificates_turn_is_waited_for_and_hastened_by_an_urgent_one() -> None:
    """Also where the settings have been read again."""
    effort = Effort()

    async def scenario() -> list[str]:
        urgent = held("r1", "shop", reason="ca_incident")
        inbox = Several(urgent, asyncio.Event(), all=(urgent,))
        consumer = consuming(inbox, slow())
        asyncio.get_running_loop().call_later(100, inbox.stopping.set)
        async with consumer.attempts.turn("shop", effort):
            running = asyncio.create_task(changed(consumer, on_ended=lambda *_: None).run())
            await asyncio.sleep(50)
        await running
        return inbox.log

    assert (run_virtual(scenario()), effort.urgent) == (["event", "ack at 60"], True)


def test_renewals_of_two_certificates_are_worked_on_together() -> None:
    cloud = slow()
    log, _ = worked_on(held("r1", "shop"), held("r2", "blog"), gateway=cloud, stop_at=100)
    assert (sorted(log), cloud.most) == (["ack at 10", "ack at 10", "event", "event"], 2)


def test_a_suspect_is_worked_on_alone_whatever_its_certificate() -> None:
    cloud, suspect = slow(), replace(held("r2", "blog"), is_suspect=True)
    log, _ = worked_on(held("r1", "shop"), suspect, held("r3", "shop"), gateway=cloud, stop_at=100)
    assert [one for one in log if one != "event"] == ["ack at 10", "ack at 20", "ack at 30"]
    assert cloud.most == 1


@pytest.mark.parametrize(
    ("lasting", "log", "ended_at"), [(50, ["event", "ack at 50"], 50), (70, [], 61), (0.5, ["event", "ack at 0.5"], 1)]
)
def test_what_is_in_hand_is_finished_before_the_end_as_long_as_it_may_take(
    lasting: float, log: list[str], ended_at: float
) -> None:
    assert worked_on(held("r1", "shop"), gateway=slow(lasting), stop_at=1) == (log, ended_at)


def test_a_broker_that_takes_its_time_to_connect_is_waited_for() -> None:
    class Far(Several):
        @asynccontextmanager
        async def deliveries(self) -> AsyncGenerator[AsyncIterator[Inbox]]:
            await asyncio.sleep(5)
            yield self._one()

    async def scenario() -> list[str]:
        inbox = Far(held("r1", "shop"), asyncio.Event(), all=[held("r1", "shop")])
        asyncio.get_running_loop().call_later(100, inbox.stopping.set)
        await consuming(inbox, slow(10)).run()
        return inbox.log

    assert run_virtual(scenario()) == ["event", "ack at 15"]


def test_while_no_gateway_can_be_asked_a_renewal_is_parked_and_its_certificate_not_even_looked_at() -> None:
    class Closed(Slow):
        def refusal(self) -> NotAskedError | None:
            return NotAskedError("gateway_unavailable", hold=45)

    class Untouched(Intake):
        async def bundle_of(self, renewal: Renewal, before: Collection[UsedKey] = ()) -> Bundle | None:
            raise AssertionError(renewal.id, before)

    async def scenario() -> list[str]:
        inbox = Inbox(held("r1", "shop"), asyncio.Event())
        consumer = consuming(inbox, Closed(stored(), {}))
        known = consumer.attempts.intake
        await changed(consumer, intake=Untouched(known.trust, known.rules, known.roots, known.now)).run()
        return inbox.log

    assert run_virtual(scenario()) == ["park 45 as 1"]


def test_at_the_end_nothing_is_begun_any_more() -> None:
    """The second waits for the first, which takes nearly all the time that there is."""
    ended = worked_on(held("r1", "shop"), held("r2", "shop"), gateway=slow(40), stop_at=1)
    assert ended == (["event", "ack at 40"], 40)


def test_a_broker_that_is_lost_while_draining_is_not_waited_for() -> None:
    class Lost(Several):
        async def _one(self) -> AsyncGenerator[Inbox]:
            async for one in super()._one():
                yield one
                await self.stopping.wait()
                raise BrokerLostError("the broker is gone")

    async def scenario() -> float:
        inbox = Lost(held("r1", "shop"), asyncio.Event(), all=[held("r1", "shop")])
        asyncio.get_running_loop().call_later(5, inbox.stopping.set)
        await consuming(inbox, slow(1000)).run()
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 5
