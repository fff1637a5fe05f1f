"""The embedded engine: queue, delayed retry, dead letters, history and events of one host in one SQLite file."""

import asyncio
import json
import os
import sqlite3
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import aiosqlite

from worker.broker.base import (
    Batch,
    BrokerError,
    BrokerLostError,
    BrokerState,
    Dead,
    Delivery,
    Exposes,
    Message,
    Right,
    redelivered,
    unheard,
)
from worker.broker.database import FILL, columns_of, identity_of, in_words, open_lock, opened
from worker.broker.facts import EACH, Facts, Told
from worker.broker.followed import followed
from worker.broker.given_out import GivenOut
from worker.broker.locking import is_taken
from worker.broker.naming import own_name
from worker.broker.rows import dead_letter_of, kept_of, message_of, note_of
from worker.broker.sqlite_deliveries import SqliteDeliveries, SqliteDelivery
from worker.broker.statements import COUNTS, DROP, GIVE_UP, KEPT, LATEST, PAST, PUBLISH, REPLAY, TOLD, UNSEEN, WITHHOLD
from worker.core.message import identify
from worker.core.note import Note, entry_of
from worker.core.past import Placed, moment
from worker.core.renewal import OWN_PRODUCER
from worker.core.snapshot import Snapshot
from worker.settings.model import Broker as Settings
from worker.settings.model import Retry

_DAY: Final = 86400.0


