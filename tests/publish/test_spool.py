"""The durable spool."""

import asyncio
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.broker.base import Message
from worker.spool import Spool, SpoolBusyError, SpoolError, Waiting


def message(body: bytes = b"{}", priority: int = 0) -> Message:
    return Message(body, "application/cloudevents+json", priority=priority)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read_again_unchanged(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    path = spool.write("r1", message(b"\x00any bytes\xff", priority=9))
    assert spool.waiting() == [path]
    assert spool.read(path) == Waiting(path, "r1", message(b"\x00any bytes\xff", priority=9))


def test_folder_and_files_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = Spool(tmp_path / "a" / "spool").write("r1", message())
    finally:
        os.umask(before)
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700


def test_a_folder_that_others_could_look_into_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o755)
    Spool(folder).write("r1", message())
    assert mode(folder) == 0o700


def test_the_oldest_comes_first(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    written = [spool.write(renewal, message()) for renewal in ("z", "a", "m")]
    assert spool.waiting() == written


def test_what_is_forgotten_is_gone(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    found = spool.read(spool.write("r1", message()))
    assert isinstance(found, Waiting)
    spool.forget(found)
    assert spool.waiting() == []
    assert names(tmp_path / "spool") == []


def changed(content: bytes, **fields: object) -> bytes:
    return json.dumps({**json.loads(content), **fields}).encode()


def damages(content: bytes) -> Iterator[bytes]:
    """What disks, editors and others may make of a file."""
    yield from (b"", content[:-7], b"\0" * len(content), b"[" * 100_000, b"[]", b"\xff\xfe", b'{"renewal_id": "r1"}')
    yield changed(content, body="e31=")
    yield changed(content, body="not base64!")
    yield changed(content, priority="9")


def test_a_damaged_file_is_put_aside_under_a_name_that_says_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    whole = spool.write("r0", message(b'{"a": 1}'))
    for damaged in damages(whole.read_bytes()):
        path = spool.write("r1", message())
        path.write_bytes(damaged)
        aside = spool.read(path)
        assert aside == path.with_name(f"{path.name}.bad")
        assert aside.read_bytes() == damaged
        assert spool.waiting() == [whole]


def test_a_place_where_no_folder_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "file" / "spool")
    with pytest.raises(SpoolError, match="file/spool: Not a directory"):
        spool.write("r1", message())


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.write("r1", message())
    with pytest.raises(SpoolError, match="File name too long"):
        spool.write("x" * 300, message())
    assert len(names(tmp_path / "spool")) == 1


async def test_one_holds_it_at_a_time_and_a_second_waits_only_so_long(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    async with spool.held(1):
        with pytest.raises(SpoolBusyError, match="still sending"):
            async with spool.held(0.1):
                pytest.fail("held twice")
    async with spool.held(0.1):
        pass


async def test_a_second_gets_its_turn_when_the_first_is_done(tmp_path: Path) -> None:
    spool, turns, is_first_in = Spool(tmp_path / "spool"), list[str](), asyncio.Event()

    async def first() -> None:
        async with spool.held(10):
            is_first_in.set()
            await asyncio.sleep(0)
            turns.append("first")

    async def second() -> None:
        await is_first_in.wait()
        async with spool.held(10):
            turns.append("second")

    await asyncio.gather(second(), first())
    assert turns == ["first", "second"]


async def test_what_a_killed_writer_left_is_cleared_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    waiting = spool.write("r1", message())
    left, young = tmp_path / "spool" / "1-left.tmp", tmp_path / "spool" / "2-young.tmp"
    left.write_text("half")
    young.write_text("half")
    os.utime(left, (0, 0))
    async with spool.held(1):
        assert names(tmp_path / "spool") == [waiting.name, young.name, "lock"]
