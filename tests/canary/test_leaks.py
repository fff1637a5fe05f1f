"""The search of what a process left behind finds a key in every form, and lets it lie where it belongs."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.keys_made import MADE
from tests.support.leaks import assert_nothing_lies_below, keys_below
from worker.sandbox import SandboxConfig
from worker.sandbox.ca import Authority
from worker.trust.keys import made


def body(pem: str) -> bytes:
    return "".join(pem.splitlines()[1:-1]).encode()


@pytest.mark.parametrize(
    "left",
    [
        str.encode,
        lambda pem: b"before" + base64.b64decode(body(pem)) + b"after",
        lambda pem: base64.b64encode(b"x" + pem.encode()),
        lambda _pem: f"password={SandboxConfig().password}".encode(),
    ],
    ids=["PEM", "DER", "PEM in base64", "password"],
)
def test_what_a_process_left_is_found_by_its_place(tmp_path: Path, left: Callable[[str], bytes]) -> None:
    pem = Authority.create().issue(["shop.example.com"]).private_key_pem
    (tmp_path / "key.pem").write_text(pem)
    (tmp_path / "harmless").write_text("nothing")
    assert_nothing_lies_below(tmp_path)
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "one").write_bytes(left(pem))
    with pytest.raises(AssertionError, match="spool/one"):
        assert_nothing_lies_below(tmp_path)


def test_the_keys_of_files_are_known(tmp_path: Path) -> None:
    (tmp_path / "lego").mkdir()
    (tmp_path / "lego" / "a.key").write_text(Authority.create().issue(["shop.example.com"]).private_key_pem)
    (tmp_path / "lego" / "a.json").write_text("{}")
    made(tmp_path / "keys", "worker", signs=False)
    made(tmp_path / "keys", "acme", signs=True)
    numbers = {str(key.private_bytes_raw()) if hasattr(key, "private_bytes_raw") else "ec" for key in MADE[-3:]}
    found = list(keys_below(tmp_path))
    assert len(found) == len(MADE[-3:]) == 3
    assert {str(key.private_bytes_raw()) if hasattr(key, "private_bytes_raw") else "ec" for key in found} == numbers
