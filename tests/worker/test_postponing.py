"""Renewals that wait for a window or for their share of a spread: parked, uncounted, in order. In virtual time."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Unpack

import pytest
from structlog.testing import capture_logs

from tests.support.clouds import message, renewal
from tests.support.consumers import changed
from tests.support.facts import facts_of
from tests.support.fake_gateway import FakeGateway
from tests.support.values import deployment, stored
from tests.support.virtual_time import run_virtual
from worker.admission import Admission
from worker.attempt import Attempts, Policy
from worker.broker.base import About, Message
from worker.broker.facts import Told
from worker.consumer import Consumer
from worker.core.backoff import RetryPolicy, step_for
from worker.core.certificate import Rules
from worker.core.deployment import Certificate
from worker.core.errors import Failure, NotAskedError, PermanentError, TransientError
from worker.core.past import Placed
from worker.core.schedule import Schedule
from worker.core.snapshot import Snapshot
from worker.core.window import parse_window
from worker.intake import Intake
from worker.rotation import Rotator
from worker.sandbox.ca import Authority, Issued
from worker.telemetry import Metrics
from worker.trust.keys import Signers, made, read_key
from worker.trust.opening import TrustPolicy
from worker.trust.signing import CONTENT_TYPE, Signing, sign

AUTHORITY = Authority.create()
HOUR = timedelta(hours=1)
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
FRIDAY = TODAY + timedelta(days=11 - TODAY.weekday(), hours=18)
"""Of next week, when certificates of today are good: an hour after the window has closed."""
MONDAY = FRIDAY + timedelta(days=2, hours=15)
WEEKDAYS = Schedule([parse_window("Mon-Fri 09:00-17:00 UTC")])
PARKING = (30, 120, 600, 3600)


@dataclass
class Post:
    """A queue with parking steps; time is the loop's, from `begins` on."""

    begins: datetime = FRIDAY
    sent: Iterable[tuple[datetime, Message]] = ()
    ready: list[Message] = field(default_factory=list)
    events: list[Mapping[str, Any]] = field(default_factory=list)
    parked: list[tuple[datetime, float]] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    expected: int = 1
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def now(self) -> datetime:
        return self.begins + timedelta(seconds=asyncio.get_running_loop().time())

    def later(self, at: datetime, one: Message) -> None:
        asyncio.get_running_loop().call_later((at - self.now()).total_seconds(), self.put, one)

    def put(self, one: Message) -> None:
        self.ready.append(one)
        self._news.set()

    @asynccontextmanager
    async def deliveries(self) -> AsyncGenerator[AsyncIterator["Handed"]]:
        for at, one in self.sent:
            self.later(at, one)
        self.sent = ()
        yield self._given()

    async def _given(self) -> AsyncGenerator["Handed"]:
        while True:
            while self.ready:
                yield Handed(self, self.ready.pop(0))
            self._news.clear()
            await self._news.wait()

    async def told(self, ids: Collection[str], *_what: object) -> Told | None:
        found = [event["data"] for event in self.events if event["id"] in ids]
        return Told(found[0]["outcome"], found[0]["reason"]) if found else None

    async def past(self, certificate: str) -> Sequence[Placed]:
        return facts_of(self.events).past(certificate)

    async def kept(self, _certificate: str, _leaf: str) -> Mapping[str, Snapshot]:
        return {}

    async def publish_event(self, event: Mapping[str, Any]) -> None:
        self.events.append(event)
        if len(self.events) == self.expected:
            self.stopping.set()

    def told_at(self) -> Sequence[datetime]:
        return [datetime.fromisoformat(event["time"]) for event in self.events]

    def outcomes(self) -> Sequence[tuple[str, str]]:
        return [(event["data"]["outcome"], event["data"]["reason"]) for event in self.events]


