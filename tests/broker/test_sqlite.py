"""What only the embedded engine has: a file, its mode, and processes that meet in it."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.broker.places import event, place_at, renewal
from tests.broker.test_contract_notes import BACK, LEAF, LEFT, OTHER_LEAF, of_deployments
from tests.broker.test_contract_past import placed, put
from tests.support.judging import kept_by_all
from tests.support.worker_process import until
from worker.broker.base import BrokerError, BrokerLostError
from worker.broker.naming import own_name
from worker.broker.sqlite import SqliteBroker
from worker.broker.statements import KEPT, PAST, TOLD
from worker.core.note import Note, entry_of
from worker.core.snapshot import Snapshot
from worker.settings.model import Broker, Retry

HOLDER = """
import asyncio, sys
from pathlib import Path
from tests.support.judging import kept_by_all
from worker.broker.sqlite import SqliteBroker
from worker.settings.model import Broker, Retry

async def hold():
    async with SqliteBroker(Path(sys.argv[1]), Broker(), Retry(), exposes=kept_by_all).deliveries() as deliveries:
        print((await anext(deliveries)).message.body.decode(), flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


async def test_the_more_urgent_renewal_comes_first(tmp_path: Path) -> None:
    async with place_at(f"sqlite:///{tmp_path / 'broker.db'}") as place:
        broker = place.broker()
        for body, priority in ((b"1", 0), (b"urgent", 9), (b"2", 0)):
            await broker.publish_renewal(renewal(body, priority=priority))
        async with broker.deliveries() as deliveries:
            assert [(await anext(deliveries)).message.body for _ in range(3)] == [b"urgent", b"1", b"2"]


async def test_a_file_of_an_earlier_version_is_good_for_all_that_came_later(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    async with place_at(f"sqlite:///{path}") as place:
        await place.broker().publish_renewal(renewal(b"news"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE messages DROP COLUMN opened_at")
    async with place_at(f"sqlite:///{path}") as place, place.broker().deliveries() as deliveries:
        assert (await anext(deliveries)).message.opened_at is None


async def test_what_an_earlier_version_has_told_is_known(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    async with place_at(f"sqlite:///{path}") as place:
        await place.broker().publish_event(put("aa") | {"id": "mine"})
    with closing(sqlite3.connect(path)) as connection:
        for index in ("by_id", "by_leaf", "by_place"):
            connection.execute(f"DROP INDEX {index}")
        for column in ("id", "leaf", "placed"):
            connection.execute(f"ALTER TABLE events DROP COLUMN {column}")
    async with place_at(f"sqlite:///{path}") as place:
        assert await place.broker().past("shop") == (placed("aa"),)
        assert await place.broker().told(["mine"], "shop", None, "ab" * 32) is not None


async def test_what_an_earlier_version_has_told_since_the_file_was_opened_is_known_when_a_turn_begins(
    tmp_path: Path,
) -> None:
    path = tmp_path / "broker.db"
    async with place_at(f"sqlite:///{path}") as place:
        broker = place.broker()
        await broker.publish_renewal(renewal(b"news"))
        with closing(sqlite3.connect(path, isolation_level=None)) as earlier:
            row = time.time(), "shop", json.dumps(put("aa") | {"id": "theirs"})
            earlier.execute("INSERT INTO events (at, certificate, body) VALUES (?, ?, ?)", row)
        async with broker.deliveries() as deliveries:
            await anext(deliveries)
            assert await broker.past("shop") == (placed("aa"),)
            assert await broker.told(["theirs"], "shop", None, "ab" * 32) is not None


async def test_however_often_the_same_is_brought_little_is_read_of_it(tmp_path: Path) -> None:
    async with place_at(f"sqlite:///{tmp_path / 'broker.db'}") as place:
        for number in range(60):
            told = put("aa", deployments=[{"replaced": number % 2 == 0}])
            await place.broker().publish_event(told | {"data": {**told["data"], "renewal_id": f"r{number}"}})
    with closing(sqlite3.connect(tmp_path / "broker.db")) as connection:
        assert 10 <= len(connection.execute(PAST, ("shop", 50)).fetchall()) <= 13


async def test_however_often_it_fails_little_is_read_of_where_there_was_a_client_ca(tmp_path: Path) -> None:
    async with place_at(f"sqlite:///{tmp_path / 'broker.db'}") as place:
        broker = place.broker()
        for _ in range(10):
            await broker.keep("shop", Note("apig/c1", LEAF, Snapshot(has_client_ca=True)))
        for _ in range(10):
            await broker.publish_event(of_deployments("failed", apig=LEFT))
            await broker.publish_event(of_deployments("failed", apig=LEFT, other=BACK))
    with closing(sqlite3.connect(tmp_path / "broker.db")) as connection:
        assert len(connection.execute(KEPT, ("shop", OTHER_LEAF)).fetchall()) == 2


class Full(SqliteBroker):
    """Has everything at hand."""

    async def _read(self, statement: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        assert (statement, values) == (KEPT, ("shop", LEAF))
        one = Note("apig/c1", LEAF, Snapshot(has_client_ca=True))
        return [{"body": json.dumps(entry_of("shop", one)), "at": time.time()}] * 10


async def test_while_what_is_kept_is_looked_through_others_have_their_turn(tmp_path: Path) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert await Full(tmp_path / "broker.db", Broker(), Retry(), exposes=kept_by_all).kept("shop", LEAF) != {}
    counting.cancel()
    assert turns == 10, "one for each row"


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("DELETE FROM events WHERE at < ?", (1,)),
        ("DELETE FROM notes WHERE at < ?", (1,)),
        (TOLD, ("[]", "shop")),
        (KEPT, ("shop", "ab")),
        (PAST, ("shop", 50)),
    ],
)
async def test_no_table_is_searched_through(tmp_path: Path, statement: str, values: tuple[object, ...]) -> None:
    path = tmp_path / "broker.db"
    async with place_at(f"sqlite:///{path}") as place:
        await place.broker().declare()
    with closing(sqlite3.connect(path)) as connection:
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert any("INDEX" in one for one in steps)
    assert not [one for one in steps if one.startswith(("SCAN events", "SCAN notes"))]


async def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    async with place_at(f"sqlite:///{tmp_path / 'broker.db'}") as place:
        broker = place.broker()
        async with broker.deliveries():
            await broker.publish_renewal(renewal(b"a key"))
            modes = _modes(tmp_path)
    names = ("broker.db", "broker.db-shm", "broker.db-wal", "broker.db.lock", "broker.db.opening")
    assert modes == dict.fromkeys(names, 0o600)


def _modes(folder: Path) -> dict[str, int]:
    return {one.name: one.stat().st_mode & 0o777 for one in folder.iterdir()}


async def test_a_body_that_must_not_be_kept_is_in_no_file_while_the_worker_runs(tmp_path: Path) -> None:
    key = b"a line of a private key" * 1000  # over many pages
    async with place_at(f"sqlite:///{tmp_path / 'broker.db'}") as place:
        broker, other = place.broker(), place.broker()
        await other.dead()
        await broker.publish_renewal(renewal(key))
        async with broker.deliveries() as deliveries:
            delivery = await anext(deliveries)
            assert _holding(tmp_path, key[:23])
            await delivery.bury("plain_key_refused", certificate=None, renewal_id=None, keep_body=False)
            assert _holding(tmp_path, key[:23]) == []


async def test_a_body_that_must_not_be_kept_is_not_settled_while_it_cannot_be_erased(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    async with place_at(f"sqlite:///{path}") as place:
        broker = place.broker()
        await broker.publish_renewal(renewal(b"a line of a private key"))
        async with broker.deliveries() as deliveries:
            delivery = await anext(deliveries)
            await broker._read("PRAGMA busy_timeout = 1")  # type: ignore[attr-defined]
            query = "SELECT body FROM messages UNION ALL SELECT body FROM messages"
            with closing(sqlite3.connect(path)) as reader, closing(reader.execute(query)) as reading:
                reading.fetchone()
                with pytest.raises(BrokerError, match="cannot erase"):
                    await delivery.bury("plain_key_refused", certificate=None, renewal_id=None, keep_body=False)
            await delivery.bury("plain_key_refused", certificate=None, renewal_id=None, keep_body=False)
        assert _holding(tmp_path, b"a line of a private key") == []


def _holding(folder: Path, secret: bytes) -> list[str]:
    return [one.name for one in folder.iterdir() if secret in one.read_bytes()]


async def test_a_worker_takes_over_from_one_that_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    async with place_at(f"sqlite:///{path}") as place:
        broker = place.broker()
        await broker.publish_renewal(renewal(b"news"))
        holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - it is killed below
        with holder:
            assert holder.stdout is not None
            assert await asyncio.to_thread(holder.stdout.readline) == "news\n"
            async with broker.deliveries() as deliveries:
                taken_over = asyncio.ensure_future(anext(deliveries))
                assert not (await broker.state()).is_active
                holder.kill()
                assert (await taken_over).message.body == b"news"


async def test_events_older_than_the_days_that_are_set_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    async with place_at(f"sqlite:///{path}", history_days=7) as place:
        broker = place.broker()
        await broker.publish_event(event(id="old"))
        with closing(sqlite3.connect(path)) as raw, raw:
            raw.execute("UPDATE events SET at = at - 8 * 86400")
        await broker.publish_event(event(id="new"))
        assert [one["id"] for one in await broker.history()] == ["new"]


async def test_a_file_that_is_no_database_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    path.touch(mode=0o600)
    path.write_text("no database, and long enough to be taken for one" * 10, encoding="ascii")
    async with place_at(f"sqlite:///{path}") as place:
        with pytest.raises(BrokerLostError, match="not a database"):
            await place.broker().declare()


async def test_a_stop_while_the_file_is_being_opened_leaves_nothing_at_it(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    async with place_at(f"sqlite:///{path}") as place:
        await place.broker().declare()
        before = threads_of_files()
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            opening = asyncio.create_task(place.broker().declare())
            while threads_of_files() <= before:
                await asyncio.sleep(0.01)
            await asyncio.wait([opening], timeout=0.2)  # it waits for the writer by now, if not before
            opening.cancel()
            writer.execute("ROLLBACK")
            with pytest.raises(asyncio.CancelledError):
                await opening
        await until(lambda: threads_of_files() == before)


def threads_of_files() -> int:
    """aiosqlite keeps one for each file that it has open."""
    return sum("_connection_worker_thread" in one.name for one in threading.enumerate())


async def test_the_producer_is_who_publishes_unless_named(tmp_path: Path) -> None:
    async with place_at(f"sqlite:///{tmp_path / 'broker.db'}") as place:
        broker = place.broker()
        await broker.publish_renewal(renewal(user_id="acme-1"))
        async with broker.deliveries() as deliveries:
            await (await anext(deliveries)).park(0, attempt=2)
            assert (await anext(deliveries)).message.user_id == "acme-1"


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found"), OSError("No username set")])
def test_a_user_without_a_name_is_known_by_its_number(error: Exception) -> None:
    def nameless() -> str:
        raise error

    assert own_name(nameless) == f"uid-{os.getuid()}"
    assert own_name(lambda: "acme") == "acme"


async def test_a_file_that_was_deleted_or_replaced_is_noticed_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    async with place_at(f"sqlite:///{path}") as place:
        broker = place.broker()
        async with broker.deliveries() as deliveries:
            waiting = asyncio.ensure_future(anext(deliveries))
            await asyncio.sleep(0.2)
            for one in tmp_path.glob("broker.db*"):
                one.unlink()
            await place.broker().publish_renewal(renewal(b"news"))
            with pytest.raises(BrokerLostError, match="another one by now"):
                await waiting
        async with broker.deliveries() as deliveries:
            assert (await anext(deliveries)).message.body == b"news"
