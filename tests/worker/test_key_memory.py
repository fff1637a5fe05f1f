"""That a new certificate has the old key: what the history knows of it, and whom the worker tells."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from tests.support.clouds import renewal, running, settings_for
from tests.support.consumers import changed
from tests.support.facts import facts_of
from tests.support.fake_gateway import FakeGateway
from tests.support.values import day, leaf, stored
from tests.worker.test_consumer import AUTHORITY, NAMES, Inbox, consumer_of
from worker.broker.base import BrokerLostError
from worker.broker.facts import EACH
from worker.core.bundle import UsedKey
from worker.core.errors import Failure, RefusedError
from worker.core.outcome import Report
from worker.core.past import Placed, used_keys
from worker.core.renewal import Held, Renewal
from worker.effort import Effort, current_effort, spending
from worker.hindsight import Hindsight, Seen
from worker.sandbox import Sandbox
from worker.sandbox.ca import Key

KEY = ec.generate_private_key(ec.SECP256R1())


def put(letter: str, *, is_told: bool = True, key: str | None = "") -> Placed:
    return Placed(
        "r1", letter * 64, day(1), day(9), is_told, public_key_sha256=letter.upper() * 64 if key == "" else key
    )


@pytest.mark.parametrize(
    ("past", "letters"),
    [
        ([], ""),
        ([put("a")], "a"),
        ([put("a"), put("b")], "ab"),
        ([put("a"), replace(put("b", is_told=False), lasts=False)], "a"),
        ([put("a"), put("b", key=None)], "a"),
        ([put("a", key=None)], ""),
    ],
)
def test_the_keys_of_what_was_put_there_and_stayed_are_known(past: Sequence[Placed], letters: str) -> None:
    assert used_keys(past) == [UsedKey(letter * 64, letter.upper() * 64, "r1") for letter in letters]
    assert [one.is_told for one in used_keys([put("a"), put("b", is_told=False)])] == [True, False]


class Knowing(Inbox):
    """Knows what was put there by the events that it has."""

    async def past(self, certificate: str) -> Sequence[Placed]:
        return facts_of(self.events).past(certificate)


async def came(issued: Any, cloud: FakeGateway, known: list[Mapping[str, Any]], **overrides: Any) -> Knowing:
    """What came of it in another process than that of those before; `stances` as the settings have them."""
    stances, kind = overrides.pop("stances", {"no_sct": "allow"}), overrides.pop("kind", Knowing)
    inbox: Knowing = kind(renewal(issued, **overrides), asyncio.Event(), events=known)
    consumer = consumer_of(inbox, cloud)
    intake = consumer.attempts.intake
    await changed(consumer, intake=replace(intake, rules=replace(intake.rules, stances=stances))).run()
    return inbox


async def test_a_renewal_with_the_key_of_the_one_before_is_told_with_a_warning() -> None:
    """Once, in its event and in the log; and not when the same renewal comes again."""
    cloud, known = FakeGateway(stored(), {NAMES[0]: False}), list[Mapping[str, Any]]()

    async def told(issued: Any) -> tuple[list[str] | None, list[list[str]]]:
        with capture_logs() as log:
            data = (await came(issued, cloud, known)).events[-1]["data"]
        assert data["outcome"] == "succeeded"
        return data.get("warnings"), [one["warnings"] for one in log if one["event"] == "certificate.warned"]

    first, again = (AUTHORITY.issue(NAMES, key=KEY) for _ in range(2))
    assert await told(first) == (None, [])
    assert await told(again) == (["key_reused"], [["key_reused"]])
    assert await told(again) == (None, [])
    assert await told(AUTHORITY.issue(NAMES)) == (None, [])


async def test_after_a_compromise_a_certificate_with_the_same_key_is_refused_and_nothing_is_changed() -> None:
    """Whatever the settings say, and whichever process knew of it."""
    for stance in ("allow", "warn"):
        cloud, known = FakeGateway(stored(), {NAMES[0]: False}), list[Mapping[str, Any]]()
        stances = {"no_sct": "allow", "key_reused": stance}
        await came(AUTHORITY.issue(NAMES, key=KEY), cloud, known, stances=stances)
        changes = list(cloud.journal)
        spoilt = AUTHORITY.issue(NAMES, key=KEY)
        inbox = await came(spoilt, cloud, known, stances=stances, reason="key_compromise")
        data = known[-1]["data"]
        assert (data["outcome"], data["reason"]) == ("failed", "key_reused")
        assert inbox.log == ["event", "bury key_reused of shop kept"]
        assert cloud.journal == changes
        await came(AUTHORITY.issue(NAMES), cloud, known, stances=stances, reason="key_compromise")
        assert known[-1]["data"]["outcome"] == "succeeded"


async def test_a_worker_that_was_started_again_knows_the_keys_of_before(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        world = sandbox.world
        domain = world.add_domain(world.add_group(world.add_instance()), NAMES[0])
        held = world.add_certificate(AUTHORITY.issue(NAMES), "shop")
        world.bind(held, domain)
        deployment = {"gateway": "apig", "certificate_id": held, "domains": "attached"}
        settings = settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (deployment,)})

        async def told(own: Key) -> Mapping[str, Any]:
            async with running(settings) as worker:
                data: Mapping[str, Any] = (await worker.outcome(renewal(AUTHORITY.issue(NAMES, key=own))))["data"]
                return data

        first, second = await told(KEY), await told(KEY)
    assert "warnings" not in first
    assert second["warnings"] == ["key_reused"]
    assert first["leaf"]["public_key_sha256"] == second["leaf"]["public_key_sha256"]


async def test_a_key_that_was_replaced_because_of_a_compromise_does_not_come_back_with_an_ordinary_renewal() -> None:
    """However many renewals later, and however often it is tried."""
    cloud, known = FakeGateway(stored(), {NAMES[0]: False}), list[Mapping[str, Any]]()

    async def told(own: Key | None = None, **overrides: Any) -> tuple[str, str]:
        await came(AUTHORITY.issue(NAMES, key=own), cloud, known, **overrides)
        data = known[-1]["data"]
        return data["outcome"], data["reason"]

    await told(KEY)
    assert (await told(reason="key_compromise"))[0] == "succeeded"
    changes = list(cloud.journal)
    for reason in ("renewal", "manual", "ca_incident", "key_compromise"):
        assert await told(KEY, reason=reason, stances={"no_sct": "allow", "key_reused": "allow"}) == (
            "failed",
            "key_reused",
        )
    assert cloud.journal == changes
    for _ in range(2 * EACH):
        assert (await told())[0] == "succeeded"
    assert await told(KEY) == ("failed", "key_reused")
    assert "exposed_keys" not in known[0]["data"]


class Unread(Knowing):
    """Whose history is away."""

    async def past(self, certificate: str) -> Sequence[Placed]:
        raise BrokerLostError("away")


async def test_an_exposed_key_outlives_outcomes_of_a_time_when_nobody_could_read_the_history() -> None:
    """Of the same certificate once more, and of others: those outcomes tell of no such key, and that they cannot."""
    cloud, known, new = FakeGateway(stored(), {NAMES[0]: False}), list[Mapping[str, Any]](), AUTHORITY.issue(NAMES)

    async def told(issued: Any, kind: type[Knowing] = Knowing, **overrides: Any) -> tuple[str, str, Any]:
        await came(issued, cloud, known, kind=kind, **overrides)
        data = known[-1]["data"]
        return data["outcome"], data["reason"], data.get("warnings")

    await told(AUTHORITY.issue(NAMES, key=KEY))
    assert await told(new, reason="key_compromise") == ("succeeded", "rotated", None)
    for issued, reason in ((new, "already_current"), (AUTHORITY.issue(NAMES), "rotated")):
        assert await told(issued, Unread) == ("succeeded", reason, ["history_unread"])
        assert "exposed_keys" not in known[-1]["data"]
    changes = list(cloud.journal)
    assert (await told(AUTHORITY.issue(NAMES, key=KEY)))[:2] == ("failed", "key_reused")
    assert cloud.journal == changes
    await told(AUTHORITY.issue(NAMES))
    assert known[-1]["data"]["exposed_keys"] == known[1]["data"]["exposed_keys"] != []


async def test_what_a_compromise_has_replaced_in_part_is_known_before_its_outcome_is_told() -> None:
    """It may be parked, and something ordinary come meanwhile."""
    old, new = leaf(public_key_sha256="aa" * 32), leaf(fingerprint_sha256="cd" * 32, public_key_sha256="bb" * 32)
    past = [Placed("r1", old.fingerprint_sha256, day(1), day(9), public_key_sha256="aa" * 32)]
    urgent = Renewal("r2", "shop", "acme", Held(), "key_compromise")
    exposed = Seen(past).exposed_keys(urgent, new)
    assert exposed == ("aa" * 32,)

    async def half() -> Report:
        current_effort().changes += 1
        return Report.refused(Failure("gateway_unavailable", "away", transient=True), new)

    nobody: Any = Inbox(renewal(AUTHORITY.issue(NAMES)), asyncio.Event())
    hindsight = Hindsight(nobody)
    with spending(Effort()):
        await hindsight.of(urgent, new, half(), exposed)
    seen = await hindsight.seen("shop")
    with pytest.raises(RefusedError, match="compromise"):
        seen.exposed_keys(Renewal("r3", "shop", "acme", Held()), old)
    assert seen.exposed_keys(Renewal("r3", "shop", "acme", Held()), new) == exposed
