"""A delivery from arrival to settlement: what is published, and in which order it is settled."""

import asyncio
import errno
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Unpack

from tests.support.clouds import message, renewal
from tests.support.consumers import changed
from tests.support.fake_gateway import FakeGateway
from tests.support.values import certificate, deployment, leaf, stored
from worker.attempt import Attempts, Policy
from worker.broker.base import About, BrokerError, Message
from worker.broker.facts import Told
from worker.consumer import Consumer
from worker.core.backoff import RetryPolicy
from worker.core.certificate import Rules
from worker.core.errors import PermanentError, TransientError
from worker.core.events import event_id
from worker.core.note import Note
from worker.core.outcome import Report
from worker.core.past import Placed
from worker.core.renewal import OWN_PRODUCER, InFiles
from worker.core.snapshot import Snapshot
from worker.effort import current_effort
from worker.intake import Intake
from worker.rotation import Rotator
from worker.sandbox.ca import Authority
from worker.telemetry import Metrics
from worker.trust.opening import TrustPolicy

AUTHORITY = Authority.create()
NAMES = ["a.example.com"]


@dataclass
class Inbox:
    """One message; remembers in order what became of it, and refuses events as often as it is told."""

    sent: Message
    stopping: asyncio.Event
    log: list[str] = field(default_factory=list)
    events: list[Mapping[str, Any]] = field(default_factory=list)
    refusals: int = 0
    known: Told | None = None
    """What was told of it before."""
    is_exposed: bool = False
    """It was buried as one that held a key in the open."""
    buried_as: str | None = None
    """The renewal's id, as its dead letter tells it."""

    @asynccontextmanager
    async def deliveries(self) -> AsyncGenerator[AsyncIterator["Inbox"]]:
        yield self._one()

    async def _one(self) -> AsyncGenerator["Inbox"]:
        yield self
        await asyncio.Event().wait()

    @property
    def message(self) -> Message:
        return self.sent

    async def told(
        self, event_ids: Collection[str], certificate: str | None, but: str | None, digest: str
    ) -> Told | None:
        assert (len(event_ids), certificate, but) == (6, "shop", self.sent.given_up_at)
        assert digest == sha256(self.sent.body).hexdigest()
        return self.known

    async def keep(self, certificate: str, note: Note) -> None:
        self.log.append(f"note of {certificate} at {note.deployment}")

    async def kept(self, certificate: str, leaf: str) -> Mapping[str, Snapshot]:
        return {}

    async def past(self, certificate: str) -> Sequence[Placed]:
        return ()

    async def publish_event(self, event: Mapping[str, object]) -> None:
        if self.refusals:
            self.refusals -= 1
            self.log.append("refused")
            raise BrokerError("no queue took it")
        self.log.append("event")
        self.events.append(event)

    def _settled(self, how: str) -> None:
        self.log.append(how)
        self.stopping.set()

    async def fence(self) -> None:
        pass

    async def ack(self) -> None:
        self._settled("ack")

    async def park(self, delay: float, *, attempt: int, opened_at: datetime | None = None) -> None:
        self._settled(f"park {delay:g} as {attempt}")

    async def bury(self, reason: str, *, keep_body: bool, **about: Unpack[About]) -> None:
        self._settled(f"bury {reason} of {about.get('certificate')} {'kept' if keep_body else 'withheld'}")
        self.is_exposed, self.buried_as = about.get("is_exposed", False), about.get("renewal_id")


def consumer_of(inbox: Any, gateway: FakeGateway, **overrides: Any) -> Consumer:
    """`inbox` has of a broker what a consumer uses. `overrides`: of the deployment."""
    trust = TrustPolicy({"shop": frozenset({"acme"})}, allow_plain_keys=True)
    attempts = Attempts(
        inbox,
        Intake(trust, Rules(), (), lambda: datetime.now(UTC)),
        Rotator({"apig": gateway}),
        {"shop": certificate(deployment(**overrides))},
        Policy(RetryPolicy((30, 120), attempts=3), drain_seconds=60),
        Metrics(),
        lambda: datetime.now(UTC),
        lambda: 0.99,
    )
    return Consumer(attempts, inbox.stopping)


async def settled(sent: Message, gateway: FakeGateway | None = None, **overrides: Any) -> Inbox:
    inbox = Inbox(sent, asyncio.Event(), **overrides)
    await consumer_of(inbox, gateway or FakeGateway(stored(), {"a.example.com": False})).run()
    return inbox


def good() -> Message:
    return renewal(AUTHORITY.issue(NAMES))


async def test_the_world_hears_of_it_before_the_broker_does() -> None:
    assert (await settled(good())).log == ["event", "ack"]


async def test_nothing_is_settled_until_the_event_is_confirmed() -> None:
    assert (await settled(good(), refusals=2)).log == ["refused", "refused", "event", "ack"]


async def test_a_passing_failure_is_parked_without_an_event() -> None:
    down = FakeGateway(stored(), {}, errors={"observe": [TransientError("gateway_unavailable")]})
    assert (await settled(good(), down)).log == ["park 30 as 2"]


async def test_the_last_attempt_is_told_and_buried() -> None:
    down = FakeGateway(stored(), {}, errors={"observe": [TransientError("gateway_unavailable")]})
    inbox = await settled(replace(good(), attempt=3), down)
    assert inbox.log == ["event", "bury gateway_unavailable of shop kept"]
    assert inbox.events[0]["data"]["attempt"] == 3


