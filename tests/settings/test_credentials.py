"""Secrets from files, whenever they are read: of gateway accounts, of the broker, of TLS."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.gateways import AUTHORITY
from worker.core.errors import TransientError
from worker.settings import SettingsError
from worker.settings.credentials import SecretFile, read_password, read_secret
from worker.settings.http import Http
from worker.settings.model import Broker
from worker.settings.resolve import broker_url
from worker.tls import Identity, verifying
from worker.web.encrypting import Encrypting


def written(folder: Path, content: bytes) -> Path:
    path = folder / "secret"
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [b"s3cret!", b"s3cret!\n", b" s3cret!\r\n\n"])
def test_a_secret_for_a_header_is_one_line_without_what_is_around_it(tmp_path: Path, content: bytes) -> None:
    assert read_secret(written(tmp_path, content), "auth.token_file").reveal() == "s3cret!"


def later() -> float:
    return time.time() + 60


def test_a_file_that_has_not_changed_is_not_read_again_until_its_secret_is_refused(tmp_path: Path) -> None:
    file = SecretFile(written(tmp_path, b"one"), "auth.token_file", later)
    first = file.secret()
    assert file.secret() is first
    file.forget()
    again = file.secret()
    assert again is not first
    assert again.reveal() == "one"


def test_a_file_that_was_changed_a_moment_ago_is_read_again(tmp_path: Path) -> None:
    """Two that are written within a tick of the system's clock, and are as long, may look the same."""
    path = written(tmp_path, b"one")
    file = SecretFile(path, "auth.token_file", lambda: path.stat().st_ctime + 0.5)
    assert file.secret() is not file.secret()


def test_a_file_that_has_changed_long_ago_is_read_again(tmp_path: Path) -> None:
    file = SecretFile(written(tmp_path, b"one"), "auth.token_file", later)
    assert file.secret().reveal() == "one"
    (tmp_path / "secret").write_bytes(b"another")
    assert file.secret().reveal() == "another"


def test_a_file_that_others_can_read_by_now_is_refused_though_its_secret_is_known(tmp_path: Path) -> None:
    file = SecretFile(written(tmp_path, b"one"), "auth.token_file", later)
    file.secret()
    (tmp_path / "secret").chmod(0o604)
    for _ in range(2):
        with pytest.raises(TransientError, match=r"^auth\.token_file: "):
            file.secret()


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
    with pytest.raises(TransientError, match=r"^auth\.secret_file: ") as told:
        read(written(tmp_path, content), "auth.secret_file")
    assert told.value.reason == "auth_failed"


def test_what_a_header_cannot_carry_is_no_secret_for_one(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=r"^auth\.token_file: cannot be read"):
        read_secret(written(tmp_path, "tökén".encode()), "auth.token_file")


def token(path: Path) -> object:
    return read_secret(path, "auth.secret_file").reveal()


def password(path: Path) -> object:
    return read_password(path, "auth.secret_file").reveal()


def url(path: Path) -> object:
    return broker_url(Broker(url_file=path)).reveal()


def chain(path: Path) -> Path:
    """Beside the key, and for everybody to read."""
    beside = path.with_suffix(".pem")
    beside.write_text(ISSUED.chain_pem)
    beside.chmod(0o644)
    return beside


def client_key(path: Path) -> object:
    return verifying(None, Identity(chain(path), path))


def client_key_beside_its_certificate(path: Path) -> object:
    return verifying(None, Identity(path, path))


def listeners_key(path: Path) -> object:
    return Encrypting(Http(cert_file=chain(path), key_file=path)).context()


ISSUED = AUTHORITY.issue(("worker.example.com",))
KEY = ISSUED.private_key_pem.encode()
READINGS = [
    (token, b"s3cret!"),
    (password, b"s3cret!"),
    (url, b"amqps://worker:s3cret@mq.example.com/"),
    (client_key, KEY),
    (client_key_beside_its_certificate, ISSUED.chain_pem.encode() + KEY),
    (listeners_key, KEY),
]


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o666])
@pytest.mark.parametrize(("read", "content"), READINGS, ids=[read.__name__ for read, _ in READINGS])
def test_what_is_open_to_everybody_is_not_read_though_it_was_not_so_at_the_start(
    tmp_path: Path, mode: int, read: Callable[[Path], object], content: bytes
) -> None:
    path = written(tmp_path, content)
    assert read(path)
    path.chmod(mode)
    with pytest.raises((TransientError, SettingsError, OSError), match=r"the file can be (read|written) by everybody"):
        read(path)


@pytest.mark.parametrize("read", [read_secret, read_password])
def test_whose_secret_is_open_to_everybody_is_worth_another_try(tmp_path: Path, read: Callable[..., object]) -> None:
    path = written(tmp_path, b"s3cret!")
    path.chmod(0o604)
    with pytest.raises(TransientError, match=r"^auth\.secret_file: the file can be read by everybody$") as told:
        read(path, "auth.secret_file")
    assert told.value.reason == "auth_failed"


def test_whose_mode_others_choose_is_read_all_the_same_unless_everybody_may_write_it(tmp_path: Path) -> None:
    path = written(tmp_path, b"jwt")
    path.chmod(0o644)
    assert read_secret(path, "auth.jwt_file", may_be_open=True).reveal() == "jwt"
    path.chmod(0o646)
    with pytest.raises(TransientError, match="written by everybody"):
        read_secret(path, "auth.jwt_file", may_be_open=True)


def test_what_is_no_file_of_a_sane_size_is_neither_waited_for_nor_read_to_its_end(tmp_path: Path) -> None:
    huge = written(tmp_path, b"")
    os.truncate(huge, 10**12)
    with pytest.raises(TransientError, match=r"^auth\.secret_file: over 65536 bytes$"):
        read_secret(huge, "auth.secret_file")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    for path in (fifo, tmp_path):
        with pytest.raises(TransientError, match=r"^auth\.secret_file: not a regular file$"):
            read_secret(path, "auth.secret_file")


def test_a_file_that_is_away_for_a_moment_is_worth_another_try(tmp_path: Path) -> None:
    path = written(tmp_path, b"s3cret!")
    path.rename(tmp_path / "moved")
    with pytest.raises(TransientError, match=r"^auth\.secret_file: cannot be read$") as told:
        read_secret(path, "auth.secret_file")
    assert told.value.reason == "auth_failed"
