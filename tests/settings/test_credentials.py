"""Secrets of gateway accounts, from files."""

from pathlib import Path

import pytest

from worker.core.errors import PermanentError
from worker.settings.credentials import read_password, read_secret


def written(folder: Path, content: bytes) -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [b"s3cret!", b"s3cret!\n", b" s3cret!\r\n\n"])
def test_a_secret_for_a_header_is_one_line_without_what_is_around_it(tmp_path: Path, content: bytes) -> None:
    assert read_secret(written(tmp_path, content), "auth.token_file").reveal() == "s3cret!"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
@pytest.mark.parametrize("password", ["pässwörd-密码", " spaces belong to it ", "s3cret!"])
def test_a_password_may_hold_any_printable_text(tmp_path: Path, password: str, ending: str) -> None:
    path = written(tmp_path, (password + ending).encode())
    assert read_password(path, "auth.password_file").reveal() == password


def test_the_mark_that_windows_puts_in_front_is_no_part_of_a_password(tmp_path: Path) -> None:
    assert read_password(written(tmp_path, "\ufeffpässwörd\r\n".encode()), "auth.password_file").reveal() == "pässwörd"


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"tab\there", b"nul\0", b"\xff\xfe"])
@pytest.mark.parametrize("read", [read_secret, read_password])
def test_what_is_no_line_of_text_is_refused_by_its_setting(tmp_path: Path, content: bytes, read: object) -> None:
    assert callable(read)
    with pytest.raises(PermanentError, match=r"^auth\.secret_file: ") as told:
        read(written(tmp_path, content), "auth.secret_file")
    assert told.value.reason == "auth_failed"


def test_what_a_header_cannot_carry_is_no_secret_for_one(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"^auth\.token_file: cannot be read"):
        read_secret(written(tmp_path, "tökén".encode()), "auth.token_file")
