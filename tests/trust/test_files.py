"""Material in files: below the roots, regular, and nobody else's to read."""

import errno
import os
import stat
from codecs import BOM_UTF8
from pathlib import Path

import pytest

from tests.trust.lineages import SHOP, lineage
from worker.core.errors import PermanentError, RotationError, TransientError
from worker.core.pem import certificates_in, private_key_in
from worker.core.renewal import InFiles
from worker.sandbox.ca import Authority
from worker.trust.files import _unreadable, problem_of_key, read_material


def refusal(material: InFiles, *roots: Path) -> str:
    with pytest.raises(PermanentError) as told:
        read_material(material, roots)
    return told.value.reason


def test_links_that_end_inside_a_root_are_followed(tmp_path: Path) -> None:
    lineage(tmp_path)
    chain, key = read_material(SHOP, [tmp_path / "other", tmp_path])
    assert (chain, key.reveal()) == ("chain", "key")


@pytest.mark.parametrize("path", ["../etc/passwd", "/etc/passwd", "live/../../x", "a\0b"])
def test_paths_that_leave_the_root_are_refused(tmp_path: Path, path: str) -> None:
    lineage(tmp_path)
    assert refusal(InFiles(path, "live/shop/privkey.pem"), tmp_path) == "file_outside_roots"


def test_a_link_out_of_the_roots_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    live = lineage(root)
    (tmp_path / "elsewhere.pem").write_text("secret")
    (live / "fullchain.pem").unlink()
    (live / "fullchain.pem").symlink_to(tmp_path / "elsewhere.pem")
    assert refusal(SHOP, root) == "file_outside_roots"


def test_material_in_a_folder_that_everybody_can_write_is_refused(tmp_path: Path) -> None:
    live = lineage(tmp_path)
    for folder in (live, tmp_path / "archive" / "shop"):
        folder.chmod(0o777)
        assert refusal(SHOP, tmp_path) == "file_permissions"
        folder.chmod(0o1777)
        assert read_material(SHOP, [tmp_path])[0] == "chain"
        folder.chmod(0o755)


def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    live = lineage(tmp_path)
    (live / "fullchain.pem").unlink()
    os.mkfifo(live / "fullchain.pem")
    assert refusal(SHOP, tmp_path) == "file_not_regular"


def test_a_folder_is_no_regular_file_and_is_closed_again(tmp_path: Path) -> None:
    live = lineage(tmp_path)
    (live / "fullchain.pem").unlink()
    (live / "fullchain.pem").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert refusal(SHOP, tmp_path) == "file_not_regular"
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    lineage(tmp_path)
    (tmp_path / "archive/shop/privkey1.pem").chmod(mode)
    assert refusal(SHOP, tmp_path) == "file_permissions"


def test_a_chain_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    lineage(tmp_path)
    chain = tmp_path / "archive/shop/fullchain1.pem"
    chain.chmod(0o666)
    assert refusal(SHOP, tmp_path) == "file_permissions"
    chain.chmod(0o664)
    assert read_material(SHOP, [tmp_path])[0] == "chain"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", ["fullchain1.pem", "privkey1.pem"])
def test_what_is_another_users_is_refused_where_its_folder_is_theirs_too(tmp_path: Path, name: str) -> None:
    lineage(tmp_path)
    folder = tmp_path / "archive" / "shop"
    for path in (folder / name, folder):
        os.chown(path, 65532, 65532)
    assert refusal(SHOP, tmp_path) == "file_permissions"
    os.chown(folder / name, 0, 0)
    os.chown(folder, 0, 0)
    assert read_material(SHOP, [tmp_path])[0] == "chain"


def key_file(**overrides: int) -> os.stat_result:
    """As Kubernetes hands a Secret to a pod whose `fsGroup` is 65532."""
    told = {"mode": 0o440, "links": 1, "user": 0, "group": 65532, **overrides}
    mode, links, user, group = (told[name] for name in ("mode", "links", "user", "group"))
    return os.stat_result((stat.S_IFREG | mode, 1, 1, links, user, group, 3000, 0, 0, 0))


