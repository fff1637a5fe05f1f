"""What both engines promise: one suite over RabbitMQ and the embedded one."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.broker.places import TRACEPARENT, Place, Places, event, renewal, stands, until
from worker.broker.base import Broker, BrokerLostError
from worker.broker.facts import Told
from worker.core.renewal import OWN_PRODUCER

DIGEST = "ab" * 32


async def test_a_renewal_is_delivered_as_it_was_published(place: Place) -> None:
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        await broker.publish_renewal(renewal(b"news", priority=9, content_encoding="gzip", traceparent=TRACEPARENT))
        message = (await anext(deliveries)).message
    assert (message.body, message.content_type) == (b"news", "application/cloudevents+json")
    assert (message.priority, message.content_encoding, message.traceparent) == (9, "gzip", TRACEPARENT)
    assert message.attempt == 1
    assert message.user_id


async def test_renewals_come_in_the_order_in_which_they_were_published(place: Place) -> None:
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        for body in (b"1", b"2", b"3"):
            await broker.publish_renewal(renewal(body))
        assert [(await anext(deliveries)).message.body for _ in range(3)] == [b"1", b"2", b"3"]


async def test_what_waits_and_how_much_more_fits_into_its_hand_is_known(place: Place) -> None:
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        assert await stands(broker, ready=0, room=place.settings.in_hand)
        await broker.publish_renewal(renewal())
        delivery = await anext(deliveries)
        assert await stands(broker, ready=0, room=place.settings.in_hand - 1)
        await delivery.ack()
        assert await stands(broker, ready=0, room=place.settings.in_hand)


async def test_a_fence_lets_pass_what_is_in_hand_and_never_what_may_be_in_other_hands(place: Place) -> None:
    await _publish(place, b"news")
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        delivery = await anext(deliveries)
        await delivery.fence()
    late = asyncio.create_task(delivery.fence())
    await broker.state()
    assert not late.done()
    late.cancel()


async def test_what_was_told_of_a_renewal_is_known_to_whoever_is_given_it_again(place: Place) -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    data = {"outcome": "failed", "reason": "forbidden"}
    broker = place.broker()
    await broker.declare()
    await broker.publish_event(event(id="mine", time=at.isoformat(), data=data))
    await broker.publish_event(event(id="odd", data="nothing"))
    other_data = {"outcome": "failed", "reason": "key_mismatch"}
    await broker.publish_event(event(id="mine", time=at.isoformat(), subject="wiki", data=other_data))
    told, of_other = (Told("failed", reason, at.isoformat()) for reason in ("forbidden", "key_mismatch"))
    for other_time in (None, "another time"):
        async with place.broker().deliveries():
            assert await place.opened[-1].told(["other", "mine"], "shop", other_time, DIGEST) == told
            assert await place.opened[-1].told(["other", "mine"], "wiki", other_time, DIGEST) == of_other
    async with place.broker().deliveries():
        assert await place.opened[-1].told(["mine"], "shop", at.isoformat(), DIGEST) is None
        assert await place.opened[-1].told(["odd", "none"], "shop", None, DIGEST) is None
        assert await place.opened[-1].told(["mine"], "blog", None, DIGEST) is None, "another one's may have the same id"


async def test_what_was_told_is_of_the_message_it_names_and_of_any_where_it_names_none(place: Place) -> None:
    broker = place.broker()
    await broker.declare()
    for digest, reason in (("11" * 32, "rotated"), ("22" * 32, "already_current"), (None, "forbidden")):
        named = {} if digest is None else {"message_sha256": digest}
        data = {"outcome": "succeeded", "reason": reason, **named}
        await broker.publish_event(event(id="old" if digest is None else "mine", time="now", data=data))
    for one in (broker, place.broker()):
        assert await one.told(["mine"], "shop", None, "11" * 32) == Told("succeeded", "rotated", "now")
        assert await one.told(["mine"], "shop", None, "22" * 32) == Told("succeeded", "already_current", "now")
        assert await one.told(["mine"], "shop", None, "33" * 32) is None
        assert await one.told(["old"], "shop", None, "33" * 32) == Told("succeeded", "forbidden", "now")


async def test_nothing_is_known_where_nothing_was_told(place: Place) -> None:
    async with place.broker().deliveries():
        assert await place.opened[-1].told(["mine"], "shop", None, DIGEST) is None


async def test_what_is_told_now_is_known_from_now_on(place: Place) -> None:
    broker = place.broker()
    async with broker.deliveries():
        assert await broker.told(["mine"], "shop", None, DIGEST) is None
        data = {"outcome": "succeeded", "reason": "rotated"}
        await broker.publish_event(event(id="mine", time="now", data=data))
        assert await broker.told(["mine"], "shop", None, DIGEST) == Told("succeeded", "rotated", "now")


async def test_it_is_known_when_others_have_told_something_and_what_is_ones_own_does_not_count(place: Place) -> None:
    mine, other = place.broker(), place.broker()
    await mine.declare()
    assert await mine.told_by_others_at() is None
    at = datetime.now(UTC)
    await mine.publish_event(event(time=at.isoformat()))
    assert await mine.told_by_others_at() is None
    assert await other.told_by_others_at() == at


async def test_a_delivery_says_how_often_it_was_given_out_and_whether_it_is_a_copy(place: Place) -> None:
    await _publish(place, b"news")
    for before in (0, 1, 2):
        async with place.broker().deliveries() as deliveries:
            delivery = await anext(deliveries)
            assert (delivery.message.redeliveries, delivery.message.is_suspect) == (before, False)
            assert not delivery.message.is_copy
            if before == 2:
                await delivery.park(0, attempt=1)  # as a slice is: the least that makes it a copy
                copy = (await anext(deliveries)).message
                assert (copy.redeliveries, copy.is_copy) == (0, True)


async def test_what_is_acked_never_comes_again(place: Place) -> None:
    await _publish(place, b"done", b"open")
    async with place.broker().deliveries() as deliveries:
        await (await anext(deliveries)).ack()
    async with place.broker().deliveries() as deliveries:
        assert (await anext(deliveries)).message.body == b"open"


async def test_what_is_not_settled_comes_again_with_its_attempt(place: Place) -> None:
    await _publish(place, b"news")
    async with place.broker().deliveries() as deliveries:
        await (await anext(deliveries)).park(0, attempt=4)
        await anext(deliveries)
    async with place.broker().deliveries() as deliveries:
        message = (await anext(deliveries)).message
    assert (message.body, message.attempt) == (b"news", 4)


async def test_nothing_is_settled_after_the_consumer_has_stopped(place: Place) -> None:
    await _publish(place, b"news")
    async with place.broker().deliveries() as deliveries:
        delivery = await anext(deliveries)
    for step in (delivery.ack(), delivery.park(0, attempt=2), _buried(delivery)):
        with pytest.raises(BrokerLostError):
            await step
    async with place.broker().deliveries() as deliveries:
        assert (await anext(deliveries)).message.attempt == 1
    assert await place.broker().dead() == []


async def test_a_parked_renewal_comes_back_as_the_attempt_that_was_named(place: Place) -> None:
    await _publish(place, b"news", priority=9, content_encoding="gzip", traceparent=TRACEPARENT)
    async with place.broker().deliveries() as deliveries:
        first = await anext(deliveries)
        await first.park(0, attempt=2)
        second = await anext(deliveries)
    assert second.message.attempt == 2
    assert second.message.user_id == first.message.user_id
    assert _carried(second.message) == _carried(first.message)


async def test_a_renewal_of_the_workers_own_is_known_as_such_as_long_as_it_lives(place: Place) -> None:
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        await broker.publish_own(renewal(b"news"))
        first = await anext(deliveries)
        await first.park(0, attempt=2)
        second = await anext(deliveries)
        await second.bury("not_found", certificate=None, renewal_id=None, keep_body=True)
        await until(lambda: stands(broker, dead=1))
        await broker.replay([one.id for one in await broker.dead()])
        third = await anext(deliveries)
    assert [one.message.user_id for one in (first, second, third)] == [OWN_PRODUCER] * 3
    assert [one.message.attempt for one in (first, second, third)] == [1, 2, 1]


async def test_a_parked_renewal_holds_up_no_other(place: Place) -> None:
    await _publish(place, b"later", b"now")
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        await (await anext(deliveries)).park(3000, attempt=2)
        assert (await anext(deliveries)).message.body == b"now"
        await until(lambda: stands(broker, parked=1))


async def test_a_buried_renewal_is_listed_with_its_reason_and_stays(place: Place) -> None:
    await _publish(place, b"bad", b"worse")
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        await (await anext(deliveries)).bury("malformed", certificate="shop", renewal_id="r1", keep_body=True)
        await (await anext(deliveries)).bury("expired", certificate=None, renewal_id=None, keep_body=True)
        await broker.dead()
        dead = await broker.dead()
        await until(lambda: stands(broker, dead=2))  # the broker puts back in its own time what was looked at
    assert [(one.message.body, one.reason, one.certificate, one.renewal_id) for one in dead] == [
        (b"bad", "malformed", "shop", "r1"),
        (b"worse", "expired", None, None),
    ]
    assert all(one.id and one.since is not None and one.since.tzinfo for one in dead)
    assert len({one.id for one in dead}) == 2


async def test_a_body_that_must_not_be_kept_is_a_note_instead(place: Place) -> None:
    await _publish(place, b"a key")
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        delivery = await anext(deliveries)
        await delivery.bury("plain_key_refused", certificate="shop", renewal_id="r1", keep_body=False)
    [dead] = await broker.dead()
    assert dead.message.body == b'{"withheld": true, "reason": "plain_key_refused"}'
    assert dead.message.content_type == "application/json"


async def test_a_replayed_renewal_is_a_first_attempt_of_its_original_producer(place: Place) -> None:
    await _publish(place, b"news")
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        first = await anext(deliveries)
        await first.park(0, attempt=7)
        await _buried(await anext(deliveries))
        [dead] = await broker.dead()
        assert await broker.replay([dead.id]) == [dead.id]
        back = (await anext(deliveries)).message
    assert (back.body, back.attempt, back.user_id) == (b"news", 1, first.message.user_id)
    assert await broker.dead() == []


async def test_what_is_replayed_says_when_it_was_given_up_and_keeps_saying_so(place: Place) -> None:
    await _publish(place, b"news")
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        await (await anext(deliveries)).bury("forbidden", keep_body=True, told_at="then")
        [dead] = await broker.dead()
        await broker.replay([dead.id])
        back = await anext(deliveries)
        await back.park(0, attempt=2)
        again = await anext(deliveries)
        await again.ack()
    assert (back.message.given_up_at, again.message.given_up_at) == ("then", "then")


async def test_a_renewal_that_waits_says_when_it_was_opened_until_it_is_replayed(place: Place) -> None:
    await _publish(place, b"news")
    at = datetime(2026, 11, 20, 18, tzinfo=UTC)
    broker, told = place.broker(), []
    async with broker.deliveries() as deliveries:
        for opened_at in (at, None):
            delivery = await anext(deliveries)
            told.append(delivery.message.opened_at)
            await delivery.park(0, attempt=1, opened_at=opened_at)
        waited = await anext(deliveries)
        await _buried(waited)
        await broker.replay([one.id for one in await broker.dead()])
        told += [waited.message.opened_at, (await anext(deliveries)).message.opened_at]
    assert told == [None, at, at, None]


async def test_only_the_dead_letters_that_were_named_are_replayed(place: Place) -> None:
    await _publish(place, b"1", b"2", b"3")
    broker = place.broker()
    async with broker.deliveries() as deliveries:
        for _ in range(3):
            await _buried(await anext(deliveries))
        ids = [one.id for one in await broker.dead()]
        assert await broker.replay(["unknown", ids[1]]) == [ids[1]]
        assert (await anext(deliveries)).message.body == b"2"
    assert [one.id for one in await broker.dead()] == [ids[0], ids[2]]


async def test_a_renewal_that_is_delivered_too_often_is_given_up(places: Places) -> None:
    async with places(delivery_limit=1) as place:
        await _publish(place, b"poison")
        for is_last in (False, True):
            async with place.broker().deliveries() as deliveries:
                message = (await anext(deliveries)).message
                assert (message.body, message.is_last_delivery) == (b"poison", is_last)
        broker = place.broker()
        async with broker.deliveries() as deliveries:
            await broker.publish_renewal(renewal(b"sound"))
            assert (await anext(deliveries)).message.body == b"sound"
            await until(lambda: stands(broker, dead=1))
        [dead] = await broker.dead()
    assert (dead.message.body, dead.reason) == (b"poison", "delivery_limit")


async def test_a_copy_of_a_renewal_begins_its_deliveries_anew(places: Places) -> None:
    async with places(delivery_limit=1) as place:
        await _publish(place, b"news")
        async with place.broker().deliveries() as deliveries:
            await anext(deliveries)
        async with place.broker().deliveries() as deliveries:
            last = await anext(deliveries)
            await last.park(0, attempt=2)
            parked = await anext(deliveries)
            await _buried(parked)
            [dead] = await place.opened[-1].dead()
            await place.opened[-1].replay([dead.id])
            replayed = await anext(deliveries)
    assert [one.message.is_last_delivery for one in (last, parked, replayed)] == [True, False, False]


@pytest.mark.parametrize(
    "forged", ["-----BEGIN PRIVATE KEY-----", f"{TRACEPARENT}-00", TRACEPARENT.upper(), "00-ab-cd-01"]
)
async def test_what_is_no_traceparent_is_not_taken_for_one(place: Place, forged: str) -> None:
    await _publish(place, b"news", traceparent=forged)
    async with place.broker().deliveries() as deliveries:
        assert (await anext(deliveries)).message.traceparent is None


async def test_past_events_are_told_newest_first(place: Place) -> None:
    broker = place.broker()
    await broker.declare()
    for number in range(5):
        await broker.publish_event(event(id=str(number), subject="shop" if number % 2 else "blog"))
    assert [one["id"] for one in await broker.history()] == ["4", "3", "2", "1", "0"]
    assert [one["id"] for one in await broker.history(limit=2)] == ["4", "3"]
    assert [one["id"] for one in await broker.history("shop")] == ["3", "1"]
    assert [one["id"] for one in await broker.history("shop", limit=1)] == ["3"]
    assert await broker.history("unknown") == []


async def test_a_history_without_events_is_empty(place: Place) -> None:
    broker = place.broker()
    await broker.declare()
    assert await broker.history() == []


async def test_four_times_as_many_are_in_hand_as_are_worked_on_and_no_more(places: Places) -> None:
    async with places(prefetch=1) as place:
        await _publish(place, b"1", b"2", b"3", b"4", b"5")
        broker = place.broker()
        async with broker.deliveries() as deliveries:
            first = await anext(deliveries)
            for _ in range(3):
                await anext(deliveries)
            fifth = asyncio.ensure_future(anext(deliveries))
            await until(lambda: stands(broker, ready=1))
            assert not fifth.done()
            await first.ack()
            assert (await fifth).message.body == b"5"


async def test_a_standby_takes_over_what_the_active_one_leaves(place: Place) -> None:
    await _publish(place, b"news")
    active, standby = place.broker(), place.broker()
    async with AsyncExitStack() as working:
        mine = await working.enter_async_context(active.deliveries())
        assert not (await anext(mine)).message.is_inherited
        async with standby.deliveries() as theirs:
            taken_over = asyncio.ensure_future(anext(theirs))
            assert (await active.state()).is_active
            assert not (await standby.state()).is_active
            await working.aclose()
            message = (await taken_over).message
            assert (message.body, message.is_inherited) == (b"news", True)
            assert (await standby.state()).is_active


async def test_a_standby_that_is_given_new_work_knows_that_another_was_at_work_until_now(place: Place) -> None:
    active, standby = place.broker(), place.broker()
    async with AsyncExitStack() as working:
        mine = await working.enter_async_context(active.deliveries())
        await _publish(place, b"1")
        await (await anext(mine)).ack()
        async with standby.deliveries() as theirs:
            given = asyncio.ensure_future(anext(theirs))
            await until(lambda: _stands_by(standby))
            await working.aclose()
            await _publish(place, b"2", b"3")
            assert [(await given).message.is_inherited, (await anext(theirs)).message.is_inherited] == [True, False]


async def test_a_broker_that_does_not_consume_is_not_active(place: Place) -> None:
    assert not (await place.broker().state()).is_active


async def _stands_by(broker: Broker) -> bool:
    """And has looked whether it is the active one."""
    await asyncio.sleep(0.1)
    return not (await broker.state()).is_active


async def _publish(place: Place, *bodies: bytes, **fields: Any) -> None:
    broker = place.broker()
    await broker.declare()
    for body in bodies:
        await broker.publish_renewal(renewal(body, **fields))


async def _buried(delivery: Any) -> None:
    await delivery.bury("malformed", certificate=None, renewal_id=None, keep_body=True)


def _carried(message: Any) -> tuple[object, ...]:
    return message.body, message.content_type, message.priority, message.content_encoding, message.traceparent
