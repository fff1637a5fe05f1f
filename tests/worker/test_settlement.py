"""How a delivery is settled and told of, and how long the broker is asked for it. In virtual time."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.clouds import message
from tests.support.consumers import changed
from tests.support.fake_gateway import FakeGateway
from tests.support.values import stored
from tests.support.virtual_time import run_virtual
from tests.worker.test_consumer import Inbox, consumer_of
from tests.worker.test_several_in_hand import consuming, held
from tests.worker.test_slices import REBIND
from worker.broker.base import BrokerError, BrokerLostError, Message
from worker.consumer import Consumer
from worker.core.backoff import RetryPolicy
from worker.core.deployment import Binding
from worker.core.errors import Failure
from worker.core.events import event_ids
from worker.core.outcome import BindingResult, DeploymentReport, Outcome, Report, Timing
from worker.settlement import Identity, Settlement


def settlement_of(consumer: Consumer) -> Settlement:
    return consumer.attempts.settlement


@dataclass
class Grudging(Inbox):
    """Takes what it is asked only the `patience`th time."""

    patience: int = 0
    asked_at: list[float] = field(default_factory=list)
    refusal: BrokerError = field(default_factory=lambda: BrokerError("no room"))

    async def ack(self) -> None:
        self.asked_at.append(round(asyncio.get_running_loop().time(), 3))
        if len(self.asked_at) < self.patience:
            raise self.refusal
        self._settled("ack")


def asked_at(**overrides: Any) -> list[float]:
    async def scenario() -> list[float]:
        inbox = Grudging(held("r1", "shop"), asyncio.Event(), **overrides)
        settlement = settlement_of(consumer_of(inbox, FakeGateway(stored(), {})))
        try:
            await settlement.insist(inbox.ack)
        except BrokerLostError:
            inbox.asked_at.append(-1)
        return inbox.asked_at

    return run_virtual(scenario())


def test_a_broker_that_refuses_is_asked_ever_more_seldom() -> None:
    times = asked_at(patience=5)
    pauses = [later - before for before, later in pairwise(times)]
    assert pauses == pytest.approx([0.2525, 0.505, 1.01, 2.02], abs=0.01)


def test_a_broker_that_is_lost_is_not_asked_again() -> None:
    assert asked_at(patience=5, refusal=BrokerLostError("gone")) == [0, -1]


async def ended(
    sent: Message, report: Report, identity: Identity | None = None, **overrides: Any
) -> tuple[Inbox, list[dict[str, Any]], list[str | None]]:
    """What becomes of a delivery whose rotation ended so: its inbox, the log, and whom the sweep hears of."""
    heard: list[str | None] = []
    inbox = Inbox(sent, asyncio.Event(), **overrides)
    consumer = changed(
        consumer_of(inbox, FakeGateway(stored(), {})), on_ended=lambda name, _outcome: heard.append(name)
    )
    timing = Timing(consumer.attempts.now(), consumer.attempts.now(), 1.5, sent.attempt)
    with capture_logs() as told:
        await settlement_of(consumer).conclude(inbox, identity or Identity.of(sent), report, timing)
    labels = {"outcome": report.outcome, "reason": report.reason}
    booked = consumer.attempts.metrics.registry.get_sample_value("rotation_renewals_total", labels)
    assert (booked or 0) == len(heard), "it is booked when it has ended, and only then"
    return inbox, [dict(one) for one in told], heard


def of(outcome: Outcome, reason: str, *failures: Failure) -> Report:
    reports = tuple(DeploymentReport(REBIND, outcome, reason, failure=one) for one in failures)
    return Report(outcome, reason, None, reports)


DOWN = Failure("gateway_unavailable", "", transient=True)


@pytest.mark.parametrize(
    ("report", "outcome", "heard"),
    [
        (of("succeeded", "rotated"), "succeeded", ["shop"]),
        (of("superseded", "downgrade"), "superseded", ["shop"]),
        (of("failed", "forbidden", Failure("forbidden", "", transient=False)), "failed", ["shop"]),
        (of("failed", "gateway_unavailable", DOWN), "parked", []),
    ],
)
async def test_a_delivery_ends_in_exactly_one_line_and_is_booked_once(
    report: Report, outcome: str, heard: list[str]
) -> None:
    _, log, ended_for = await ended(held("r1", "shop"), report)
    assert [(one["event"], one["outcome"], one["reason"]) for one in log] == [
        ("rotation.finished", outcome, report.reason)
    ]
    assert ended_for == heard


async def test_a_failure_is_a_warning_that_names_the_place_which_failed_first_and_why() -> None:
    bad = Failure("not_found", "no such domain", transient=False)
    results = [
        BindingResult(Binding("domain", "a.example.com"), "attached"),
        BindingResult(Binding("domain", "b.example.com"), "failed", bad),
    ]
    failed = [DeploymentReport(REBIND, "failed", "binding_failed", bindings=results)]
    _, [line], _ = await ended(held("r1", "shop"), Report("failed", "binding_failed", None, failed))
    assert line["log_level"] == "warning"
    assert (line["failed_at"], line["failed_reason"], line["message"]) == (
        "b.example.com",
        "not_found",
        "no such domain",
    )
    _, [refused], _ = await ended(held("r2", "shop"), Report.refused(Failure("malformed", "no id", transient=False)))
    assert (refused["log_level"], refused["message"]) == ("warning", "no id")
    _, [well], _ = await ended(held("r3", "shop"), of("succeeded", "rotated"))
    assert (well["log_level"], "failed_at" in well) == ("info", False)


async def test_what_is_parked_says_for_which_failure_it_comes_again() -> None:
    bad, down = Failure("not_found", "gone", transient=False), Failure("gateway_unavailable", "503", transient=True)
    names = {"a.example.com": bad, "b.example.com": down}
    results = [BindingResult(Binding("domain", name), "failed", failure) for name, failure in names.items()]
    report = Report("failed", "not_found", None, [DeploymentReport(REBIND, "failed", "not_found", bindings=results)])
    _, [line], _ = await ended(held("r1", "shop"), report)
    assert (line["outcome"], line["reason"]) == ("parked", "not_found")
    told = line["failed_at"], line["failed_reason"], line["message"]
    assert told == ("b.example.com", "gateway_unavailable", "503")
    _, [whole], _ = await ended(held("r2", "shop"), Report.refused(down))
    assert (whole["outcome"], whole["message"]) == ("parked", "503")


async def test_messages_without_an_id_are_told_apart_by_their_bytes() -> None:
    async def event_id(body: bytes) -> str:
        inbox, *_ = await ended(message(body), Report.refused(Failure("malformed", "", transient=False)))
        return str(inbox.events[0]["id"])

    assert await event_id(b"garbage") == await event_id(b"garbage")
    assert await event_id(b"garbage") != await event_id(b"other garbage")


async def test_what_only_claims_to_be_a_renewal_is_not_told_under_its_id() -> None:
    async def told(sent: Message, *, is_opened: bool) -> dict[str, Any]:
        identity = replace(Identity.of(sent), is_opened=is_opened)
        inbox, *_ = await ended(sent, Report.refused(Failure("malformed", "", transient=False)), identity)
        return dict(inbox.events[0])

    real = held("r1", "shop")
    own = {str(one) for one in Identity.of(real).event_ids}
    for strange in (
        replace(real, body=real.body + b" "),
        replace(real, user_id="mallory"),
        replace(real, user_id=None),
        replace(real, content_type="text/plain"),
    ):
        refused = await told(strange, is_opened=False)
        assert (refused["causationid"], refused["subject"]) == ("r1", "shop")
        assert refused["id"] == (await told(strange, is_opened=False))["id"], "a repeat is known as one"
        assert refused["id"] not in own
    assert (await told(real, is_opened=True))["id"] in event_ids("r1")
    assert (await told(real, is_opened=False))["id"] in own


async def test_the_history_is_asked_for_the_renewals_own_events() -> None:
    @dataclass
    class Asked(Inbox):
        ids: list[str] = field(default_factory=list)

        async def told(self, event_ids: Collection[str], *_what: object) -> None:
            self.ids += event_ids

    inbox = Asked(replace(held("r1", "shop"), redeliveries=1), asyncio.Event())
    settlement = settlement_of(consumer_of(inbox, FakeGateway(stored(), {})))
    await settlement.told(inbox.sent, Identity.of(inbox.sent))
    assert inbox.ids[-3:] == list(event_ids("r1"))
    assert inbox.ids[:3] == list(event_ids(Identity.of(inbox.sent).event_source)), "and those of one that was refused"


@pytest.mark.parametrize(("allowed", "kept"), [(True, "kept"), (False, "withheld")])
async def test_what_may_hold_a_key_is_kept_only_where_keys_may_travel_in_the_open(allowed: bool, kept: str) -> None:
    inbox = Inbox(message(b"garbage"), asyncio.Event())
    consumer = consumer_of(inbox, FakeGateway(stored(), {}))
    intake = consumer.attempts.intake
    await changed(consumer, intake=replace(intake, trust=replace(intake.trust, allow_plain_keys=allowed))).run()
    assert inbox.log == ["event", f"bury malformed of None {kept}"]


def test_an_event_tells_how_long_the_rotation_took() -> None:
    class Slow(FakeGateway):
        async def observe(self, *what: Any, **how: Any) -> Any:
            await asyncio.sleep(7)
            return await super().observe(*what, **how)

    async def scenario() -> Any:
        await asyncio.sleep(1000)
        inbox = Inbox(held("r1", "shop"), asyncio.Event())
        await consuming(inbox, Slow(stored(), {"l1": None})).run()
        return inbox.events[0]["data"]["duration_seconds"]

    assert run_virtual(scenario()) == 7


@pytest.mark.parametrize(
    ("hold", "told"), [(3587.0, {"parked_seconds": 6, "asked_seconds": 3587.0}), (0.0, {"parked_seconds": 2})]
)
def test_the_log_tells_for_how_long_it_is_parked_and_apart_from_that_what_was_asked(
    hold: float, told: dict[str, float]
) -> None:
    async def scenario() -> dict[str, Any]:
        sent = held("r1", "shop")
        inbox = Inbox(sent, asyncio.Event())
        consumer = consumer_of(inbox, FakeGateway(stored(), {}))
        settlement = replace(settlement_of(consumer), retry=RetryPolicy((2, 4, 6)))
        timing, failed = Timing(consumer.attempts.now(), consumer.attempts.now(), 1.5, 1), replace(DOWN, hold=hold)
        with capture_logs() as lines:
            identity = replace(Identity.of(sent), is_opened=True)
            await settlement.conclude(inbox, identity, of("failed", "throttled", failed), timing)
        return dict(lines[-1])

    line = run_virtual(scenario())
    assert {name: value for name, value in line.items() if name.endswith("_seconds")} == told
