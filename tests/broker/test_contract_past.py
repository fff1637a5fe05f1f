"""What both engines promise to know of certificates that were put in their places: one suite over both."""

from dataclasses import replace
from typing import Any

import pytest

from tests.broker.places import Place, event
from tests.support.values import day
from worker.broker.base import Broker
from worker.broker.facts import EACH
from worker.core.exposed import exposed_in
from worker.core.outcome import Previous
from worker.core.past import Placed


def put(renewal_id: str, **overrides: Any) -> dict[str, Any]:
    leaf = {
        "fingerprint_sha256": renewal_id * 32,
        "not_before": day(1).isoformat(),
        "not_after": day(9).isoformat(),
        "names": ["a.example.com"],
    }
    data = {"outcome": "succeeded", "renewal_id": renewal_id, "leaf": leaf, "deployments": [], **overrides}
    return event(id=f"{renewal_id}-{data['outcome']}", data=data)


def placed(renewal_id: str, *, is_told: bool = True) -> Placed:
    return Placed(renewal_id, renewal_id * 32, day(1), day(9), is_told)


@pytest.fixture
async def broker(place: Place) -> Broker:
    broker = place.broker()
    await broker.declare()
    return broker


async def test_what_was_put_there_is_known_to_whoever_told_it_and_to_others_in_its_order(
    place: Place, broker: Broker
) -> None:
    assert await broker.past("shop") == ()
    for told in (put("aa"), put("bb") | {"subject": "blog"}, put("cc", outcome="failed"), event(data=None), put("dd")):
        await broker.publish_event(told)
    await broker.publish_event(put("ee", outcome="failed", deployments=[{"replaced": True}]))
    for one in (broker, place.broker()):
        assert await one.past("shop") == (placed("aa"), placed("dd"), placed("ee", is_told=False))
        assert await one.past("blog") == (placed("bb"),)
        assert await one.past("unknown") == ()


async def test_what_comes_again_is_what_came_last_and_stays_told(place: Place, broker: Broker) -> None:
    await broker.past("shop")
    for told in (put("aa"), put("bb"), put("aa", outcome="failed", deployments=[{"replaced": True}])):
        await broker.publish_event(told)
    for one in (broker, place.broker()):
        past = await one.past("shop")
        assert (past[-1].renewal_id, past[-2].renewal_id) == ("aa", "bb")
        assert any(before.is_told and before.renewal_id == "aa" for before in past)


async def test_however_much_was_told_since_what_was_put_there_is_known(place: Place, broker: Broker) -> None:
    await broker.publish_event(put("aa"))
    for _ in range(120):
        await broker.publish_event(put("bb", outcome="superseded"))
    await broker.publish_event(put("cc"))
    assert await place.broker().past("shop") == (placed("aa"), placed("cc"))


async def test_of_what_was_put_there_all_is_known_that_decides(place: Place, broker: Broker) -> None:
    facts: dict[str, Any] = {"serial_number": "17", "public_key_sha256": "cd" * 32}
    previous = {"serial_number": "16", "not_after": day(5).isoformat()}
    told = put("aa", deployments=[{"replaced": True, "previous": previous}, {"replaced": False, "previous": previous}])
    data = {**told["data"], "leaf": {**told["data"]["leaf"], **facts}}
    await broker.publish_event(told | {"data": data, "time": day(2).isoformat()})
    for number in range(120):
        await broker.publish_event(event(id=f"junk{number}", data={"outcome": "failed", "leaf": None}))
    for one in (broker, place.broker()):
        took = (Previous("16", day(5)),)
        assert await one.past("shop") == (replace(placed("aa"), **facts, took=took, at=day(2)),)


async def test_however_often_it_comes_again_what_it_took_back_is_known(place: Place, broker: Broker) -> None:
    """Under a new id each time, and with nothing to change."""
    previous = {"serial_number": "16", "not_after": day(5).isoformat()}
    await broker.publish_event(put("aa") | {"time": day(1).isoformat()})
    taking = put("bb", deployments=[{"replaced": True, "previous": previous}])
    await broker.publish_event(taking | {"time": day(2).isoformat()})
    for number in range(3 * EACH):
        again = put("bb", reason="already_current", deployments=[{"replaced": False}])
        told = again | {"data": {**again["data"], "renewal_id": f"r{number}"}, "time": day(3).isoformat()}
        await broker.publish_event(told)
    first, back = replace(placed("aa"), at=day(1)), replace(placed("bb"), at=day(2), took=(Previous("16", day(5)),))
    for one in (broker, place.broker()):
        ids = ("bb", "r21", "r22")
        assert await one.past("shop") == (first, replace(back, renewal_id="r23", earlier=ids))


async def test_of_one_certificate_the_latest_are_known(place: Place, broker: Broker) -> None:
    await broker.publish_event(put("aa"))
    for number in range(EACH):
        await broker.publish_event(put(f"{number:02}"))
        await broker.publish_event(put("cc"))
    for one in (broker, place.broker()):
        ids = [known.renewal_id for known in await one.past("shop")]
        assert ids == [*(f"{number:02}" for number in range(1, EACH)), "cc"]


async def test_another_turn_knows_what_others_have_told_meanwhile(place: Place, broker: Broker) -> None:
    async with broker.deliveries():
        assert await broker.past("shop") == ()
    await place.broker().publish_event(put("aa"))
    async with broker.deliveries():
        assert await broker.past("shop") == (placed("aa"),)


async def test_keys_that_are_exposed_are_known_whatever_is_told_since(place: Place, broker: Broker) -> None:
    """By events that do not tell them again: the worker could not read of them then."""
    await broker.past("shop")
    await broker.publish_event(put("aa"))
    await broker.publish_event(put("bb", exposed_keys=["k1"]))
    for other in range(3 * EACH):
        await broker.publish_event(put("bb"))
        await broker.publish_event(put(f"{other:02}"))
    await broker.publish_event(put("cc", exposed_keys=["k2"]))
    await broker.publish_event(put("cc"))
    for one in (broker, place.broker()):
        assert exposed_in(await one.past("shop")) == ("k1", "k2")
