"""Material in files: below the roots, regular, and nobody else's to read."""

import os
from pathlib import Path

import pytest

from worker.core.errors import PermanentError
from worker.core.renewal import InFiles
from worker.trust.files import read_material


def lineage(folder: Path) -> Path:
    """As certbot keeps it: links in `live/` to files in `archive/`."""
    live, archive = folder / "live" / "shop", folder / "archive" / "shop"
    for one in (live, archive):
        one.mkdir(parents=True)
    (archive / "fullchain1.pem").write_text("chain")
    (archive / "privkey1.pem").touch(mode=0o600)
    (archive / "privkey1.pem").write_text("key")
    (live / "fullchain.pem").symlink_to("../../archive/shop/fullchain1.pem")
    (live / "privkey.pem").symlink_to("../../archive/shop/privkey1.pem")
    return live


SHOP = InFiles("live/shop/fullchain.pem", "live/shop/privkey.pem")


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


def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    live = lineage(tmp_path)
    (live / "fullchain.pem").unlink()
    os.mkfifo(live / "fullchain.pem")
    assert refusal(SHOP, tmp_path) == "file_not_regular"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    lineage(tmp_path)
    (tmp_path / "archive/shop/privkey1.pem").chmod(mode)
    assert refusal(SHOP, tmp_path) == "file_permissions"


def test_a_missing_file_and_a_huge_one_are_told_apart(tmp_path: Path) -> None:
    live = lineage(tmp_path)
    assert refusal(InFiles("live/shop/none.pem", "live/shop/privkey.pem"), tmp_path) == "file_not_found"
    (live / "fullchain.pem").write_text("x" * 70_000)
    assert refusal(SHOP, tmp_path) == "too_large"
