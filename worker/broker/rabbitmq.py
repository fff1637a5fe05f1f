"""RabbitMQ as a Broker: deliveries and their settlement, dead letters, history, state."""

import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final, Unpack

import structlog
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from worker.beside import beside
from worker.broker.base import (
    About,
    Batch,
    BrokerError,
    BrokerRefusedError,
    BrokerState,
    Dead,
    Delivery,
    Exposes,
    Message,
    Right,
    TooLargeError,
    TopologyError,
    redelivered,
    unheard,
)
from worker.broker.connection import Connector, counted, guarded
from worker.broker.consuming import Session, consuming
from worker.broker.copies import (
    again,
    dead_letter,
    given_up,
    id_among,
    opened,
    redeliveries,
    traced,
)
from worker.broker.declaring import prepare
from worker.broker.facts import Facts, Told
from worker.broker.letters import age, dropped, held, shielded
from worker.broker.publishing import Publisher, Sending
from worker.broker.recall import Recall
from worker.broker.rights import tried
from worker.broker.stream import Stream
from worker.broker.topology import AGAIN, DEAD, NOTE, parking_key, parking_queue, topology
from worker.broker.ways import Ways
from worker.core.backoff import step_for
from worker.core.events import shorter
from worker.core.message import TYPE
from worker.core.note import TYPE as NOTE_TYPE
from worker.core.note import Note, entry_of
from worker.core.past import Placed, moment
from worker.core.renewal import OWN_PRODUCER
from worker.core.secret import Secret
from worker.core.snapshot import Snapshot
from worker.settings.model import Broker as Settings
from worker.settings.model import Retry

_log = structlog.get_logger()
_EVENT: Final = "application/cloudevents+json"
_NOTE: Final = "application/json"
_LOOK_EVERY: Final = 20.0
_COUNTING_SECONDS: Final = 5.0
_LOOKS_PER_MENDING: Final = 3
_BELIEVED: Final = 60.0
"""Seconds for which a process without the turn, as a sweep by hand, believes what it has read: a read is a long one."""


@dataclass(frozen=True, slots=True)
class RabbitDelivery:
    """One message in hand."""

    broker: "RabbitBroker"
    session: Session
    incoming: AbstractIncomingMessage
    message: Message

    async def fence(self) -> None:
        await self.session.fence()

    async def ack(self) -> None:
        """Returns normally into a path that died unnoticed: then it comes again."""
        self.session.check()
        async with guarded("settling", self.broker.timeout):
            await self.incoming.ack()
        self.session.settled += 1

    async def park(self, delay: float, *, attempt: int, opened_at: datetime | None = None) -> None:
        step = step_for(delay, self.broker.parking_seconds)
        waiting = replace(self.message, opened_at=opened_at or self.message.opened_at)
        await self._move(parking_key(step), again(waiting, attempt=attempt))

    async def bury(self, reason: str, *, keep_body: bool, **about: Unpack[About]) -> None:
        await self._move(DEAD, given_up(self.message, reason, about, keep_body=keep_body))
        self.broker.buried += 1

    async def _move(self, routing_key: str, copy: Sending) -> None:
        """What is delivered elsewhere by now is not copied."""
        self.session.check()
        await self.session.fence()
        await self.broker.copy(routing_key, copy)
        await self.ack()


@dataclass(frozen=True, slots=True)
class RabbitDeliveries(AsyncIterator[Delivery]):
    """What comes in, until the session is lost."""

    broker: "RabbitBroker"
    session: Session

    async def __anext__(self) -> Delivery:
        incoming = await self.session.next()
        limit = self.session.settings.delivery_limit
        message = redelivered(opened(incoming, self.broker.user), redeliveries(incoming), limit)
        if self.session.begins_turn:
            self.broker.begin_turn()
            self.session.begins_turn = False
            message = replace(message, is_inherited=self.session.was_standby or message.redeliveries > 0)
        return RabbitDelivery(self.broker, self.session, incoming, message)