def test_a_key_that_root_gives_to_a_group_of_the_worker_is_taken() -> None:
    assert problem_of_key(key_file(), 65532, {65532}) is None
    assert problem_of_key(key_file(mode=0o640), 65532, {1000, 65532}) is None
    assert problem_of_key(key_file(mode=0o400), 0, {0}) is None


@pytest.mark.parametrize(
    ("overrides", "user"),
    [
        ({"mode": 0o460}, 65532),
        ({"mode": 0o444}, 65532),
        ({"mode": 0o450}, 65532),
        ({"group": 100}, 65532),
        ({"user": 65532}, 65532),
        ({}, 0),
    ],
)
def test_a_key_that_a_group_may_read_for_no_such_reason_is_refused(overrides: dict[str, int], user: int) -> None:
    assert problem_of_key(key_file(**overrides), user, {65532}) == "open to its group or to others"


def test_a_key_with_another_name_that_may_lie_outside_the_roots_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    lineage(root)
    key = root / "archive/shop/privkey1.pem"
    (tmp_path / "another.pem").hardlink_to(key)
    assert refusal(SHOP, root) == "file_permissions"
    (tmp_path / "another.pem").unlink()
    assert read_material(SHOP, [root])[1].reveal() == "key"


def test_a_key_in_a_volume_of_kubernetes_is_read_by_way_of_its_links(tmp_path: Path) -> None:
    """A folder with a date for a name, a link `..data` to it that is renamed, and links to what is in there."""
    folder = tmp_path / "..2026_11_20"
    folder.mkdir()
    (tmp_path / "..data").symlink_to(folder.name)
    for name in ("tls.crt", "tls.key"):
        (folder / name).touch(mode=0o400)
        (folder / name).write_text(name)
        (tmp_path / name).symlink_to(f"..data/{name}")
    chain, key = read_material(InFiles("tls.crt", "tls.key"), [tmp_path])
    assert (chain, key.reveal()) == ("tls.crt", "tls.key")


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    live = lineage(tmp_path)
    (live / "fullchain.pem").write_text("x" * 70_000)
    assert refusal(SHOP, tmp_path) == "too_large"


@pytest.mark.parametrize("name", ["none.pem", "dangling.pem"])
def test_a_file_that_is_missing_is_told_as_such(tmp_path: Path, name: str) -> None:
    (lineage(tmp_path) / "dangling.pem").symlink_to("../../archive/shop/fullchain2.pem")
    assert refusal(InFiles(f"live/shop/{name}", "live/shop/privkey.pem"), tmp_path) == "file_not_found"


@pytest.mark.parametrize(
    ("number", "kind", "reason"),
    [
        (errno.EIO, TransientError, "file_unreadable"),
        (errno.EMFILE, TransientError, "file_unreadable"),
        (errno.ESTALE, TransientError, "file_unreadable"),
        (errno.ELOOP, PermanentError, "file_not_found"),
        (errno.EACCES, PermanentError, "file_permissions"),
    ],
)
def test_only_the_systems_own_troubles_may_pass(number: int, kind: type[RotationError], reason: str) -> None:
    error = _unreadable("material.chain", OSError(number, os.strerror(number)))
    assert isinstance(error, kind)
    assert error.reason == reason


def test_a_byte_order_mark_and_line_ends_of_windows_are_let_pass(tmp_path: Path) -> None:
    issued = Authority.create().issue(["shop.example.com"])
    lineage(tmp_path)
    for name, text in (("fullchain1", issued.chain_pem), ("privkey1", issued.private_key_pem)):
        (tmp_path / f"archive/shop/{name}.pem").write_bytes(BOM_UTF8 + text.replace("\n", "\r\n").encode())
    chain, key = read_material(SHOP, [tmp_path])
    assert "".join(certificates_in(chain)) == issued.chain_pem
    assert private_key_in(key.reveal()) == issued.private_key_pem


@pytest.mark.parametrize("content", [b"\xff\xfe", BOM_UTF8 * 2, "schlüssel".encode()])
def test_what_is_no_text_in_ascii_is_refused(tmp_path: Path, content: bytes) -> None:
    lineage(tmp_path)
    (tmp_path / "archive/shop/fullchain1.pem").write_bytes(content)
    assert refusal(SHOP, tmp_path) == "pem_garbage"
