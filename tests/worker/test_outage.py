"""A gateway that is down, seen from the consumer: parked, asked seldom, and no attempt burnt. In virtual time."""

import asyncio
from dataclasses import replace

from tests.gateways.test_breaker import LOST
from tests.gateways.test_transport_repeats import FarEnd, transport
from tests.support.fake_gateway import FakeGateway
from tests.support.values import stored
from tests.support.virtual_time import run_virtual
from tests.worker.test_consumer import Inbox, consumer_of, good
from worker.app import gateway_states
from worker.gateways.huawei_apig import HuaweiApig


def test_a_renewal_outlives_an_outage_without_an_attempt_counted() -> None:
    far = FarEnd([LOST])

    async def scenario() -> list[str]:
        account = transport(far, deadline=120)
        message, log = good(), []
        rotator = consumer_of(Inbox(message, asyncio.Event()), FakeGateway(stored(), {})).rotator
        rotator = replace(rotator, gateways={"apig": HuaweiApig("apig", account, "p1", 20, lambda: 0.0)})
        assert gateway_states(rotator)["apig"].is_up
        for _ in range(50):
            inbox = Inbox(message, asyncio.Event())
            await replace(consumer_of(inbox, FakeGateway(stored(), {})), rotator=rotator).run()
            log += inbox.log
            await asyncio.sleep(30)
        assert not gateway_states(rotator)["apig"].is_up
        await account.close()
        return log

    log = run_virtual(scenario())
    assert {entry.rpartition(" ")[2] for entry in log} == {"1"}, "the first attempt, again and again"
    assert len(far.sent_at) < 50, "a probe a minute at most, once it is known to be down"
