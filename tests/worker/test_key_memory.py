"""That a new certificate has the old key: what the worker remembers of it, and whom it tells."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from tests.support.clouds import renewal, running, settings_for
from tests.support.fake_gateway import FakeGateway
from tests.support.values import stored
from tests.support.virtual_time import run_virtual
from tests.worker.test_consumer import AUTHORITY, NAMES, Inbox, consumer_of
from worker.broker.base import BrokerError, BrokerLostError, BrokerState
from worker.core.bundle import UsedKey
from worker.key_memory import KeyMemory
from worker.sandbox import Sandbox
from worker.sandbox.ca import Key

KEY = ec.generate_private_key(ec.SECP256R1())


def event(certificate: object, letter: str, outcome: str = "succeeded", **leaf: object) -> dict[str, Any]:
    facts = {"fingerprint_sha256": letter * 64, "public_key_sha256": letter.upper() * 64, **leaf}
    return {"subject": certificate, "data": {"outcome": outcome, "leaf": facts}}


def key(letter: str) -> UsedKey:
    return UsedKey(letter * 64, letter.upper() * 64)


def test_the_key_of_the_latest_rotation_that_succeeded_is_remembered() -> None:
    memory = KeyMemory()
    assert memory.of("shop") is None
    for one in (event("shop", "a"), event("shop", "b"), event("shop", "c", "failed"), event("blog", "d")):
        memory.learn(one)
    assert (memory.of("shop"), memory.of("blog")) == (key("b"), key("d"))


@pytest.mark.parametrize(
    "strange",
    [
        {},
        {"subject": "shop"},
        {"subject": "shop", "data": "text"},
        {"subject": "shop", "data": {"outcome": "succeeded", "leaf": None}},
        event(None, "a"),
        event("shop", "a", public_key_sha256=None),
        event("shop", "a", fingerprint_sha256=7),
    ],
)
def test_events_that_tell_no_key_are_passed_over(strange: Mapping[str, object]) -> None:
    memory = KeyMemory()
    memory.learn(strange)
    assert memory.of("shop") is None


def test_of_too_many_certificates_those_that_were_rotated_last_are_remembered() -> None:
    memory = KeyMemory(most=2)
    for one in (event("a", "a"), event("b", "b"), event("a", "c"), event("d", "d")):
        memory.learn(one)
    assert [memory.of(name) for name in "abd"] == [key("c"), None, key("d")]


@dataclass
class Past:
    """A history, of a broker that makes this worker the active one after a while."""

    events: Sequence[Mapping[str, object]]
    away: int = 0
    losses: list[BrokerError] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)

    async def state(self) -> BrokerState:
        self.away -= 1
        return BrokerState(is_connected=True, is_active=self.away < 0)

    async def history(self, _certificate: str | None = None, *, limit: int = 100) -> Sequence[Mapping[str, object]]:
        self.limits.append(limit)
        if self.losses:
            raise self.losses.pop(0)
        return self.events


def test_the_history_is_read_once_and_is_older_than_what_was_learned_meanwhile() -> None:
    past = Past([event("shop", "c"), event("blog", "b"), event("shop", "a")], away=3)
    past.losses.append(BrokerLostError("gone"))
    memory = KeyMemory()
    memory.learn(event("blog", "d"))
    run_virtual(memory.recall(past))
    assert (memory.of("shop"), memory.of("blog")) == (key("c"), key("d"))
    assert past.limits == [2000, 2000], "once, and once in vain"


def test_a_history_that_may_not_be_read_is_left_alone() -> None:
    past = Past([], losses=[BrokerError("not allowed")])
    with capture_logs() as log:
        run_virtual(KeyMemory().recall(past))
    assert [one["event"] for one in log] == ["history.unread"]
    assert len(past.limits) == 1


async def test_a_renewal_with_the_key_of_the_one_before_is_told_with_a_warning() -> None:
    """Once, in its event and in the log; and not when the same renewal comes again."""
    memory, cloud = KeyMemory(), FakeGateway(stored(), {NAMES[0]: False})

    async def told(issued: Any) -> tuple[list[str] | None, list[list[str]]]:
        inbox = Inbox(renewal(issued), asyncio.Event())
        consumer = consumer_of(inbox, cloud)
        quiet = replace(consumer.intake.rules, stances={"no_sct": "allow"})
        with capture_logs() as log:
            await replace(consumer, intake=replace(consumer.intake, keys=memory, rules=quiet)).run()
        warned = [one["warnings"] for one in log if one["event"] == "certificate.warned"]
        assert inbox.events[0]["data"]["outcome"] == "succeeded"
        return inbox.events[0]["data"].get("warnings"), warned

    first, again = (AUTHORITY.issue(NAMES, key=KEY) for _ in range(2))
    assert await told(first) == (None, [])
    assert await told(again) == (["key_reused"], [["key_reused"]])
    assert await told(again) == (None, [])
    assert await told(AUTHORITY.issue(NAMES)) == (None, [])


async def test_after_a_compromise_a_certificate_with_the_same_key_is_refused_and_nothing_is_changed() -> None:
    memory = KeyMemory()

    async def told(issued: Any, cloud: FakeGateway, **overrides: Any) -> tuple[list[str], Mapping[str, Any]]:
        inbox = Inbox(renewal(issued, **overrides), asyncio.Event())
        consumer = consumer_of(inbox, cloud)
        await replace(consumer, intake=replace(consumer.intake, keys=memory)).run()
        data: Any = inbox.events[0]["data"]
        return inbox.log, data

    cloud = FakeGateway(stored(), {NAMES[0]: False})
    await told(AUTHORITY.issue(NAMES, key=KEY), cloud)
    changes = list(cloud.journal)
    log, data = await told(AUTHORITY.issue(NAMES, key=KEY), cloud, reason="key_compromise")
    assert (data["outcome"], data["reason"]) == ("failed", "key_reused")
    assert log == ["event", "bury key_reused of shop kept"]
    assert cloud.journal == changes
    _, data = await told(AUTHORITY.issue(NAMES), cloud, reason="key_compromise")
    assert data["outcome"] == "succeeded"


async def test_a_worker_that_was_started_again_knows_the_keys_of_before(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        world = sandbox.world
        domain = world.add_domain(world.add_group(world.add_instance()), NAMES[0])
        held = world.add_certificate(AUTHORITY.issue(NAMES), "shop")
        world.bind(held, domain)
        deployment = {"gateway": "apig", "certificate_id": held, "domains": "attached"}
        settings = settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (deployment,)})

        async def told(own: Key) -> Mapping[str, Any]:
            with capture_logs() as log:
                async with running(settings) as worker:
                    while not any(one["event"] == "keys.recalled" for one in log):
                        await asyncio.sleep(0.02)
                    data: Mapping[str, Any] = (await worker.outcome(renewal(AUTHORITY.issue(NAMES, key=own))))["data"]
                    return data

        first, second = await told(KEY), await told(KEY)
    assert "warnings" not in first
    assert second["warnings"] == ["key_reused"]
    assert first["leaf"]["public_key_sha256"] == second["leaf"]["public_key_sha256"]