async def test_a_lasting_failure_is_told_and_buried_at_once() -> None:
    gone = FakeGateway(stored(), {}, errors={"observe": [PermanentError("forbidden")]})
    assert (await settled(good(), gone)).log == ["event", "bury forbidden of shop kept"]


async def test_garbage_is_told_and_buried_without_any_call() -> None:
    cloud = FakeGateway(stored(), {})
    assert (await settled(message(b"garbage"), cloud)).log == ["event", "bury malformed of None kept"]
    assert cloud.journal == []


async def test_a_bug_is_told_and_buried_and_never_tried_again() -> None:
    class Broken(FakeGateway):
        async def observe(self, *_what: object, **_how: object) -> Any:
            raise KeyError("a bug")

    assert (await settled(good(), Broken(stored(), {}))).log == ["event", "bury internal_error of shop kept"]


async def test_the_last_delivery_that_the_broker_gives_is_told_and_buried_untried() -> None:
    cloud = FakeGateway(stored(), {})
    inbox = await settled(replace(good(), is_last_delivery=True), cloud)
    assert inbox.log == ["event", "bury delivery_limit of shop kept"]
    assert inbox.events[0]["data"]["reason"] == "delivery_limit"
    assert cloud.journal == []


async def test_what_may_be_in_other_hands_is_not_told() -> None:
    class Overtaken(Inbox):
        async def fence(self) -> None:
            self.log.append("fence")
            self.stopping.set()
            await asyncio.Event().wait()

    inbox = Overtaken(good(), asyncio.Event())
    consumer = consumer_of(inbox, FakeGateway(stored(), {"a.example.com": False}))
    await changed(consumer, policy=replace(consumer.attempts.policy, drain_seconds=0.01)).run()
    assert inbox.log == ["fence"]


@dataclass
class Forgetful(Inbox):
    """Its history cannot be read."""

    async def past(self, _certificate: str) -> Sequence[Placed]:
        raise BrokerError("no such stream")


async def test_a_renewal_of_the_sweep_waits_while_nobody_can_say_whether_it_was_taken_back(tmp_path: Path) -> None:
    issued = AUTHORITY.issue(NAMES)
    (tmp_path / "key.pem").touch(mode=0o600)
    (tmp_path / "key.pem").write_text(issued.private_key_pem)
    (tmp_path / "chain.pem").write_text(issued.chain_pem)
    files = {"kind": "file", "chain": "chain.pem", "private_key": "key.pem"}
    cloud = FakeGateway(stored(), {"a.example.com": False})
    inbox = Forgetful(replace(renewal(issued, material=files), user_id=OWN_PRODUCER), asyncio.Event())
    usual = consumer_of(inbox, cloud)
    trust = replace(usual.attempts.intake.trust, lineages={"shop": InFiles("chain.pem", "key.pem")})
    await changed(usual, intake=replace(usual.attempts.intake, trust=trust, roots=(tmp_path,))).run()
    assert (inbox.log, cloud.journal) == (["park 30 as 2"], [])


async def test_a_renewal_that_fails_once_it_was_opened_is_told_under_its_id() -> None:
    inbox = await settled(renewal(AUTHORITY.issue(["b.example.com"])))
    assert inbox.events[0]["data"]["reason"] == "name_not_covered"
    assert inbox.events[0]["id"] == event_id(str(inbox.events[0]["causationid"]), "failed")


async def test_a_machine_without_room_is_nobodys_fault() -> None:
    class Exhausted(FakeGateway):
        async def observe(self, *_what: object, **_how: object) -> Any:
            raise RuntimeError from OSError(errno.EMFILE, "Too many open files")

    assert (await settled(good(), Exhausted(stored(), {}))).log == ["park 30 as 2"]


async def test_an_event_that_cannot_be_built_is_told_in_short() -> None:
    class Broken:
        def check_open(self, _gateways: object) -> None:
            """All are."""

        def tells_beginnings(self, _certificate: object) -> bool:
            return True

        def recall(self, *_what: object) -> None:
            """There is nothing."""

        async def rotate(self, *_what: object, **_how: object) -> Any:
            return Report("succeeded", "rotated", leaf=leaf(not_before="a bug"))

    inbox = Inbox(good(), asyncio.Event())
    broken: Any = Broken()
    await changed(consumer_of(inbox, FakeGateway(stored(), {})), rotator=broken).run()
    assert inbox.log == ["event", "ack"]
    assert inbox.events[0]["data"]["reason"] == "internal_error"


async def test_a_rotation_that_an_urgent_one_waits_for_becomes_as_urgent() -> None:
    urgencies: list[bool] = []
    asked = asyncio.Event()

    class Slow(FakeGateway):
        async def observe(self, *what: Any, **how: Any) -> Any:
            asked.set()
            await asyncio.sleep(0)
            while not urgencies and not current_effort().urgent:
                await asyncio.sleep(0.01)
            urgencies.append(current_effort().urgent)
            return await super().observe(*what, **how)

    class Both(Inbox):
        async def _one(self) -> AsyncGenerator[Inbox]:
            yield self
            await asked.wait()
            yield Inbox(renewal(AUTHORITY.issue(NAMES), reason="key_compromise"), self.stopping, self.log)
            await asyncio.Event().wait()

        def _settled(self, how: str) -> None:
            self.log.append(how)

    inbox = Both(good(), asyncio.Event())
    await consumer_of(inbox, Slow(stored(), {"a.example.com": False})).run()
    assert urgencies[0]
    assert inbox.log.count("ack") == 2
