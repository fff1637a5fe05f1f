"""RabbitMQ as a Broker: consuming under a watchdog, parking, dead letters, history."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from worker.broker.base import BrokerError, BrokerLostError, BrokerState, Dead, Delivery, Message
from worker.broker.connection import LOST, Connector
from worker.broker.declaring import prepare
from worker.broker.publishing import Publisher
from worker.broker.topology import AGAIN, DEAD, parking_queue, topology
from worker.core.backoff import step_for
from worker.core.message import TYPE, identify
from worker.core.secret import Secret
from worker.settings.model import Broker as Settings
from worker.settings.model import Retry

_ATTEMPT: Final = "x-rotation-attempt"
_PRODUCER: Final = "x-rotation-producer"
_REASON: Final = "x-rotation-reason"
_CERTIFICATE: Final = "x-rotation-certificate"
_RENEWAL: Final = "x-rotation-renewal"
_SINCE: Final = "x-rotation-since"
_JSON: Final = "application/cloudevents+json"
_LOOK_EVERY: Final = 20.0
_IDLE: Final = 1.0


@dataclass(slots=True)
class _Session:
    """One consumer on one connection."""

    incoming: asyncio.Queue[AbstractIncomingMessage]
    lost: asyncio.Future[str]
    unsettled: int = 0
    delivered: int = 0

    def lose(self, why: str) -> None:
        if not self.lost.done():
            self.lost.set_result(why)


@dataclass(frozen=True, slots=True)
class RabbitDelivery:
    """One message in hand. A copy has fresh headers: with the old `x-death` the broker would drop it as a cycle."""

    broker: "RabbitBroker"
    session: _Session
    incoming: AbstractIncomingMessage
    message: Message

    async def ack(self) -> None:
        try:
            await self.incoming.ack()
        except LOST:
            raise BrokerLostError("the connection was lost before the ack: it comes again") from None
        self.session.unsettled -= 1

    async def park(self, delay: float, *, attempt: int) -> None:
        step = step_for(delay, self.broker.retry.parking_seconds)
        await self.broker.copy(self.message, f"{step:g}", {_ATTEMPT: attempt})
        await self.ack()

    async def bury(self, reason: str, *, certificate: str | None, renewal_id: str | None, keep_body: bool) -> None:
        told = {
            _REASON: reason,
            _CERTIFICATE: certificate,
            _RENEWAL: renewal_id,
            _SINCE: datetime.now(UTC).isoformat(timespec="seconds"),
        }
        body = None if keep_body else json.dumps({"withheld": True, "reason": reason}).encode()
        headers = {name: value for name, value in told.items() if value is not None}
        await self.broker.copy(self.message, DEAD, headers, body=body)
        await self.ack()


class RabbitBroker:
    """One queue with everything around it, on one broker."""

    def __init__(self, settings: Settings, url: Secret, retry: Retry) -> None:
        self.retry = retry
        self._settings = settings
        self._connector = Connector(settings, url)
        self._publisher = Publisher(self._connector, settings.timeout_seconds)
        self._topology = topology(settings, retry.parking_seconds)
        self._is_connected = False
        self._is_active = False

    async def declare(self) -> None:
        async with self._connector.connected() as connection:
            await prepare(connection, self._topology, declare=self._settings.declare_)

    @asynccontextmanager
    async def deliveries(self) -> AsyncGenerator[AsyncIterator[Delivery]]:
        async with self._connector.connected() as connection:
            await prepare(connection, self._topology, declare=self._settings.declare_)
            session = await self._consume(connection)
            watchdog = asyncio.create_task(self._watch(connection, session))
            stream = self._stream(session)
            self._is_connected = True
            try:
                yield stream
            finally:
                self._is_connected = self._is_active = False
                watchdog.cancel()
                await stream.aclose()

    async def _consume(self, connection: AbstractConnection) -> _Session:
        session = _Session(asyncio.Queue(), asyncio.get_running_loop().create_future())
        try:
            channel = await connection.channel(publisher_confirms=False)
            connection.close_callbacks.add(lambda *_: session.lose("the connection was closed"))
            channel.close_callbacks.add(lambda *_: session.lose("the channel was closed"))
            await channel.set_qos(prefetch_count=self._settings.prefetch)
            queue = await channel.get_queue(self._settings.queue, ensure=False)
            # The work is not done in the callback, which a lost connection would cancel in the middle of a call.
            await queue.consume(session.incoming.put)
        except LOST as error:
            raise BrokerLostError(f"the broker refuses the consumer ({type(error).__name__})") from None
        return session

    async def _stream(self, session: _Session) -> AsyncGenerator[Delivery]:
        while True:
            arrival = asyncio.create_task(session.incoming.get())
            try:
                either: set[asyncio.Future[Any]] = {arrival, session.lost}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if session.lost.done():
                    raise BrokerLostError(session.lost.result())
                incoming = arrival.result()
            finally:
                arrival.cancel()
            self._is_active = True
            session.unsettled += 1
            session.delivered += 1
            yield RabbitDelivery(self, session, incoming, self._opened(incoming))

    async def _watch(self, connection: AbstractConnection, session: _Session) -> None:
        """A consumer can go deaf without a word: messages ready, room for them, and none comes. Then: a new connection.

        A standby that has never been given anything is not deaf; one that is the queue's only consumer is.
        """
        delivered = -1
        while True:
            ready, consumers = await self._look(connection, session)
            self._is_active = self._is_active or consumers == 1
            is_free = session.unsettled < self._settings.prefetch
            if consumers == 0:
                session.lose("the consumer was cancelled")
            elif ready and is_free and self._is_active and session.delivered == delivered:
                session.lose("messages are ready and none comes: the consumer is deaf")
            delivered = session.delivered
            await asyncio.sleep(_LOOK_EVERY)

    async def _look(self, connection: AbstractConnection, session: _Session) -> tuple[int, int]:
        """Messages ready, and consumers, of the work queue."""
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                return await _counted(connection, self._settings.queue)
        except LOST as error:
            session.lose(f"the queue cannot be looked at ({type(error).__name__})")
            return 0, 1

    def _opened(self, incoming: AbstractIncomingMessage) -> Message:
        """Our headers count only in what our own user published: a header is anybody's, a user is vouched for."""
        is_ours = incoming.user_id == self._connector.user
        attempt = incoming.headers.get(_ATTEMPT) if is_ours else None
        producer = incoming.headers.get(_PRODUCER) if is_ours else None
        traceparent = incoming.headers.get("traceparent")
        return Message(
            body=incoming.body,
            content_type=incoming.content_type or "",
            message_id=incoming.message_id,
            user_id=producer if isinstance(producer, str) else incoming.user_id,
            priority=incoming.priority or 0,
            content_encoding=incoming.content_encoding,
            traceparent=traceparent if isinstance(traceparent, str) else None,
            attempt=attempt if isinstance(attempt, int) and attempt > 0 else 1,
        )

    async def copy(
        self, message: Message, routing_key: str, headers: Mapping[str, str | int], *, body: bytes | None = None
    ) -> None:
        """A copy of a message to parking, to the dead queue or back: with its producer, without its other headers."""
        told: dict[str, str | int] = dict(headers)
        if message.user_id is not None:
            told[_PRODUCER] = message.user_id
        if message.traceparent is not None:
            told["traceparent"] = message.traceparent
        await self._publisher.publish(
            self._settings.parking_exchange,
            routing_key,
            message.body if body is None else body,
            content_type=message.content_type,
            headers=told,
            priority=message.priority,
        )

    async def publish_event(self, event: Mapping[str, object]) -> None:
        await self._publisher.publish(
            self._settings.events_exchange,
            str(event["type"]),
            json.dumps(event).encode(),
            content_type=_JSON,
            headers=_traced(event.get("traceparent")),
        )

    async def publish_renewal(self, message: Message) -> None:
        await self._publisher.publish(
            self._settings.exchange,
            TYPE,
            message.body,
            content_type=message.content_type,
            headers=_traced(message.traceparent),
            priority=message.priority,
        )

    async def dead(self) -> Sequence[Dead]:
        async with self._connector.connected() as connection:
            return [self._told(one) for one in await self._held(connection)]

    async def _held(self, connection: AbstractConnection) -> Sequence[AbstractIncomingMessage]:
        """All dead letters, unsettled: closing the connection puts them back in their order."""
        try:
            channel = await connection.channel(publisher_confirms=False)
            queue = await channel.get_queue(self._settings.dead_queue, ensure=False)
            held = []
            while (one := await queue.get(fail=False, timeout=self._settings.timeout_seconds)) is not None:
                held.append(one)
        except LOST as error:
            raise BrokerError(f"the dead queue cannot be read ({type(error).__name__})") from None
        return held

    def _told(self, incoming: AbstractIncomingMessage) -> Dead:
        """Buried by a worker, or dead-lettered by the broker itself: then its own record says why."""
        headers: Mapping[str, Any] = incoming.headers
        record: Mapping[str, Any] = next(iter(headers.get("x-death") or ()), {})
        certificate, renewal_id = identify(incoming.body)
        since = headers.get(_SINCE)
        at = datetime.fromisoformat(since) if isinstance(since, str) else record.get("time")
        return Dead(
            id=incoming.message_id or "",
            message=self._opened(incoming),
            reason=str(headers.get(_REASON) or record.get("reason") or "unknown"),
            certificate=headers.get(_CERTIFICATE) or certificate,
            renewal_id=headers.get(_RENEWAL) or renewal_id,
            since=at if isinstance(at, datetime) else None,
        )

    async def replay(self, ids: Sequence[str]) -> Sequence[str]:
        wanted, found = set(ids), []
        async with self._connector.connected() as connection:
            for one in await self._held(connection):
                if one.message_id in wanted:
                    await self.copy(self._opened(one), AGAIN, {})
                    await one.ack()
                    found.append(one.message_id)
        return found

    async def history(self, certificate: str | None = None, *, limit: int = 100) -> Sequence[Mapping[str, object]]:
        async with self._connector.connected() as connection:
            try:
                count, _ = await _counted(connection, self._settings.history_stream)
                events = await self._read_stream(await connection.channel(publisher_confirms=False), count)
            except LOST as error:
                raise BrokerError(f"the history cannot be read ({type(error).__name__})") from None
        chosen = [event for event in events if certificate in (None, event.get("subject"))]
        return chosen[::-1][:limit]

    async def _read_stream(self, channel: AbstractChannel, count: int) -> list[Mapping[str, object]]:
        """The first `count` entries; fewer where retention took some meanwhile."""
        await channel.set_qos(prefetch_count=200)
        queue = await channel.get_queue(self._settings.history_stream, ensure=False)
        incoming: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        events: list[Mapping[str, object]] = []
        if count:
            await queue.consume(incoming.put, arguments={"x-stream-offset": "first"})
        while len(events) < count:
            try:
                one = await asyncio.wait_for(incoming.get(), _IDLE)
            except TimeoutError:
                break
            events.append(json.loads(one.body))
            await one.ack()
        return events

    async def state(self) -> BrokerState:
        if not self._is_connected:
            return BrokerState(is_connected=False, is_active=False)
        steps = [parking_queue(self._settings, step) for step in self.retry.parking_seconds]
        try:
            async with asyncio.timeout(5), self._connector.connected() as connection:
                parked = [await _counted(connection, name) for name in steps]
                dead, _ = await _counted(connection, self._settings.dead_queue)
                ready, _ = await _counted(connection, self._settings.queue)
        except (BrokerError, *LOST):
            return BrokerState(is_connected=self._is_connected, is_active=self._is_active)
        return BrokerState(self._is_connected, self._is_active, sum(count for count, _ in parked), dead, ready)

    async def close(self) -> None:
        await self._publisher.close()


async def _counted(connection: AbstractConnection, queue: str) -> tuple[int, int]:
    """Messages ready and consumers of a queue."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        found = (await channel.declare_queue(queue, passive=True)).declaration_result
        return found.message_count or 0, found.consumer_count or 0
    finally:
        if not channel.is_closed:
            await channel.close()


def _traced(traceparent: object) -> Mapping[str, str]:
    return {"traceparent": traceparent} if isinstance(traceparent, str) else {}
