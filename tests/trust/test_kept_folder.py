"""The folder of what is kept: its owner's alone, whole after every crash, and left by no name."""

import asyncio
import errno
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.test_process_full_disk import ALONE, ROOT, may_mount
from worker.core.errors import PermanentError, RotationError, TransientError
from worker.trust.kept.folder import InFolder, _failure

LONGEST = 1000


def at(folder: Path) -> InFolder:
    return InFolder(folder / "previous")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def failure(attempt: Callable[[], object]) -> RotationError:
    with pytest.raises(RotationError) as told:
        attempt()
    return told.value


async def ran(*words: object) -> str:
    child = await asyncio.create_subprocess_exec(
        *map(str, words), cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        said, complaints = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == 0, complaints.decode()
    return said.decode()


def test_what_is_written_is_read_and_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    place = at(tmp_path)
    assert place.read("shop", LONGEST) is None
    place.write("shop", "first")
    place.write("shop", "second")
    assert place.read("shop", LONGEST) == "second"
    assert place.read("other", LONGEST) is None
    assert [one.name for one in place.folder.iterdir()] == ["shop.jwe"]


def test_kept_folder_and_files_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    for umask in (0, 0o077):
        place = InFolder(tmp_path / f"{umask}")
        before = os.umask(umask)
        try:
            place.write("shop", "x")
        finally:
            os.umask(before)
        assert (mode(place.folder) & 0o077, mode(place.folder / "shop.jwe")) == (0, 0o600)


def test_names_with_dots_stay_in_the_folder_and_apart(tmp_path: Path) -> None:
    place = at(tmp_path)
    names = ["a", "a.jwe", "a..b", "a.b.", "a.0123456789abcdef.tmp", "A" + "." * 99]
    for name in names:
        place.write(name, name)
    assert [place.read(name, LONGEST) for name in names] == names
    assert [one.name for one in tmp_path.iterdir()] == ["previous"]


@pytest.mark.parametrize("name", ["..", "../shop", "/etc/passwd", "a/b", ".hidden", "", "a\0b", "a\n", "x" * 101])
def test_a_name_that_would_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    place = at(tmp_path)
    for attempt in (lambda: place.write(name, "x"), lambda: place.read(name, LONGEST)):
        assert failure(attempt).reason == "previous_permissions"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bits", [0o770, 0o702, 0o777, 0o1777])
def test_a_kept_folder_that_others_can_write_is_refused(tmp_path: Path, bits: int) -> None:
    place = at(tmp_path)
    place.write("shop", "x")
    place.folder.chmod(bits)
    for attempt in (lambda: place.write("shop", "y"), lambda: place.read("shop", LONGEST), place.check):
        error = failure(attempt)
        assert (type(error), error.reason) == (PermanentError, "previous_permissions")


def test_a_kept_folder_that_others_could_look_into_is_closed(tmp_path: Path) -> None:
    place = at(tmp_path)
    place.folder.mkdir(mode=0o755)
    place.write("shop", "x")
    assert mode(place.folder) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
def test_what_is_another_users_is_refused(tmp_path: Path) -> None:
    place = at(tmp_path)
    place.write("shop", "x")
    os.chown(place.folder / "shop.jwe", 12345, -1)
    assert failure(lambda: place.read("shop", LONGEST)).reason == "previous_permissions"
    os.chown(place.folder, 12345, -1)
    assert failure(lambda: place.write("shop", "x")).reason == "previous_permissions"


def as_a_link(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    elsewhere.write_text("x")
    path.symlink_to(elsewhere)


def writable(path: Path) -> None:
    path.write_text("x")
    path.chmod(0o620)


@pytest.mark.parametrize("made", [os.mkfifo, Path.mkdir, as_a_link, writable])
def test_what_is_no_file_of_the_workers_is_not_read_nor_waited_for(tmp_path: Path, made: Callable[[Path], Any]) -> None:
    place = at(tmp_path)
    place.write("other", "x")
    made(place.folder / "shop.jwe")
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    error = failure(lambda: place.read("shop", LONGEST))
    assert (type(error), error.reason) == (PermanentError, "previous_permissions")
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_a_link_in_a_files_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    place = at(tmp_path)
    place.write("other", "x")
    as_a_link(place.folder / "shop.jwe")
    place.write("shop", "new")
    assert ((tmp_path / "elsewhere").read_text(), place.read("shop", LONGEST)) == ("x", "new")


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_link_or_a_file_in_the_folders_place_is_refused(tmp_path: Path, *, is_folder: bool) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    if is_folder:
        at(tmp_path).folder.symlink_to(tmp_path / "elsewhere")
    else:
        at(tmp_path).folder.touch()
    for attempt in (lambda: at(tmp_path).write("shop", "x"), lambda: at(tmp_path).read("shop", LONGEST)):
        assert failure(attempt).reason == "previous_permissions"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_huge_file_is_read_up_to_its_bound_and_other_bytes_are_told(tmp_path: Path) -> None:
    place = at(tmp_path)
    place.write("shop", "x" * 10_000)
    assert place.read("shop", 7) == "x" * 8
    (place.folder / "shop.jwe").write_bytes(b"\xff\xfe")
    assert failure(lambda: place.read("shop", LONGEST)).reason == "previous_broken"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, TransientError),
        (errno.EDQUOT, TransientError),
        (errno.EIO, TransientError),
        (errno.EMFILE, TransientError),
        (errno.ESTALE, TransientError),
        (errno.EACCES, PermanentError),
        (errno.EROFS, PermanentError),
        (errno.ELOOP, PermanentError),
    ],
)
def test_only_what_passes_by_itself_is_worth_another_try(number: int, kind: type[RotationError]) -> None:
    assert type(_failure(OSError(number, os.strerror(number)))) is kind


