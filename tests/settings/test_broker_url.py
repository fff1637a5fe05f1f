"""Who the worker is at its broker, and who may read its password."""

from pathlib import Path

import pytest

from tests.settings.files import problems, written


@pytest.mark.parametrize("url", ["amqps://rabbit.example.com/", "amqps://@rabbit.example.com/"])
def test_who_shows_a_certificate_to_the_broker_has_a_name(tmp_path: Path, url: str) -> None:
    by_certificate = '[broker]\ncert_file = "c"\nkey_file = "k"\n'
    [told] = problems(tmp_path, f'{by_certificate}url = "{url}"')
    assert told.startswith("broker.url: names no user")
    named = url.replace("//@", "//").replace("//", "//rotation-worker@")
    assert problems(tmp_path, f'{by_certificate}url = "{named}"') == []


@pytest.mark.parametrize(
    ("url", "mode", "is_refused"),
    [
        ("amqps://u:hunter2@rabbit.example.com/", 0o644, True),
        ("amqps://u:hunter2@rabbit.example.com/", 0o640, False),
        ("amqps://u@rabbit.example.com/", 0o644, False),
        ("amqp://u:hunter2@127.0.0.1/", 0o644, False),
    ],
)
def test_a_password_for_another_host_is_in_no_file_that_everybody_can_read(
    tmp_path: Path, url: str, mode: int, *, is_refused: bool
) -> None:
    text = f'[broker]\nurl = "{url}"'
    written(tmp_path, text).chmod(mode)
    told = problems(tmp_path, text)
    assert [one.partition(": ")[0] for one in told] == (["broker.url"] if is_refused else [])
    assert "hunter2" not in "".join(told)


def test_a_password_that_comes_from_elsewhere_is_not_in_the_file(tmp_path: Path) -> None:
    written(tmp_path, "").chmod(0o644)
    assert problems(tmp_path, "", {"ROTATION_BROKER__URL": "amqps://u:hunter2@rabbit.example.com/"}) == []
