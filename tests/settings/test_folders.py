"""Folders in which somebody else could put another file in place of one that the settings name."""

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.settings.files import APIG, loaded, written
from worker.settings import SettingsError
from worker.settings.folders import problem_of_folders
from worker.settings.loading import check_named_files, load

ELSEWHERE = 54_321
"""A user, and a group without a name."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path, "", "far/near/key")


def test_a_folder_that_everybody_may_write_is_named_wherever_it_is_on_the_way(file: Path) -> None:
    assert problem_of_folders(file) is None
    for folder in (file.parent, file.parents[1]):
        folder.chmod(0o777)
        told = f"the folder {folder}: everybody can put another file in place of this one"
        assert problem_of_folders(file) == told
        folder.chmod(0o1777)
        assert problem_of_folders(file) is None, "as in /tmp nobody takes away what is another's"
        folder.chmod(0o755)


def test_a_link_leads_through_the_folders_of_both_its_ends(file: Path) -> None:
    link = written(file.parents[1], "", "links/other").with_name("key")
    link.symlink_to(file)
    assert problem_of_folders(link) is None
    for folder in (link.parent, file.parent):
        folder.chmod(0o777)
        assert problem_of_folders(link) == f"the folder {folder}: everybody can put another file in place of this one"
        folder.chmod(0o755)


@needs_root
@pytest.mark.parametrize(
    ("owner", "group", "mode", "problem"),
    [
        (0, 1, 0o775, "a group can put another file in place of this one"),
        (0, 1, 0o1775, None),
        (0, 1, 0o755, None),
        (0, 0, 0o775, None),
        (0, ELSEWHERE, 0o2775, None),
        (ELSEWHERE, 0, 0o755, "is another user's, who can put another file in place of this one"),
        (ELSEWHERE, 0, 0o1777, "is another user's, who can put another file in place of this one"),
    ],
)
def test_a_folder_of_another_user_is_refused_and_of_a_group_in_which_others_are(
    file: Path, owner: int, group: int, mode: int, problem: str | None
) -> None:
    """Group 1 is the daemons'."""
    os.chown(file.parent, owner, group)
    file.parent.chmod(mode)
    told = None if problem is None else f"the folder {file.parent}: {problem}"
    assert problem_of_folders(file) == told


def let_write(path: Path, user: int, rights: int, mask: int = 7) -> None:
    """An access list as `setfacl -m u:USER:RIGHTS` makes it."""
    nobody = 0xFFFFFFFF
    entries = ((1, 7, nobody), (2, rights, user), (4, 5, nobody), (0x10, mask, nobody), (0x20, 5, nobody))
    try:
        os.setxattr(
            path,
            "system.posix_acl_access",
            struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in entries),
        )
    except OSError:
        pytest.skip("no access lists on this file system")


@pytest.mark.parametrize(("rights", "mask", "is_open"), [(7, 7, True), (5, 7, False), (7, 5, False)])
def test_whoever_an_access_list_lets_write_is_not_overlooked(
    file: Path, rights: int, mask: int, *, is_open: bool
) -> None:
    let_write(file.parent, ELSEWHERE, rights, mask)
    told = f"the folder {file.parent}: other users of its access list can put another file in place of this one"
    assert problem_of_folders(file) == (told if is_open else None)
    let_write(file.parent, os.geteuid(), 7)
    let_write(file, ELSEWHERE, rights, mask)
    told = "the file can be written by other users, of its group or of its access list"
    assert problem_of_folders(file) == (told if is_open else None)


@needs_root
@pytest.mark.parametrize(("group", "mode", "is_open"), [(1, 0o664, True), (1, 0o644, False), (ELSEWHERE, 0o664, False)])
def test_a_file_that_a_group_may_write_in_which_others_are_is_refused(
    file: Path, group: int, mode: int, *, is_open: bool
) -> None:
    os.chown(file, 0, group)
    file.chmod(mode)
    assert (problem_of_folders(file) is not None) is is_open


@needs_root
def test_whose_a_file_is_may_own_the_folder_too(file: Path) -> None:
    """A container's settings are those of whoever has started it."""
    for one in (file, *file.parents[:2]):
        os.chown(one, ELSEWHERE, ELSEWHERE)
    assert problem_of_folders(file) is None


def as_in_a_pod(folder: Path) -> Path:
    """How Kubernetes mounts a secret for a pod with an `fsGroup`."""
    version = folder / "..2026_11_21"
    written(version, "t", "token").chmod(0o440)
    (folder / "..data").symlink_to(version.name)
    (folder / "token").symlink_to("..data/token")
    if os.geteuid() == 0:
        for one in (folder, version, version / "token"):
            os.chown(one, 0, ELSEWHERE)
    version.chmod(0o2755)
    folder.chmod(0o3777)
    return folder / "token"


def test_a_mounted_secret_is_taken(tmp_path: Path) -> None:
    as_in_a_pod(tmp_path)
    check_named_files(loaded(tmp_path, APIG))


KEYS: Sequence[tuple[str, str]] = (
    (APIG.replace('"token"}', '"open/file"}'), "gateways.apig-main.auth.token_file"),
    ('[broker]\nca_file = "open/file"', "broker.ca_file"),
    ('[broker]\ncert_file = "open/file"\nkey_file = "token"', "broker.cert_file"),
    ('[broker]\ncert_file = "open/file"', "broker.cert_file"),
    ('[trust]\nca_bundle = "open/file"', "trust.ca_bundle"),
    ('[trust]\nrecipient_keys = ["open/file"]', "trust.recipient_keys.0"),
    ('[trust.producers.acme-1]\npublic_key = "open/file"', "trust.producers.acme-1.public_key"),
    ('[publish]\nrecipient_key = "open/file"', "publish.recipient_key"),
)


@pytest.mark.parametrize(("text", "key"), KEYS, ids=[key for _, key in KEYS])
def test_every_file_that_is_trusted_is_named_by_its_key(tmp_path: Path, text: str, key: str) -> None:
    written(tmp_path, "t", "token")
    folder = written(tmp_path, "t", "open/file").parent
    settings = loaded(tmp_path, text)
    check_named_files(settings)
    folder.chmod(0o777)
    with pytest.raises(SettingsError) as caught:
        check_named_files(settings)
    told = f"{key}: the folder {folder}: everybody can put another file in place of this one"
    assert caught.value.problems == (told,)


def test_settings_in_a_folder_that_everybody_may_write_are_not_read(tmp_path: Path) -> None:
    file = written(tmp_path / "own", "")
    load(file, {})
    file.parent.chmod(0o777)
    with pytest.raises(SettingsError) as caught:
        load(file, {})
    told = f"{file}: the folder {file.parent}: everybody can put another file in place of this one"
    assert caught.value.problems == (told,)