async def test_a_writer_that_is_killed_anywhere_leaves_the_old_or_the_new_and_is_in_nobodys_way(tmp_path: Path) -> None:
    first, later = json.loads(await ran(sys.executable, "-m", "tests.trust.kept_dying", tmp_path))
    found = [[one for one, _ in deaths] for deaths in (first, later)]
    # Killed early it left what was there, killed late what it wrote, and nothing else ever.
    assert [list(dict.fromkeys(one)) for one in found] == [[None, "new"], ["old", "new"]]
    assert {after for _, after in (*first, *later)} == {"newer"}
    assert min(map(len, found)) > 20


def test_a_file_is_on_disk_before_it_has_its_name_and_its_name_before_all_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    sync, rename = os.fsync, os.rename

    def synced(descriptor: int) -> None:
        told.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def renamed(*names: Any, **below: Any) -> None:
        told.append("name")
        rename(*names, **below)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    at(tmp_path).write("shop", "x")
    at(tmp_path).write("shop", "y")
    assert told == ["folder", "file", "name", "folder", "file", "name", "folder"]


@pytest.mark.skipif(not may_mount(), reason="mounting a small file system needs root")
async def test_a_full_disk_leaves_what_was_kept_and_is_worth_another_try(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = f'mount -t tmpfs -o mode=700,size=256k,nr_inodes=12 none {disk} && exec "$@"'
    words = ("sh", "-c", mounted, "sh", sys.executable, "-m", "tests.trust.kept_on_a_full_disk", disk)
    await ran(*ALONE, *words)


def test_what_a_killed_writer_left_is_cleared_later_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    place = at(tmp_path)
    place.write("shop", "x")
    left, young = (place.folder / f".a.b.{digit * 16}.tmp" for digit in "0a")
    for path in (left, young, place.folder / ".mine.tmp"):
        path.write_text("half")
        os.utime(path, (0, 0))
    os.utime(young)
    place.write("other", "y")
    assert sorted(one.name for one in place.folder.iterdir()) == [young.name, ".mine.tmp", "other.jwe", "shop.jwe"]


def test_a_check_makes_no_folder(tmp_path: Path) -> None:
    at(tmp_path).check()
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_no_folder_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    error = failure(lambda: InFolder(tmp_path / "file" / "previous").write("shop", "x"))
    assert str(error) == "trust.previous.folder: Not a directory"