@dataclass
class Handed:
    post: Post
    message: Message

    async def fence(self) -> None:
        """There is no other worker."""

    async def ack(self) -> None:
        """It is out of the queue since it was given."""

    async def park(self, delay: float, *, attempt: int, opened_at: datetime | None = None) -> None:
        known, post = opened_at or self.message.opened_at, self.post
        post.parked.append((post.now(), delay))
        copy = replace(self.message, attempt=attempt, is_copy=True, opened_at=known)
        post.later(post.now() + timedelta(seconds=step_for(delay, PARKING)), copy)

    async def bury(self, reason: str, *, keep_body: bool, **about: Unpack[About]) -> None:
        assert (reason, keep_body) == (reason, True), about


def consumer_of(post: Any, cloud: FakeGateway, schedule: Schedule = WEEKDAYS, **trust: Any) -> Consumer:
    names = sorted({str(json.loads(one.body)["subject"]) for _, one in post.sent if one.body[:1] == b"{"} | {"shop"})
    policy = TrustPolicy({name: frozenset({"acme"}) for name in names}, allow_plain_keys=True, **trust)
    attempts = Attempts(
        post,
        Intake(policy, Rules(), (), post.now),
        Rotator({"apig": cloud}),
        {name: Certificate(name, (deployment(certificate_id=name),), schedule=schedule) for name in names},
        Policy(RetryPolicy(PARKING, attempts=3), drain_seconds=60),
        Metrics(),
        post.now,
        lambda: 0.99,
    )
    return Consumer(attempts, post.stopping)


def issued(days: float = 0) -> Issued:
    """Good from so many days after last week on."""
    begins = FRIDAY.replace(microsecond=0) - timedelta(days=8 - days)
    return AUTHORITY.issue(["a.example.com"], not_before=begins)


def shop(**overrides: Any) -> FakeGateway:
    before = stored(not_before=FRIDAY - timedelta(days=60), not_after=FRIDAY + timedelta(days=30))
    return FakeGateway(replace(before, **overrides), {"a.example.com": False})


def run(post: Post, cloud: FakeGateway, schedule: Schedule = WEEKDAYS, **trust: Any) -> Post:
    async def scenario() -> None:
        await asyncio.wait_for(consumer_of(post, cloud, schedule, **trust).run(), 20 * 86400)

    run_virtual(scenario())
    return post


def test_a_renewal_after_hours_waits_for_the_window_and_no_attempt_is_burnt() -> None:
    cloud = shop()
    with capture_logs() as told:
        post = run(Post(sent=[(FRIDAY, renewal(issued()))]), cloud)
    assert post.outcomes() == [("succeeded", "rotated")]
    assert MONDAY <= post.told_at()[0] < MONDAY + timedelta(seconds=30)
    assert post.events[0]["data"]["attempt"] == 1
    assert {delay for _, delay in post.parked} <= set(PARKING)
    waiting = [line for line in told if line["event"] == "rotation.postponed"]
    until = MONDAY.isoformat().replace("+00:00", "Z")
    assert {(line["until"], line["why"]) for line in waiting} == {(until, "outside_window")}
    ends = [(line["outcome"], line["reason"]) for line in told if line["event"] == "rotation.finished"]
    assert ends == [("parked", "outside_window")] * len(waiting) + [("succeeded", "rotated")]


def test_while_it_waits_the_gateway_is_looked_at_once_and_then_left_alone() -> None:
    cloud = shop()
    run(Post(sent=[(FRIDAY, renewal(issued()))]), cloud)
    assert cloud.journal == ["observe", "observe", "replace", "attach", "observe"]


@pytest.mark.parametrize("reason", ["key_compromise", "ca_incident"])
def test_what_is_urgent_waits_for_nothing(reason: str) -> None:
    schedule = replace(WEEKDAYS, spread=24 * HOUR)
    post = run(Post(sent=[(FRIDAY, renewal(issued(), reason=reason))]), shop(), schedule)
    assert post.told_at() == [FRIDAY]