class RabbitBroker:
    """One queue with everything around it, on one broker. `look_every`: seconds between the watchdog's looks."""

    def __init__(self, settings: Settings, url: Secret, retry: Retry, *, look_every: float = _LOOK_EVERY) -> None:
        self.parking_seconds = retry.parking_seconds
        self.timeout: float = settings.timeout_seconds
        self._settings = settings
        self._look_every = look_every
        self._connector = Connector(settings, url)
        self._publisher = Publisher(self._connector)
        self._topology = topology(settings, retry.parking_seconds)
        self._session: Session | None = None
        self._recall = self._new_recall()
        self._told_last: object = None
        self.buried = 0
        self._counted = BrokerState(is_connected=True, is_active=False)
        self._ways = Ways(
            self._connector, self._topology, may_declare=settings.declare_, every=_LOOKS_PER_MENDING * look_every
        )
        steps = [parking_queue(settings, step) for step in self.parking_seconds]
        self._others = (settings.dead_queue, settings.history_stream, *steps)

    @property
    def user(self) -> str:
        """Whose copies are believed."""
        return self._connector.user

    async def declare(self) -> None:
        async with self._connector.connected() as connection:
            await self._prepare(connection)

    async def _prepare(self, connection: AbstractConnection) -> None:
        await prepare(connection, self._topology, declare=self._settings.declare_, seconds=self.timeout)

    @asynccontextmanager
    async def deliveries(self) -> AsyncGenerator[AsyncIterator[Delivery]]:
        async with self._connector.connected() as connection:
            await self._prepare(connection)
            async with (
                consuming(connection, self._settings, self._look_every, self._connector.lease, self._others) as session,
                beside(self._ways.keep(connection)),
            ):
                self._session, self._recall = session, self._new_recall()
                self._publisher.is_taken = True  # what was refused before is told by another one by now, or again
                try:
                    yield RabbitDeliveries(self, session)
                finally:
                    self._session = None

    async def _published(self, exchange: str, routing_key: str, sending: Sending) -> None:
        """Confirmed. What nothing takes may lack an exchange or a binding: they are made again, for the next try."""
        try:
            await self._publisher.publish(exchange, routing_key, sending)
        except TooLargeError:
            raise
        except BrokerRefusedError:
            await self._ways.mend()
            raise

    def begin_turn(self) -> None:
        """Others may have told more since this was read."""
        self._recall.forget()

    def _new_recall(self) -> Recall:
        return Recall(self._read_all, self._lasts)

    def _lasts(self) -> float:
        """Nobody else tells anything while this process has the turn."""
        return float("inf") if self._session is not None and self._session.is_active else _BELIEVED

    async def copy(self, routing_key: str, copy: Sending) -> None:
        """To a parking step, to the dead queue, back, or a note to the history; returns when confirmed."""
        await self._published(self._settings.parking_exchange, routing_key, copy)

    async def publish_event(self, event: Mapping[str, object]) -> None:
        try:
            await self._tell(event)
        except TooLargeError as error:
            await self._tell_in_short(event, error)

    async def _tell_in_short(self, event: Mapping[str, object], error: TooLargeError) -> None:
        """As much of it as the broker takes: insisting on the whole would keep the certificate's turn for ever."""
        for told in shorter(event):
            _log.warning("event.shortened", error=str(error))
            try:
                return await self._tell(told)
            except TooLargeError as still:
                error = still
        raise error

    async def _tell(self, event: Mapping[str, object]) -> None:
        sending = Sending(json.dumps(event).encode(), _EVENT, traced(event.get("traceparent")))
        await self._published(self._settings.events_exchange, str(event["type"]), sending)
        self._recall.learn(event)
        self._told_last = event["id"]

    async def told(
        self, event_ids: Collection[str], certificate: str | None, but: str | None, digest: str
    ) -> Told | None:
        return (await self._recall.facts()).find(event_ids, certificate, but, digest)

    async def keep(self, certificate: str, note: Note) -> None:
        entry = entry_of(certificate, note)
        await self.copy(NOTE, Sending(json.dumps(entry).encode(), _NOTE, {}))
        self._recall.learn(entry)

    async def kept(self, certificate: str, leaf: str) -> Mapping[str, Snapshot]:
        return (await self._recall.facts()).noted(certificate, leaf)

    async def past(self, certificate: str) -> Sequence[Placed]:
        return (await self._recall.facts()).past(certificate)

    async def told_by_others_at(self) -> datetime | None:
        async with self._connector.connected() as connection:
            latest = await self._stream(connection).latest(None, 1, self.user)
        return moment(latest[0].get("time")) if latest and latest[0].get("id") != self._told_last else None

    async def _read_all(self, facts: Facts) -> None:
        """A stream that is gone a worker at work makes again first, where that is its to do."""
        async with self._connector.connected() as connection:
            stream = self._stream(connection)
            try:
                await stream.each(self.user, facts.take_in)
            except TopologyError as error:
                if self._session is None:
                    raise
                _log.warning("history.unread", error=str(error))
                await self._prepare(connection)
                await stream.each(self.user, facts.take_in)

    def _stream(self, connection: AbstractConnection) -> Stream:
        return Stream(connection, self._settings.history_stream, self.timeout, self._mark)

    async def _mark(self) -> str:
        mark = {"type": NOTE_TYPE, "id": str(uuid.uuid4())}
        await self.copy(NOTE, Sending(json.dumps(mark).encode(), _NOTE, {}))
        return mark["id"]

    async def publish_renewal(self, message: Message) -> None:
        sending = Sending(
            message.body,
            message.content_type,
            traced(message.traceparent),
            message.priority,
            message.content_encoding,
        )
        await self._publisher.publish(self._settings.exchange, TYPE, sending)

    async def publish_own(self, message: Message) -> None:
        # By the way of parked copies: the worker has no right to publish as producers do.
        await self.copy(AGAIN, again(replace(message, user_id=OWN_PRODUCER)))

    async def dead(self) -> Sequence[Dead]:
        async with self._connector.connected() as connection:
            return sorted([dead_letter(one, self.user) async for one in self._letters(connection)], key=age)

    def _letters(self, connection: AbstractConnection) -> AsyncGenerator[AbstractIncomingMessage]:
        return held(connection, self._settings.dead_queue, self.timeout)

    async def shield(self, exposes: Exposes, /) -> Sequence[Dead]:
        async with self._connector.connected() as connection:
            letters, put = self._letters(connection), partial(self.copy, DEAD)
            return await shielded(letters, self.user, exposes, put, self.timeout)

    async def replay(self, ids: Sequence[str], heard: Callable[[str], None] = unheard) -> Sequence[str]:
        found = []
        async with self._connector.connected() as connection:
            # All are found before the first is put back: it may be among the dead again in a moment.
            wanted = [(letter, name) async for letter in self._letters(connection) if (name := id_among(letter, ids))]
            for one, name in sorted(wanted, key=lambda pair: age(dead_letter(pair[0], self.user))):
                await self.copy(AGAIN, again(opened(one, self.user)))
                async with guarded("settling", self.timeout):
                    await one.ack()
                found.append(name)
                heard(name)
        return found

    async def drop(self, ids: Sequence[str]) -> Sequence[str]:
        async with self._connector.connected() as connection:
            return await dropped(self._letters(connection), ids, self.timeout)

    async def history(self, certificate: str | None = None, *, limit: int = 100) -> Sequence[Mapping[str, object]]:
        async with self._connector.connected() as connection:
            return await self._stream(connection).latest(certificate, limit)

    async def following(self, after: int | None = None) -> AsyncGenerator[Batch]:
        async with (
            self._connector.connected() as connection,
            aclosing(self._stream(connection).following(self.user, after)) as batches,
        ):
            async for batch in batches:
                yield batch

    async def is_served(self) -> bool:
        async with self._connector.connected() as connection, guarded("counting", _COUNTING_SECONDS):
            [(_, consumers)] = await counted(connection, self._settings.queue)
            return consumers > 0

    async def state(self) -> BrokerState:
        session, last = self._session, replace(self._counted, ready=0, is_counted=False)
        if session is None or session.is_lost:
            return replace(last, is_connected=False)
        parking = [parking_queue(self._settings, step) for step in self.parking_seconds]
        names = (self._settings.queue, self._settings.dead_queue, *parking)
        is_taking, is_remembering = self._publisher.is_taken, await self._recall.is_readable()
        try:
            async with guarded("counting", _COUNTING_SECONDS):
                (ready, _), (dead, readers), *parked = await counted(session.connection, *names)
            # While somebody reads them they are in his hands, and not counted.
            dead, waiting = max(dead, self._counted.dead) if readers else dead, sum(count for count, _ in parked)
            state = replace(self._counted, ready=ready, parked=waiting, dead=dead, buried=self.buried)
            self._counted = state = replace(state, is_counted=not readers)
        except BrokerError:  # none are not told where nobody knows
            state = replace(last, is_connected=not session.is_lost)
        state = replace(state, is_taking=is_taking, is_remembering=is_remembering)
        return replace(state, is_active=session.is_active, room=session.room)

    async def rights(self) -> Sequence[Right]:
        async with self._connector.connected() as connection:
            return await tried(connection, self._settings, self.timeout)

    async def close(self) -> None:
        await self._publisher.close()
