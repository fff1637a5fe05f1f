"""What comes again is known as told by its own outcome, and is then settled as it was told."""

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.support.clouds import renewal
from tests.support.consumers import changed
from tests.support.facts import facts_of
from tests.support.fake_gateway import FakeGateway
from tests.support.values import certificate, deployment, stored
from tests.support.virtual_time import run_virtual
from tests.worker.test_consumer import AUTHORITY, NAMES, Inbox, consumer_of, good, settled
from worker.broker.base import BrokerLostError, Message, TopologyError
from worker.broker.facts import Told
from worker.core.message import identify
from worker.trust.opening import TrustPolicy


async def test_what_was_told_before_and_not_settled_is_settled_as_it_was_told() -> None:
    cloud, again = FakeGateway(stored(), {}), replace(good(), redeliveries=1)
    assert (await settled(again, cloud, known=Told("superseded", "downgrade", "then"))).log == ["ack"]
    failed = Told("failed", "forbidden", "then")
    assert (await settled(again, cloud, known=failed)).log == ["bury forbidden of shop kept"]
    assert cloud.journal == []


class Remembering(Inbox):
    """Knows what was told in the events that it has."""

    async def told(
        self, event_ids: Collection[str], certificate: str | None, but: str | None, digest: str
    ) -> Told | None:
        return facts_of(self.events).find(event_ids, certificate, but, digest)


async def test_two_certificates_whose_renewals_have_one_id_are_both_rotated_and_each_known_as_told() -> None:
    def of(name: str) -> Message:
        event = json.loads(renewal(AUTHORITY.issue(NAMES), name).body)
        return replace(good(), body=json.dumps({**event, "id": "r1"}).encode(), redeliveries=1)

    async def came(sent: Message, events: Sequence[Mapping[str, Any]]) -> Inbox:
        inbox = Remembering(sent, asyncio.Event(), events=list(events))
        one = consumer_of(inbox, FakeGateway(stored(), {"a.example.com": False}))
        trust = TrustPolicy({name: frozenset({"acme"}) for name in ("shop", "blog")}, allow_plain_keys=True)
        certificates = {name: certificate(deployment()) for name in ("shop", "blog")}
        await changed(one, intake=replace(one.attempts.intake, trust=trust), certificates=certificates).run()
        return inbox

    shop, blog = of("shop"), of("blog")
    first = await came(shop, [])
    second = await came(blog, first.events)
    assert (first.log, second.log) == (["event", "ack"], ["event", "ack"])
    assert [event["subject"] for event in second.events] == ["shop", "blog"]
    assert len({event["id"] for event in second.events}) == 1
    for sent in (shop, blog):
        assert (await came(sent, second.events)).log == ["ack"], "told already"


async def test_a_renewal_whose_id_was_used_before_is_rotated_when_its_copy_comes() -> None:
    """Each is known as told by its own outcome, and by none of the other's."""
    first, second = (
        replace(one, body=json.dumps(json.loads(one.body) | {"id": "renewal-of-shop"}).encode())
        for one in (renewal(AUTHORITY.issue(NAMES)) for _ in range(2))
    )
    events = (await settled(first)).events
    copy = Remembering(replace(second, is_copy=True), asyncio.Event(), events=list(events))
    await consumer_of(copy, FakeGateway(stored(), {"a.example.com": False})).run()
    assert copy.log == ["event", "ack"]
    for one in (first, second):
        again = Remembering(replace(one, redeliveries=1), asyncio.Event(), events=list(copy.events))
        await consumer_of(again, FakeGateway(stored(), {})).run()
        assert again.log == ["ack"], "told already"


async def test_what_a_stranger_claims_does_not_take_the_place_of_the_renewal_itself() -> None:
    real = replace(good(), redeliveries=1)
    claim = b'{"id": "%s", "data": {"certificate": "shop"}}' % str(identify(real.body)[1]).encode()
    for strange in (replace(real, user_id="mallory"), replace(real, body=claim)):
        refused = await settled(replace(strange, redeliveries=0))
        assert refused.events[0]["causationid"] == identify(real.body)[1]
        inbox = Remembering(real, asyncio.Event(), events=list(refused.events))
        await consumer_of(inbox, FakeGateway(stored(), {"a.example.com": False})).run()
        assert inbox.log == ["event", "ack"]
        again = Remembering(real, asyncio.Event(), events=list(inbox.events))
        await consumer_of(again, FakeGateway(stored(), {})).run()
        assert again.log == ["ack"], "its own outcome is known"


async def test_only_what_came_before_asks_whether_it_was_told() -> None:
    known = Told("succeeded", "rotated", "then")
    assert (await settled(good(), known=known)).log == ["event", "ack"]
    assert (await settled(replace(good(), is_copy=True), known=known)).log == ["ack"]


async def test_a_history_that_cannot_be_read_costs_a_second_look_and_no_more() -> None:
    class Forgetful(Inbox):
        async def told(self, *_what: object) -> Told | None:
            raise TopologyError("no right to read it")

    inbox = Forgetful(replace(good(), redeliveries=1), asyncio.Event())
    await consumer_of(inbox, FakeGateway(stored(), {"a.example.com": False})).run()
    assert inbox.log == ["event", "ack"]


def test_a_history_that_is_away_is_waited_for() -> None:
    class Away(Inbox):
        tries = 0

        async def told(self, *_what: object) -> Told | None:
            self.tries += 1
            if self.tries < 3:
                raise BrokerLostError("away")
            return Told("succeeded", "rotated", "then")

    async def scenario() -> Away:
        inbox = Away(replace(good(), redeliveries=1), asyncio.Event())
        await consumer_of(inbox, FakeGateway(stored(), {"a.example.com": False})).run()
        return inbox

    inbox = run_virtual(scenario())
    assert (inbox.log, inbox.tries) == (["ack"], 3)