def test_what_expires_soon_is_renewed_at_once_or_as_soon_as_it_does() -> None:
    arrival = [(FRIDAY, renewal(issued()))]
    post = run(Post(sent=arrival), shop(not_after=FRIDAY + timedelta(days=2)))
    assert post.told_at() == [FRIDAY]
    soon = FRIDAY + timedelta(days=1)
    post = run(Post(sent=arrival), shop(not_after=soon + timedelta(days=3)))
    assert soon <= post.told_at()[0] < soon + timedelta(seconds=30)


def test_what_changes_nothing_is_told_at_once() -> None:
    one = issued()
    leaf = one.certificate
    current = {
        "serial_number": one.serial_number,
        "not_before": leaf.not_valid_before_utc,
        "not_after": leaf.not_valid_after_utc,
    }
    post = run(Post(sent=[(FRIDAY, renewal(one))]), shop(**current))
    assert (post.outcomes(), post.told_at()) == ([("succeeded", "already_current")], [FRIDAY])
    post = run(Post(sent=[(FRIDAY, renewal(issued(-1)))]), shop(**current))
    assert (post.outcomes(), post.told_at()) == ([("superseded", "downgrade")], [FRIDAY])


def test_an_older_renewal_that_waits_is_superseded_when_it_wakes_after_a_newer_one() -> None:
    """An urgent one goes before it; told within the hour of its next look, not at the opening of the window."""
    older, newer = renewal(issued()), renewal(issued(1), reason="key_compromise")
    cloud = shop()
    post = run(Post(sent=[(FRIDAY, older), (FRIDAY + HOUR / 2, newer)], expected=2), cloud)
    assert post.outcomes() == [("succeeded", "rotated"), ("superseded", "downgrade")]
    assert [event["causationid"] for event in post.events] == [json.loads(one.body)["id"] for one in (newer, older)]
    assert post.told_at()[0] == FRIDAY + HOUR / 2
    assert post.told_at()[1] <= FRIDAY + HOUR
    assert cloud.journal.count("replace") == 1


def test_of_two_that_wait_the_newer_one_is_served_in_the_end_whichever_wakes_first() -> None:
    for order in ((0, 1), (1, 0)):
        certificates = [issued(0), issued(1)]
        sent = [(FRIDAY + index * HOUR / 7, renewal(certificates[one])) for index, one in enumerate(order)]
        cloud = shop()
        post = run(Post(sent=sent, expected=2), cloud)
        assert cloud.stored is not None
        assert cloud.stored.serial_number == certificates[1].serial_number
        assert all(at >= MONDAY for at in post.told_at() if post.outcomes()[post.told_at().index(at)][0] == "succeeded")


@dataclass(slots=True)
class Away(FakeGateway):
    """Down for longer than it is worth waiting for in silence: until the last minute before the window."""

    until: datetime = MONDAY
    post: Post = field(default_factory=Post)
    refuses_before: bool = True
    """Known to be down, or found out again by every call."""

    def refusal(self) -> NotAskedError | None:
        is_down = self.refuses_before and self.post.now() < self.until
        return NotAskedError("gateway_unavailable", hold=60, is_attempt=True) if is_down else None

    async def observe(self, *what: Any, **how: Any) -> Any:
        if self.post.now() < self.until:
            raise TransientError("gateway_unavailable")
        return await FakeGateway.observe(self, *what, **how)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_gateway_that_is_away_while_the_window_is_closed_ends_no_renewal(*, is_known: bool) -> None:
    before = shop()
    post = Post(sent=[(FRIDAY, renewal(issued()))])
    cloud = Away(before.stored, before.rows, post=post, refuses_before=is_known)
    run(post, cloud)
    assert post.outcomes() == [("succeeded", "rotated")]
    assert post.events[0]["data"]["attempt"] == 1


def test_a_gateway_that_is_still_away_when_the_window_opens_is_heard_of() -> None:
    before = shop()
    post = Post(sent=[(FRIDAY, renewal(issued()))])
    run(post, Away(before.stored, before.rows, post=post, until=MONDAY + 100 * HOUR))
    assert post.outcomes() == [("failed", "gateway_unavailable")]
    assert post.told_at()[0] >= MONDAY


