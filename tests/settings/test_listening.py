"""Who may reach what the worker serves over HTTP."""

from pathlib import Path

import pytest

from tests.settings.files import problems, written
from worker.settings.loading import load, problems_of_files

OPEN = 'listen = "0.0.0.0:8080"'
TLS = 'cert_file = "http.pem"\nkey_file = "http.key"'


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "10.0.0.7:80", "worker.example.com:8080"])
@pytest.mark.parametrize("more", ["", TLS])
def test_elsewhere_than_on_loopback_something_must_guard_it(tmp_path: Path, listen: str, more: str) -> None:
    [problem] = problems(tmp_path, f'[http]\nlisten = "{listen}"\n{more}')
    assert problem.startswith("http.listen: not loopback")
    assert "token_file" in problem


@pytest.mark.parametrize(
    "guarded",
    [
        'listen = "127.0.0.1:8080"',
        'listen = "[::1]:8080"',
        'listen = "localhost:8080"',
        f'{OPEN}\ntoken_file = "token"',
        f'{OPEN}\n{TLS}\nclient_ca_file = "ca.pem"',
        f"{OPEN}\nonly_probes = true",
    ],
)
def test_what_is_guarded_or_tells_nothing_may_be_anywhere(tmp_path: Path, guarded: str) -> None:
    assert problems(tmp_path, f"[http]\n{guarded}") == []


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ('cert_file = "http.pem"', "http.cert_file"),
        ('key_file = "http.key"', "http.cert_file"),
        ('client_ca_file = "ca.pem"', "http.client_ca_file"),
        ('listen = "8080"', "http.listen"),
    ],
)
def test_what_cannot_be_meant_is_named(tmp_path: Path, said: str, key: str) -> None:
    [problem] = problems(tmp_path, f"[http]\n{said}")
    assert problem.startswith(f"{key}:")


def test_the_files_that_guard_it_are_nobody_elses(tmp_path: Path) -> None:
    text = f'[http]\ntoken_file = "token"\n{TLS}\nclient_ca_file = "ca.pem"'
    settings = load(written(tmp_path, text), {})
    for name, mode in (("token", 0o644), ("http.key", 0o644), ("http.pem", 0o666), ("ca.pem", 0o666)):
        written(tmp_path, "x", name).chmod(mode)
    keys = [problem.partition(":")[0] for problem in problems_of_files(settings)]
    assert sorted(keys) == ["http.cert_file", "http.client_ca_file", "http.key_file", "http.token_file"]
