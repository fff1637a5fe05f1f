"""The broker objects as data: what is declared, and the least rights that do."""

import re
from typing import Any

import pytest

from worker.broker.topology import Queue, definitions, topology
from worker.settings.model import Broker

PARKING = (30, 120, 600, 3600)


def queue(name: str, **overrides: Any) -> Queue:
    wanted = topology(Broker.model_validate(overrides), PARKING)
    return next(one for one in wanted.queues if one.name == name)


def test_the_work_queue_has_one_active_consumer_and_gives_up_at_least_once() -> None:
    assert queue("certificate.rotation", delivery_limit=7).arguments == {
        "x-queue-type": "quorum",
        "x-single-active-consumer": True,
        "x-delivery-limit": 7,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "certificate.rotation.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def test_a_parking_step_sends_back_to_the_work_queue_at_least_once() -> None:
    assert queue("certificate.rotation.parked.30").arguments == {
        "x-queue-type": "quorum",
        "x-message-ttl": 30000,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "certificate.rotation",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def test_the_history_keeps_events_for_the_days_that_are_set() -> None:
    assert queue("certificate.rotation.history", history_days=7).arguments == {
        "x-queue-type": "stream",
        "x-max-age": "7D",
    }


def test_looking_at_dead_letters_does_not_use_them_up() -> None:
    limit = queue("certificate.rotation.dead").arguments["x-delivery-limit"]
    assert isinstance(limit, int)
    assert limit > 1_000_000


def test_every_queue_is_replicated() -> None:
    kinds = {one.arguments["x-queue-type"] for one in topology(Broker(), PARKING).queues}
    assert kinds == {"quorum", "stream"}


def test_copies_and_notes_reach_each_step_the_dead_queue_the_work_queue_and_the_history_through_one_exchange() -> None:
    bound = {
        one.routing_key: one.queue
        for one in topology(Broker(), PARKING).bindings
        if one.exchange == "certificate.rotation.parked"
    }
    assert bound == {
        "30": "certificate.rotation.parked.30",
        "120": "certificate.rotation.parked.120",
        "600": "certificate.rotation.parked.600",
        "3600": "certificate.rotation.parked.3600",
        "dead": "certificate.rotation.dead",
        "again": "certificate.rotation",
        "note": "certificate.rotation.history",
    }


def test_a_shard_takes_the_keys_that_are_set() -> None:
    settings = Broker(queue="shard-1", binding_keys=("certificate.renewed.a", "certificate.renewed.b"))
    bound = [one.routing_key for one in topology(settings, PARKING).bindings if one.exchange == settings.exchange]
    assert bound == ["certificate.renewed.a", "certificate.renewed.b"]


@pytest.mark.parametrize(
    ("user", "right", "name", "is_granted"),
    [
        ("rotation-worker", "configure", "certificate.rotation", False),
        ("rotation-worker", "write", "certificate.events", True),
        ("rotation-worker", "write", "certificate.rotation.parked", True),
        ("rotation-worker", "write", "certificate.renewals", False),
        ("rotation-worker", "write", "amq.default", False),
        ("rotation-worker", "write", "certificateXevents", False),
        ("rotation-worker", "read", "certificate.rotation", True),
        ("rotation-worker", "read", "certificate.rotation.dead", True),
        ("rotation-worker", "read", "certificate.rotation.history", True),
        ("rotation-worker", "read", "certificate.rotation.parked.30", True),
        ("rotation-worker", "read", "certificate.rotation.parked.30x", False),
        ("rotation-worker", "read", "certificate.renewals", True),
        ("rotation-worker", "read", "other.certificate.rotation", False),
        ("rotation-producer", "configure", "certificate.renewals", False),
        ("rotation-producer", "write", "certificate.renewals", True),
        ("rotation-producer", "write", "certificate.rotation.parked", False),
        ("rotation-producer", "read", "certificate.rotation", False),
    ],
)
def test_nobody_is_granted_more_than_needed(user: str, right: str, name: str, *, is_granted: bool) -> None:
    exported: Any = definitions(Broker(), PARKING)
    [permission] = [one for one in exported["permissions"] if one["user"] == user]
    assert (re.search(permission[right], name) is not None) is is_granted


def test_each_producer_that_signs_nothing_is_a_user_with_a_producers_rights() -> None:
    exported: Any = definitions(Broker(), PARKING, "/", ["acme-1", "rotation-producer", "rotation-worker"])
    names = ["rotation-worker", "rotation-producer", "acme-1"]
    assert [one["name"] for one in exported["users"]] == [one["user"] for one in exported["permissions"]] == names
    _, signed, unsigned = exported["permissions"]
    assert unsigned == signed | {"user": "acme-1"}


def test_the_definitions_hold_every_object_and_no_password() -> None:
    exported: Any = definitions(Broker(), PARKING)
    wanted = topology(Broker(), PARKING)
    assert [one["name"] for one in exported["exchanges"]] == [one.name for one in wanted.exchanges]
    assert [one["name"] for one in exported["queues"]] == [one.name for one in wanted.queues]
    assert len(exported["bindings"]) == len(wanted.bindings)
    assert {one["password_hash"] for one in exported["users"]} == {""}


def test_queues_share_nothing_that_they_park_or_bury() -> None:
    """Shards with settings of their own: what one puts back reaches no other."""
    shard = topology(Broker(queue="shard.b", binding_keys=("certificate.renewed.b",)), (5, 6))
    usual = topology(Broker(), PARKING)
    events, renewals = Broker().events_exchange, Broker().exchange
    theirs = {one.name for one in shard.exchanges} | {one.name for one in shard.queues}
    ours = {one.name for one in usual.exchanges} | {one.name for one in usual.queues}
    assert theirs & ours == {events, renewals, Broker().history_stream}
    theirs_alone = {one.queue for one in shard.bindings if one.exchange not in (events, renewals)}
    assert theirs_alone & ours == {Broker().history_stream}, "where notes go, which no queue gives out"


def test_definitions_are_for_the_brokers_own_vhost() -> None:
    exported: Any = definitions(Broker(), PARKING, "team/a")
    assert {one["vhost"] for one in (*exported["queues"], *exported["permissions"])} == {"team/a"}