class Once(FakeGateway):
    """What is sick recovers after one attach."""

    async def attach(self, *what: Any) -> Any:
        results = await super().attach(*what)
        self.sick = {}
        return results


def test_what_was_begun_in_the_window_goes_on_after_it_and_what_came_to_nothing_waits() -> None:
    late = MONDAY + timedelta(hours=8) - timedelta(seconds=20)

    def ended(**failing: Any) -> datetime:
        before = shop()
        cloud = Once(before.stored, before.rows, **failing)
        return run(Post(late, sent=[(late, renewal(issued()))]), cloud).told_at()[0]

    assert ended() == late
    assert ended(sick={"a.example.com": Failure("throttled", "", transient=True)}) == late + timedelta(seconds=30)
    tomorrow = late + timedelta(hours=16)
    assert tomorrow < ended(errors={"replace": [TransientError("throttled")]}) < tomorrow + timedelta(minutes=1)


def test_a_mass_renewal_is_spread_evenly_and_the_same_always() -> None:
    sent = [(FRIDAY, renewal(issued(), f"c{number}")) for number in range(60)]

    def began() -> Sequence[datetime]:
        cloud = shop()
        cloud.errors["replace"] = [PermanentError("forbidden") for _ in sent]
        with capture_logs():
            post = run(Post(sent=sent, expected=60), cloud, replace(WEEKDAYS, spread=HOUR))
        return post.told_at()

    times = began()
    assert times == began()
    assert all(MONDAY <= at < MONDAY + HOUR + timedelta(seconds=30) for at in times)
    assert all(10 <= sum(at < MONDAY + HOUR / 3 * third for at in times) / third <= 30 for third in (1, 2))


def test_a_renewal_whose_time_is_of_the_future_counts_from_when_it_came() -> None:
    body = json.loads(renewal(issued()).body)
    body["time"] = (FRIDAY + timedelta(days=300)).isoformat()
    post = run(Post(sent=[(FRIDAY, message(json.dumps(body).encode()))]), shop(), Schedule(spread=4 * HOUR))
    assert FRIDAY < post.told_at()[0] <= FRIDAY + 4 * HOUR + timedelta(seconds=30)


def test_a_renewal_that_waits_takes_nobodys_place() -> None:
    waiting, urgent = renewal(issued(), "blog"), renewal(issued())
    post = Post(sent=[(FRIDAY, waiting), (FRIDAY, urgent)], expected=2)

    async def scenario() -> None:
        consumer = consumer_of(post, shop())
        certificates = consumer.attempts.certificates
        always = replace(certificates["shop"], schedule=Schedule())
        await changed(consumer, admission=Admission(1), certificates={**certificates, "shop": always}).run()

    run_virtual(scenario())
    assert [event["subject"] for event in post.events] == ["shop", "blog"]
    assert post.told_at()[0] == FRIDAY


def test_a_signed_renewal_is_not_refused_for_having_waited(tmp_path: Path) -> None:
    private, public = made(tmp_path, "acme", signs=True)
    key = read_key(private, is_private=True, signs=True)
    signing = Signing("acme", key, "rotation-worker", HOUR.total_seconds())
    body = sign(renewal(issued()).body, signing, FRIDAY)
    sent = message(body, content_type=CONTENT_TYPE, user_id="amqp")
    signers, window = Signers.at({"acme": public}), 2 * HOUR.total_seconds()
    post = run(Post(sent=[(FRIDAY, sent)]), shop(), signers=signers, replay_window=window)
    assert post.outcomes() == [("succeeded", "rotated")]
    assert post.told_at()[0] >= MONDAY
    late = Post(sent=[(MONDAY, sent)])
    assert run(late, shop(), signers=signers, replay_window=window).outcomes() == [("failed", "stale_message")]
