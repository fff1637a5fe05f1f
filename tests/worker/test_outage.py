"""A gateway that is down, seen from the consumer: parked, asked seldom, and no attempt burnt. In virtual time."""

import asyncio
from contextlib import suppress
from dataclasses import replace

from tests.gateways.test_breaker import LOST
from tests.gateways.test_transport_repeats import GET, FarEnd, refusal, transport
from tests.support.consumers import changed
from tests.support.fake_gateway import FakeGateway
from tests.support.values import stored
from tests.support.virtual_time import run_virtual
from tests.worker.test_consumer import Inbox, consumer_of, good
from worker.app import gateway_states
from worker.core.errors import Failure, NotAskedError, RotationError
from worker.gateways.huawei_apig import HuaweiApig
from worker.rotation import Rotator


def test_a_renewal_outlives_an_outage_without_an_attempt_counted() -> None:
    far = FarEnd([LOST])

    async def scenario() -> list[str]:
        account = transport(far, deadline=120)
        message, log = good(), []
        rotator = consumer_of(Inbox(message, asyncio.Event()), FakeGateway(stored(), {})).attempts.rotator
        rotator = replace(rotator, gateways={"apig": HuaweiApig("apig", account, "p1", 20, lambda: 0.0)})
        assert gateway_states(rotator)["apig"].is_up
        for _ in range(50):
            inbox = Inbox(message, asyncio.Event())
            await changed(consumer_of(inbox, FakeGateway(stored(), {})), rotator=rotator).run()
            log += inbox.log
            await asyncio.sleep(30)
        assert not gateway_states(rotator)["apig"].is_up
        await account.close()
        return log

    log = run_virtual(scenario())
    assert {entry.rpartition(" ")[2] for entry in log} == {"1"}, "the first attempt, again and again"
    assert len(far.sent_at) < 50, "a probe a minute at most, once it is known to be down"


def test_a_gateway_that_never_comes_back_is_told_after_a_day_however_many_wait() -> None:
    far = FarEnd([LOST])

    async def scenario() -> list[bool]:
        account = transport(far, deadline=120)
        rotator = Rotator({"apig": HuaweiApig("apig", account, "p1", 20, lambda: 0.0)})
        told = []
        for _ in range(3000):
            try:
                rotator.check_open({"apig"})
            except NotAskedError as error:
                told.append(Failure.of(error).is_attempt)
            else:
                with suppress(RotationError):
                    await account.send(GET)
            await asyncio.sleep(31)
        await account.close()
        return told

    told = run_virtual(scenario())
    assert told == sorted(told), "first none counts, then all"
    assert told[0] is False
    assert told[-1] is True


def test_a_gateway_that_wants_to_be_left_alone_is_seen_to_be_held_and_what_is_parked_for_it_to_wait_for_that() -> None:
    far = FarEnd([refusal(429, retry_after="999999")])

    async def scenario() -> None:
        account, message = transport(far, deadline=120), good()
        rotator = Rotator({"apig": HuaweiApig("apig", account, "p1", 20, lambda: 0.0)})
        inbox = Inbox(message, asyncio.Event())
        assert gateway_states(rotator)["apig"].held_for == 0
        await changed(consumer_of(inbox, FakeGateway(stored(), {})), rotator=rotator).run()
        state = gateway_states(rotator)["apig"]
        assert (state.is_up, state.held_for, state.seconds_left) == (True, 3600, 3600)
        await asyncio.sleep(3600)
        state = gateway_states(rotator)["apig"]
        assert (state.held_for, state.seconds_left) == (0, 0)
        await account.close()

    run_virtual(scenario())