class SqliteBroker:
    """One file. Whoever may write it is trusted to name its producer: the file is its owner's alone."""

    def __init__(
        self, path: Path, settings: Settings, retry: Retry, producer: str | None = None, *, exposes: Exposes
    ) -> None:
        self.retry = retry
        self._path = path
        self._settings = settings
        self._producer = producer
        self._exposes = exposes
        self._owes_erasure = False
        self._connection: aiosqlite.Connection | None = None
        self._opening = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._in_hand = GivenOut(settings.in_hand)
        self.is_active = False
        self._told_last: object = None
        self._is_taking = True
        self._identity: object = None

    async def _connected(self) -> aiosqlite.Connection:
        async with self._opening:
            if self._connection is None:
                try:
                    self._connection = await opened(self._path)
                    self._identity = identity_of(self._path)
                except (OSError, sqlite3.Error) as error:
                    raise BrokerLostError(f"the embedded broker's file cannot be used: {in_words(error)}") from None
            return self._connection

    async def check_file(self) -> None:
        """BrokerLostError when it was deleted, or replaced by another one: what others write there is not seen here."""
        if identity_of(self._path) != self._identity:
            await self.close()
            raise BrokerLostError("the embedded broker's file is another one by now")

    async def write(self, statement: str, values: Sequence[object]) -> int:
        """One statement, on disk when it returns; the number of rows it changed."""
        connection = await self._connected()
        async with self._writing:
            try:
                cursor = await connection.execute(statement, values)
                self._is_taking = True
            except sqlite3.Error as error:
                self._is_taking = False
                raise BrokerError(f"the embedded broker cannot write: {in_words(error)}") from None
            return cursor.rowcount

    async def fill_in(self) -> None:
        """What earlier versions left out of their events. BrokerLostError where that cannot be written just now."""
        try:
            await self.write(FILL, ())
        except BrokerError as error:
            raise BrokerLostError(str(error)) from None

    async def erase(self) -> None:
        """What was overwritten is gone from the log beside the file too, which keeps it as long as a worker runs.

        BrokerError when another process is reading just now.
        """
        connection = await self._connected()
        async with self._writing:
            try:
                [(is_busy, *_)] = await connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                raise BrokerError(f"the embedded broker cannot erase: {in_words(error)}") from None
        if is_busy:
            raise BrokerError("the embedded broker cannot erase: the file is being read")
        self._owes_erasure = False

    async def _read(self, statement: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        connection = await self._connected()
        try:
            # In one step: a read that is under way would keep the log from being erased.
            return [dict(row) for row in await connection.execute_fetchall(statement, values)]
        except sqlite3.Error as error:
            raise BrokerLostError(f"the embedded broker cannot be read: {in_words(error)}") from None

    @asynccontextmanager
    async def deliveries(self) -> AsyncGenerator[AsyncIterator[Delivery]]:
        await self._connected()
        in_hand = self._in_hand = GivenOut(self._settings.in_hand)
        with self._lock_file() as lock:
            try:
                yield SqliteDeliveries(self, lock, in_hand)
            finally:
                in_hand.is_over = True
                in_hand.numbers.clear()
                self.is_active = False

    @contextmanager
    def _lock_file(self) -> Iterator[int]:
        try:
            lock = open_lock(f"{self._path}.lock")
        except OSError as error:
            raise BrokerLostError(f"the embedded broker's lock cannot be used: {in_words(error)}") from None
        try:
            yield lock
        finally:
            os.close(lock)

    async def take(self, in_hand: GivenOut) -> Delivery | None:
        """The next one whose time has come, first by priority; None while there is none, or no room for it."""
        while in_hand.room > 0 and (row := await self._next(in_hand)) is not None:
            if row["deliveries"] <= self._settings.delivery_limit + 1:  # the first one is no redelivery
                in_hand.numbers.add(row["number"])
                return SqliteDelivery(self, row["number"], self._given_out(row, in_hand), in_hand)
            await self._give_up(row)
        return None

    async def _give_up(self, row: Mapping[str, Any]) -> None:
        """As `shield` would have it: in one step, so that nothing of a key is ever among the dead."""
        reason, message = "delivery_limit", message_of(row)
        is_exposed = self._exposes(message)
        kept = kept_of(message) if is_exposed is None else note_of(reason, {"is_exposed": is_exposed})
        told = (None, None) if is_exposed is None else identify(message.body)
        await self.write(GIVE_UP, (reason, *told, time.time(), *kept, row["number"]))
        if is_exposed is not None:
            self._owes_erasure = True
            with suppress(BrokerError):  # somebody reads: it is erased at the next look at the dead
                await self.erase()

    def _given_out(self, row: Mapping[str, Any], in_hand: GivenOut) -> Message:
        before = row["deliveries"] - 1
        message = redelivered(message_of(row), before, self._settings.delivery_limit)
        is_inherited = in_hand.begins_turn and (in_hand.was_standby or before > 0)
        in_hand.begins_turn = False
        return replace(message, is_inherited=is_inherited)

    async def _next(self, in_hand: GivenOut) -> dict[str, Any] | None:
        held = ",".join(str(number) for number in in_hand.numbers)
        rows = await self._read(
            f"SELECT * FROM messages WHERE state = 'ready' AND due <= ? AND number NOT IN ({held})"  # noqa: S608 - integers
            " ORDER BY priority DESC, number LIMIT 1",
            (time.time(),),
        )
        if not rows:
            return None
        # Counted before it is given out: a message that kills the process is known by it.
        try:
            await self.write("UPDATE messages SET deliveries = deliveries + 1 WHERE number = ?", (rows[0]["number"],))
        except BrokerError as error:
            raise BrokerLostError(str(error)) from None  # to be tried again later, not the service's end
        return rows[0] | {"deliveries": rows[0]["deliveries"] + 1}

    async def publish_event(self, event: Mapping[str, object]) -> None:
        row = time.time(), event.get("subject"), json.dumps(event), *columns_of(event)
        await self.write("INSERT INTO events (at, certificate, body, id, leaf, placed) VALUES (?, ?, ?, ?, ?, ?)", row)
        await self._forget_old("events")
        self._told_last = event.get("id")

    async def keep(self, certificate: str, note: Note) -> None:
        row = time.time(), certificate, json.dumps(entry_of(certificate, note))
        await self.write("INSERT INTO notes (at, certificate, body) VALUES (?, ?, ?)", row)
        await self._forget_old("notes")

    async def _forget_old(self, table: Literal["events", "notes"]) -> None:
        oldest = time.time() - self._settings.history_days * _DAY
        await self.write(f"DELETE FROM {table} WHERE at < ?", (oldest,))  # noqa: S608 - a literal

    async def publish_renewal(self, message: Message) -> None:
        await self.write(
            PUBLISH,
            (
                str(uuid.uuid4()),
                time.time(),
                message.priority,
                message.body,
                message.content_type,
                message.user_id or self._producer or own_name(),
                message.content_encoding,
                message.traceparent,
            ),
        )

    async def publish_own(self, message: Message) -> None:
        await self.publish_renewal(replace(message, user_id=OWN_PRODUCER))

    async def declare(self) -> None:
        await self._connected()

    async def dead(self) -> Sequence[Dead]:
        rows = await self._read("SELECT * FROM messages WHERE state = 'dead' ORDER BY since, number")
        return [dead_letter_of(row) for row in rows]

    async def shield(self, exposes: Exposes, /) -> Sequence[Dead]:
        """Nothing expires here, but what was delivered too often was given up without a worker's look."""
        notes = []
        for row in await self._read(UNSEEN):
            dead = dead_letter_of(row)
            is_exposed = None if dead.is_withheld else exposes(dead.message)
            if is_exposed is not None:
                note = note_of(dead.reason, {"is_exposed": is_exposed})
                if await self.write(WITHHOLD, (dead.certificate, dead.renewal_id, *note, row["number"])):
                    notes.append(replace(dead, message=replace(dead.message, body=note[0])))
        if notes or self._owes_erasure:
            await self.erase()
        return notes

    async def replay(self, ids: Sequence[str], heard: Callable[[str], None] = unheard) -> Sequence[str]:
        found = []
        for one in ids:
            changed = await self.write(REPLAY, (time.time(), one))
            if changed:
                found.append(one)
                heard(one)
        return found

    async def drop(self, ids: Sequence[str]) -> Sequence[str]:
        return [one for one in ids if await self.write(DROP, (one,))]

    async def told(
        self, event_ids: Collection[str], certificate: str | None, but: str | None, digest: str
    ) -> Told | None:
        facts = await self._facts(TOLD, (json.dumps(list(event_ids)), certificate))
        return facts.find(event_ids, certificate, but, digest)

    async def kept(self, certificate: str, leaf: str) -> Mapping[str, Snapshot]:
        return (await self._facts(KEPT, (certificate, leaf))).noted(certificate, leaf)

    async def past(self, certificate: str) -> Sequence[Placed]:
        return (await self._facts(PAST, (certificate, 4 * EACH))).past(certificate)

    async def _facts(self, statement: str, values: Sequence[object]) -> Facts:
        """A row may name every domain of an account: others have their turn after each."""
        facts = Facts()
        for row in await self._read(statement, values):
            facts.take_in(json.loads(row["body"]), row["at"])
            await asyncio.sleep(0)
        return facts

    async def told_by_others_at(self) -> datetime | None:
        latest = await self.history(limit=1)
        return moment(latest[0].get("time")) if latest and latest[0].get("id") != self._told_last else None

    async def history(self, certificate: str | None = None, *, limit: int = 100) -> Sequence[Mapping[str, object]]:
        rows = await self._read(LATEST, (certificate, limit))
        return [json.loads(row["body"]) for row in rows]

    def following(self, after: int | None = None) -> AsyncGenerator[Batch]:
        return followed(self._read, lambda: self._connection, after)

    async def is_served(self) -> bool:
        with self._lock_file() as lock:
            return not is_taken(lock)

    async def state(self) -> BrokerState:
        try:
            rows = await self._read(COUNTS, (time.time(),))
        except BrokerError:
            return BrokerState(is_connected=False, is_active=False)
        counts: dict[str, Any] = {name: int(value or 0) for name, value in rows[0].items()}
        counts["ready"] -= len(self._in_hand.numbers)
        return BrokerState(True, self.is_active, self._is_taking, room=self._in_hand.room, **counts)

    async def rights(self) -> Sequence[Right]:
        """Whoever can open the file may do all that there is."""
        await self._connected()
        return [Right(f"read and write {self._path.name}")]

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
