"""Settings that are shown, by whatever bug, show no secret and nobody's identity."""

from pathlib import Path

import pytest

from tests.settings.files import APIG, BYCLOUD, VAULT, loaded
from worker.settings import Settings

CANARY = "c4n4ry"


def with_auth(gateway: str, auth: str) -> str:
    return "\n".join(f"auth = {auth}" if line.startswith("auth") else line for line in gateway.splitlines()) + "\n"


def settings(folder: Path) -> Settings:
    ak_sk = f'{{kind = "ak_sk", access_key = "{CANARY}", secret_key_file = "s"}}'
    api_key = f'{{kind = "api_key", key_id = "{CANARY}", secret_file = "s"}}'
    app_role = f'{{kind = "app_role", role_id = "{CANARY}", secret_id_file = "s"}}'
    broker = f'[broker]\nurl = "amqps://{CANARY}:{CANARY}@rabbit.example.com/"\n'
    return loaded(
        folder, broker + with_auth(APIG, ak_sk) + with_auth(BYCLOUD, api_key) + VAULT.replace("AUTH", app_role)
    )


@pytest.mark.parametrize("shown", [repr, str, "{!r:.100000}".format])
def test_what_is_shown_of_settings_holds_no_secret(tmp_path: Path, shown: type[str]) -> None:
    one = settings(tmp_path)
    assert CANARY in one.broker.url
    assert one.trust.vault is not None
    for part in (one, one.broker, one.trust.vault, one.gateways):
        assert CANARY not in shown(part)
        assert "kind=" in shown(part) or part is one.broker, "the rest is there"
