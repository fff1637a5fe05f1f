"""The file of the embedded engine: its tables, and how it is opened."""

import json
import os
import sqlite3
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import aiosqlite

from worker.broker.facts import leaf_in
from worker.broker.locking import taken
from worker.broker.ownership import check_ownership
from worker.core.past import placed_in

_PATIENCE: Final = 5.0
"""Seconds for which a step waits for another process that writes; whoever stops meanwhile waits as long."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('ready', 'dead')),
    due REAL NOT NULL, priority INTEGER NOT NULL, deliveries INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL,
    body BLOB NOT NULL, content_type TEXT NOT NULL, user_id TEXT, content_encoding TEXT, traceparent TEXT,
    reason TEXT, certificate TEXT, renewal_id TEXT, told_at TEXT, since REAL, -- when it was parked or given up
    opened_at REAL
);
CREATE INDEX IF NOT EXISTS by_turn ON messages (state, priority DESC, number);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, certificate TEXT, body TEXT NOT NULL,
    id TEXT, leaf TEXT, -- its fingerprint
    placed TEXT -- what comes again under the same key; none where nothing was put anywhere
);
CREATE INDEX IF NOT EXISTS by_certificate ON events (certificate, number);
CREATE TABLE IF NOT EXISTS notes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, certificate TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS notes_by_time ON notes (at);
CREATE INDEX IF NOT EXISTS notes_by_certificate ON notes (certificate, at);
"""
_INDEXES: Final = """
CREATE INDEX IF NOT EXISTS by_time ON events (at);
CREATE INDEX IF NOT EXISTS by_id ON events (id);
CREATE INDEX IF NOT EXISTS by_leaf ON events (certificate, leaf, at) WHERE leaf IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_place ON events (certificate, placed, number) WHERE placed IS NOT NULL;
"""
FILL: Final = "UPDATE events SET id = id_of(body), leaf = leaf_of(body), placed = placed_of(body) WHERE id IS NULL"
"""Events of an earlier version, which may be at work still and write more of them."""
_LATER: Final = {"messages": {"opened_at"}, "events": {"id", "leaf", "placed"}}
"""Columns that files of earlier versions lack."""


def identity_of(path: Path) -> object:
    """Tells one file from another that takes its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def open_lock(path: str) -> int:
    """A descriptor. A link there is not followed: a hook may run as root."""
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


async def opened(path: Path) -> aiosqlite.Connection:
    """The file is its owner's alone; SQLite gives its companions the same mode. TopologyError where it is not."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_ownership(path)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    lock = open_lock(f"{path}.opening")
    try:
        # Two that turn a new file to WAL at once see it locked, whatever the timeout: so one after the other.
        await taken(lock)
        return await _prepared(await aiosqlite.connect(path, timeout=_PATIENCE, isolation_level=None))
    finally:
        os.close(lock)


async def _prepared(connection: aiosqlite.Connection) -> aiosqlite.Connection:
    try:
        connection.row_factory = sqlite3.Row
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = FULL")
        await connection.execute("PRAGMA secure_delete = ON")
        await connection.executescript(_SCHEMA)
        await _grown(connection)
        # What a kill may have left of a body that must not be kept.
        await connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
    except BaseException:  # a stop among them: its thread would hold the file for ever
        await connection.close()
        raise
    return connection


async def _grown(connection: aiosqlite.Connection) -> None:
    """A file of an earlier version has what came later, too, and what its events say is found by that."""
    for table, columns in _LATER.items():
        there = {row["name"] for row in await connection.execute_fetchall(f"PRAGMA table_info({table})")}
        for name in columns - there:
            await connection.execute(f"ALTER TABLE {table} ADD COLUMN {name}")
    await connection.executescript(_INDEXES)
    for number, name in enumerate(("id", "leaf", "placed")):
        await connection.create_function(f"{name}_of", 1, partial(_of_body, number), deterministic=True)
    await connection.execute(FILL)


def _of_body(number: int, body: str) -> str | None:
    return columns_of(json.loads(body))[number]


def columns_of(event: Mapping[str, object]) -> tuple[str, str | None, str | None]:
    """An event's id, leaf, and the key of what it says was put somewhere."""
    placed = placed_in(event)
    return str(event.get("id")), leaf_in(event), None if placed is None else placed.key


def in_words(error: Exception) -> str:
    """What the system says, without the statement's values."""
    return error.strerror or "error" if isinstance(error, OSError) else str(error)
