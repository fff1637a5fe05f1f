"""However a delivery ends, the log tells it in one line, and in one alone. In virtual time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from tests.support.clouds import message, renewal
from tests.support.consumers import changed
from tests.support.fake_gateway import FakeGateway
from tests.support.judging import kept_by_all
from tests.support.values import certificate, deployment, stored
from tests.support.virtual_time import run_virtual
from tests.worker.test_consumer import AUTHORITY, NAMES, Inbox, consumer_of, good
from tests.worker.test_slices import Waiting, held, rebinding
from worker.broker.base import BrokerLostError, Message, redelivered
from worker.broker.facts import Told
from worker.consumer import Consumer
from worker.core.errors import PermanentError, TransientError
from worker.core.message import identify
from worker.core.schedule import Schedule
from worker.core.window import parse_window
from worker.substitute import Substitute

Ends = list[tuple[object, object]]


def cloud(**errors: Any) -> FakeGateway:
    return FakeGateway(stored(), {"a.example.com": False}, errors={name: [error] for name, error in errors.items()})


async def one(sent: Message, gateway: FakeGateway | None = None, **overrides: Any) -> None:
    await consumer_of(Inbox(sent, asyncio.Event(), **overrides), gateway or cloud()).run()


class Hanging(FakeGateway):
    """Never answers."""

    async def observe(self, *_what: object, **_how: object) -> Any:
        await asyncio.Event().wait()


class Broken(FakeGateway):
    async def observe(self, *_what: object, **_how: object) -> Any:
        raise KeyError("a bug")


class Unsettled(Inbox):
    """Its acknowledgement is a bug of ours."""

    async def ack(self) -> None:
        raise KeyError("a bug")


@dataclass
class Given(Inbox):
    """Gives out several, and then does what `then` does."""

    all: Sequence[Message] = ()
    then: Callable[["Given"], Coroutine[Any, Any, None]] | None = None
    left: int = field(init=False, default=0)

    async def told(self, *_what: object) -> Told | None:
        return None

    async def _one(self) -> AsyncGenerator[Inbox]:
        self.left = len(self.all)
        for sent in self.all:
            yield Each(sent, self.stopping, log=self.log, of=self)
        if self.then is not None:
            await self.then(self)
        await asyncio.Event().wait()


@dataclass
class Each(Inbox):
    of: Given | None = None

    def _settled(self, how: str) -> None:
        assert self.of is not None
        self.log.append(how)
        self.of.left -= 1
        if not self.of.left:
            self.stopping.set()


async def lose(_inbox: Given) -> None:
    await asyncio.sleep(1)
    raise BrokerLostError("gone")


async def lose_at_once(_inbox: Given) -> None:
    raise BrokerLostError("gone")


async def stop(inbox: Given) -> None:
    await asyncio.sleep(1)
    inbox.stopping.set()


async def given(
    *messages: Message, then: Any = None, gateway: FakeGateway | None = None, plain: bool = True, **policy: Any
) -> None:
    """Until the consumer ends, or has lost its broker once."""
    inbox = Given(good(), asyncio.Event(), all=messages, then=then)
    consumer = consumer_of(inbox, gateway or Hanging(stored(), {}))
    intake, policy_of = consumer.attempts.intake, consumer.attempts.policy
    intake = replace(intake, trust=replace(intake.trust, allow_plain_keys=plain))
    running = changed(consumer, intake=intake, policy=replace(policy_of, **policy))
    with suppress(TimeoutError):
        async with asyncio.timeout(policy.get("slice_seconds", 10) * 2.5):
            await losing_once(running)


async def losing_once(consumer: Consumer) -> None:
    """The next connection is none."""
    first = consumer.attempts.broker.deliveries

    @asynccontextmanager
    async def once() -> AsyncGenerator[AsyncIterator[Any]]:
        consumer.attempts.broker.deliveries = none  # type: ignore[method-assign]
        async with first() as deliveries:
            yield deliveries

    def none() -> AbstractAsyncContextManager[AsyncIterator[Any]]:
        consumer.stopping.set()
        raise BrokerLostError("gone for good")

    consumer.attempts.broker.deliveries = once  # type: ignore[method-assign]
    await consumer.run()


async def when_it_was_told_to_stop() -> None:
    """What the broker sends meanwhile."""

    async def stop_and_send(inbox: Given) -> None:
        inbox.stopping.set()
        await asyncio.sleep(0)

    class Late(Given):
        async def _one(self) -> AsyncGenerator[Inbox]:
            self.stopping.set()
            yield Inbox(good(), self.stopping)
            await asyncio.Event().wait()

    inbox = Late(good(), asyncio.Event())
    consumer = consumer_of(inbox, cloud())
    # Something is in hand, so that it drains for a while.
    consumer._in_hand.add(asyncio.create_task(asyncio.sleep(1)), good())
    await stop_and_send(inbox)
    with suppress(BrokerLostError):
        await consumer._take(inbox._one())


async def when_its_window_is_closed() -> None:
    inbox, at = Inbox(good(), asyncio.Event()), datetime.now(UTC)
    tomorrow = (at + timedelta(days=1)).strftime("%a")
    closed = Schedule([parse_window(f"{tomorrow} 00:00-23:00 UTC")])
    shop = replace(certificate(deployment()), schedule=closed)
    cloud_ = FakeGateway(stored(not_after=at + timedelta(days=30)), {"a.example.com": False})
    await changed(consumer_of(inbox, cloud_), certificates={"shop": shop}).run()


async def when_the_process_is_told_twice_to_stop() -> None:
    inbox = Given(good(), asyncio.Event(), all=[good()], then=stop)
    running = asyncio.create_task(consumer_of(inbox, Hanging(stored(), {})).run())
    await inbox.stopping.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def when_a_bug_is_in_its_settling() -> None:
    inbox = Unsettled(good(), asyncio.Event())
    with suppress(ExceptionGroup):
        await consumer_of(inbox, cloud()).run()


async def when_another_has_a_bug_in_its_settling() -> None:
    """It takes the process down, and what is in hand beside it goes back."""

    class Two(Inbox):
        async def _one(self) -> AsyncGenerator[Inbox]:
            yield Inbox(renewal(AUTHORITY.issue(NAMES), reason="manual"), self.stopping)
            yield Unsettled(replace(good(), redeliveries=1), self.stopping, known=Told("succeeded", "rotated", "then"))
            await asyncio.Event().wait()

    inbox = Two(good(), asyncio.Event(), known=Told("succeeded", "rotated", "then"))
    with suppress(ExceptionGroup):
        await consumer_of(inbox, Hanging(stored(), {})).run()


async def when_its_slice_is_over() -> None:
    await rebinding(Inbox(held(), asyncio.Event()), Waiting(stored(), {})).run()


async def when_it_is_not_for_this_one() -> None:
    """A substitute works for its own alone."""

    async def nothing() -> AsyncGenerator[Any]:
        yield Inbox(good(), asyncio.Event())
        done.set()
        await asyncio.Event().wait()

    done = asyncio.Event()
    none: Any = None
    substitute = Substitute(none, none, lambda _message: False, 30, kept_by_all)
    async for _own in substitute._sieved(asyncio.Event(), until(done, nothing())):
        raise AssertionError("it is not its own")


async def until(done: asyncio.Event, deliveries: AsyncIterator[Any]) -> AsyncGenerator[Any]:
    async for delivery in deliveries:
        yield delivery
        if not done.is_set():
            return


ENDINGS: Mapping[str, tuple[Callable[[], Coroutine[Any, Any, None]], Ends]] = {
    "it succeeds": (lambda: one(good()), [("succeeded", "rotated")]),
    "it fails": (lambda: one(good(), cloud(observe=PermanentError("forbidden"))), [("failed", "forbidden")]),
    "it is refused": (lambda: one(message(b"garbage")), [("failed", "malformed")]),
    "it is for no name that is bound": (
        lambda: one(renewal(AUTHORITY.issue(["b.example.com"]))),
        [("failed", "name_not_covered")],
    ),
    "a newer one is there": (
        lambda: one(good(), FakeGateway(stored(not_before=datetime.now(UTC) + timedelta(days=9)), {})),
        [("superseded", "downgrade")],
    ),
    "it comes again later": (
        lambda: one(good(), cloud(observe=TransientError("gateway_unavailable"))),
        [("parked", "gateway_unavailable")],
    ),
    "its last attempt fails": (
        lambda: one(replace(good(), attempt=3), cloud(observe=TransientError("gateway_unavailable"))),
        [("failed", "gateway_unavailable")],
    ),
    "its window is closed": (when_its_window_is_closed, [("parked", "outside_window")]),
    "its slice is over": (when_its_slice_is_over, [("sliced", None)]),
    "it was told before": (
        lambda: one(replace(good(), redeliveries=1), known=Told("succeeded", "rotated", "then")),
        [("succeeded", "rotated")],
    ),
    "its failure was told before": (
        lambda: one(replace(good(), redeliveries=1), known=Told("failed", "forbidden", "then")),
        [("failed", "forbidden")],
    ),
    "it was delivered too often": (
        lambda: one(replace(good(), is_last_delivery=True)),
        [("failed", "delivery_limit")],
    ),
    "a bug is in its rotation": (lambda: one(good(), Broken(stored(), {})), [("failed", "internal_error")]),
    "a bug is in its settling": (when_a_bug_is_in_its_settling, [("returned", "internal_error")]),
    "another's settling is a bug": (when_another_has_a_bug_in_its_settling, [("returned", "internal_error")] * 2),
    "the broker is lost": (lambda: given(good(), then=lose), [("returned", "broker_lost")]),
    "the broker is lost before it has begun": (
        lambda: given(good(), good(), then=lose_at_once),
        [("returned", "broker_lost")] * 2,
    ),
    "the worker drains, and it takes too long": (
        lambda: given(good(), then=stop, drain_seconds=2),
        [("returned", "draining")],
    ),
    "the worker is told to stop at once": (when_the_process_is_told_twice_to_stop, [("returned", "draining")]),
    "it comes to a worker that drains": (when_it_was_told_to_stop, [("returned", "draining")]),
    "another's last delivery is tried first": (
        lambda: given(*(replace(redelivered(good(), 4, 4)) for _ in range(2)), gateway=cloud()),
        [("failed", "delivery_limit"), ("parked", "spared")],
    ),
    "what it waits for takes long": (
        lambda: given(*(redelivered(good(), 2, 4) for _ in range(3)), slice_seconds=5),
        [("parked", "others_ahead"), *[("parked", "gateway_unavailable")] * 2],
    ),
    "another's last delivery is tried first, and it brings a key in the open that is not allowed": (
        lambda: given(*(replace(redelivered(good(), 4, 4)) for _ in range(2)), gateway=cloud(), plain=False),
        [("failed", "delivery_limit"), ("failed", "plain_key_refused")],
    ),
    "it is for a worker, and a substitute has it": (when_it_is_not_for_this_one, [("parked", "not_its_own")]),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_is_told_once(ending: str) -> None:
    scenario, ends = ENDINGS[ending]
    with capture_logs([merge_contextvars]) as told:
        run_virtual(scenario())
    lines = [line for line in told if line["event"] == "rotation.finished"]
    assert sorted((line["outcome"], line.get("reason")) for line in lines) == sorted(ends)
    assert all({"certificate", "renewal_id", "attempt"} <= line.keys() for line in lines)
    assert len({line["renewal_id"] for line in lines}) == len(lines)


def test_whose_it_was_is_told_also_of_what_never_began() -> None:
    sent = good()
    with capture_logs([merge_contextvars]) as told:
        run_virtual(given(sent, then=lose_at_once))
    (line,) = [line for line in told if line["event"] == "rotation.finished"]
    assert (line["certificate"], line["renewal_id"]) == identify(sent.body)
